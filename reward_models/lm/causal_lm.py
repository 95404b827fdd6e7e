"""Forward passes of causal language models over responses, batched, each shared beginning once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from bonbench.reward_models.lm.prefix_tree import PrefixTree
from bonbench.reward_models.lm.products import float_linear
from bonbench.reward_models.lm.tree_attention import rotates_by_length, supports_trees, tree_states
from bonbench.reward_models.text.encoding import Encoded, with_response
from bonbench.reward_models.text.pieces import Marked
from harness.core.arrays import Ints
from harness.core.devices import check_fits, placed
from harness.core.errors import UserError, cannot_load
from harness.core.hub_models import pretrained
from harness.core.memory import halving

#: Elements of a block of float32 logits (256 MiB): a full [batch, length, vocabulary] tensor of them would
#: take tens of GiB with a vocabulary of 128 K.
LOGITS_BLOCK = 2**26
#: Tokens of the vocabulary in a block. On a CPU, what fits its caches is fastest.
LOGITS_COLUMNS = 2048
#: Tokens, padding included, that go through a model at once. On a CPU, what fits its caches is fastest.
_BATCH_TOKENS = {"cpu": 512, "cuda": 16384}
#: A model that has too little memory for so many tokens has none for fewer: keys and values take it.
_LEAST_TOKENS = 64
#: How many tokens may go through a model at once, where memory was too short for more.
_fitting: WeakKeyDictionary[PreTrainedModel, int] = WeakKeyDictionary()

#: For each sequence the numbers of its tokens, and hidden states [tokens, width] in the order of these numbers.
_Pass = tuple[list[Ints], Iterator[torch.Tensor]]


def load(model: str, dtype: str, device: str) -> PreTrainedModel:
    """A causal LM for inference.

    Raises:
        UserError: when there is no such model, or it is none of this kind.
    """
    loaded = load_as(AutoModelForCausalLM, model, dtype, device)
    check_head(loaded, model)
    return loaded


def avoid_cudnn_attention() -> None:
    """Have attention computed by other kernels than cuDNN's, in this process from now on.

    cuDNN builds a plan for every new shape, which takes longer than the attention; trees and batches seldom have the
    same shape twice.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def load_as(kind: Any, model: str, dtype: str, device: str) -> PreTrainedModel:
    """A model of a `transformers` class, or auto class, for inference.

    Raises:
        UserError: when there is no such model, or its files do not have all weights of the class. (`transformers` would
            make them up: a causal LM loaded as a classifier gets a random head.)
    """
    avoid_cudnn_attention()
    placement = placed(device, torch.cuda)
    if dtype == "auto" and not placement:
        dtype = "float32"  # most CPUs are several times slower at 16 bits
    transformers_logging.disable_progress_bar()
    try:
        loaded, info = kind.from_pretrained(
            **pretrained(model),
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **placement,
        )
    except Exception as error:  # a wrong value in a config.json raises whatever the model's code meets first
        raise cannot_load(model, error) from error
    name = type(loaded).__name__
    if missing := sorted(info["missing_keys"]):
        raise UserError(f"{model} lacks weights of {name}: {', '.join(missing[:4])}")
    if mismatched := sorted(key for key, *_ in info["mismatched_keys"]):
        raise UserError(f"{model} has weights of another shape than {name}: {', '.join(mismatched[:4])}")
    check_fits(loaded, model)
    return loaded.eval()  # type: ignore[no-any-return]


@torch.inference_mode()
def check_head(model: PreTrainedModel, name: str) -> None:
    """Refuse a causal LM whose logits are not what is made here of its hidden states, block by block.

    Raises:
        UserError: where its own forward gives other logits, or such as are not numbers.
    """
    ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
    whole = model(input_ids=ids, use_cache=False).logits[0].float()
    if not (whole < torch.inf).all():  # NaN is not, either
        raise UserError(
            f"{name} gives logits that are NaN or infinite: look for such numbers in its weights, and for 16-bit ones "
            "that overflow (dtype: float32)"
        )
    ours = token_logits(model, hidden, range(whole.shape[-1])).to(whole.device)
    if not torch.allclose(ours, whole, rtol=1e-2, atol=1e-2):
        raise UserError(f"{name}: {type(model).__name__} transforms its logits in a way that is not supported")


@torch.inference_mode()
def response_logprobs(
    model: PreTrainedModel, solutions: Sequence[Encoded], max_batch_tokens: int | None = None
) -> list[list[float]]:
    """log p of each response token given all tokens before it, in nats, for each solution.

    Raises:
        UserError: where nothing comes before a response.
    """
    values = response_values(model, solutions, partial(target_logprobs, model), max_batch_tokens)
    return [[] if logprobs is None else logprobs.tolist() for logprobs in values]


@torch.inference_mode()
def response_values(
    model: PreTrainedModel,
    solutions: Sequence[Encoded],
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    max_batch_tokens: int | None = None,
) -> list[torch.Tensor | None]:
    """Values [tokens, ...] at the tokens that predict a response's, for each solution; None of an empty response.

    Args:
        value: as :func:`read` takes it.

    Raises:
        UserError: where nothing comes before a response.
    """
    results: list[torch.Tensor | None] = [None] * len(solutions)
    scored = with_response(solutions)
    readings = [
        Marked(solutions[i].ids, solutions[i].n_prompt, range(solutions[i].n_prompt - 1, len(solutions[i].ids) - 1))
        for i in scored
    ]
    for i, values in zip(scored, read(model, readings, value, max_batch_tokens), strict=True):
        results[i] = values
    return results


@torch.inference_mode()
def read(
    model: PreTrainedModel,
    readings: Sequence[Marked],
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    max_batch_tokens: int | None = None,
) -> list[torch.Tensor]:
    """Values at the tokens where each reading is read (at least one); equal beginnings of readings are read once.

    Args:
        value: from the body's last hidden states [reads, width] and the ids of the tokens that follow them [reads]
            (-1 after a reading's last one) to values [reads, ...].

    Where memory is too short, half as many tokens go through the model at once from then on.

    Returns:
        The values of each reading [reads, ...].

    Raises:
        MemoryError: where not even one sequence fits.
    """
    if not readings:
        return []
    # What follows the last position that is read need not be.
    fed = [reading.ids[: reading.reads[-1] + 1] for reading in readings]
    tree = PrefixTree(fed) if supports_trees(model) else None
    longest = max(map(len, fed))
    size, least = (tree.n_nodes, _LEAST_TOKENS) if tree else (len(fed) * longest, longest)
    most = min(max_batch_tokens or _BATCH_TOKENS.get(model.device.type, 8192), _fitting.get(model, size), size)

    def values(max_tokens: int) -> list[torch.Tensor]:
        paths, batches = _as_tree(model, tree, max_tokens) if tree else _padded(model, fed, max_tokens)
        return _read(readings, paths, batches, value)

    read_values, fits = halving(values, most, least, "tokens", model.name_or_path)
    if fits < most:
        _fitting[model] = fits
    return read_values


def _read(
    readings: Sequence[Marked],
    paths: list[Ints],
    batches: Iterator[torch.Tensor],
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> list[torch.Tensor]:
    nodes, following, where = _asked(readings, paths)
    values, first = [], 0
    for hidden in batches:
        start, stop = np.searchsorted(nodes, [first, first + len(hidden)])
        if start < stop:
            # A spread model begins on one device and ends on another.
            at = torch.from_numpy(nodes[start:stop] - first).to(hidden.device)
            values.append(value(hidden[at], torch.from_numpy(following[start:stop]).to(hidden.device)))
        first += len(hidden)
    read_values = torch.cat(values)
    everything = read_values[torch.from_numpy(where).to(read_values.device)]
    return list(torch.split(everything, [len(reading.reads) for reading in readings]))


def _asked(readings: Sequence[Marked], paths: Sequence[Ints]) -> tuple[Ints, Ints, Ints]:
    """Which values are asked for: of what nodes, with what ids following; and which of them each read has.

    Readings that agree up to a token and in the one after it share its value.
    """
    nodes = np.concatenate([path[list(reading.reads)] for path, reading in zip(paths, readings, strict=True)])
    ends = [len(reading.ids) - 1 for reading in readings]
    following = np.array(
        [r.ids[k + 1] if k < end else -1 for r, end in zip(readings, ends, strict=True) for k in r.reads]
    )
    base = following.max() + 2
    asked, where = np.unique(nodes * base + following + 1, return_inverse=True)
    return asked // base, asked % base - 1, where


def _as_tree(model: PreTrainedModel, tree: PrefixTree, max_tokens: int) -> _Pass:
    return tree.paths, tree_states(model, tree, max_tokens)


def _padded(model: PreTrainedModel, sequences: Sequence[list[int]], max_tokens: int) -> _Pass:
    """Each sequence for itself. Padding is on the right: under a causal mask no real token sees it."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]), reverse=True)
    firsts = dict(zip(order, accumulate((len(sequences[i]) for i in order), initial=0), strict=False))
    paths = [firsts[i] + np.arange(len(sequence)) for i, sequence in enumerate(sequences)]
    alone = rotates_by_length(model)

    def states() -> Iterator[torch.Tensor]:
        start = 0
        while start < len(order):
            longest = len(sequences[order[start]])
            rows = 1 if alone else max(1, max_tokens // longest)
            batch = [sequences[i] for i in order[start : start + rows]]
            ids = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in batch], device=model.device)
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            yield torch.cat([hidden[row, : len(tokens)] for row, tokens in enumerate(batch)])
            start += len(batch)

    return paths, states()


def target_logprobs(model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """log softmax(logits)[target], float32 [tokens], for hidden states [tokens, width], a block at a time."""
    head = model.get_output_embeddings()
    hidden, targets = hidden.to(head.weight.device), targets.to(head.weight.device)
    weights = head.weight.split(LOGITS_COLUMNS)
    biases = [None] * len(weights) if head.bias is None else head.bias.split(LOGITS_COLUMNS)
    size = max(1, LOGITS_BLOCK // len(weights[0]))
    logprobs = []
    for block, target in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
        of_targets, sums, first = torch.zeros_like(target, dtype=torch.float32), [], 0
        for weight, bias in zip(weights, biases, strict=True):
            logits = _softcapped(model, float_linear(block, weight, bias))
            sums.append(logits.logsumexp(dim=-1))
            column = target - first
            here = (column >= 0) & (column < len(weight))
            chosen = logits.gather(-1, column.clamp(0, len(weight) - 1)[:, None])[:, 0]
            of_targets = torch.where(here, chosen, of_targets)
            first += len(weight)
        total = torch.stack(sums).logsumexp(dim=0)
        # An infinite logit leaves the other tokens the probability 0, which would pass for what the model says of them.
        logprobs.append(torch.where(total < torch.inf, of_targets - total, torch.nan))
    return torch.cat(logprobs)


def token_logits(model: PreTrainedModel, hidden: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
    """Logits of some tokens, float32 [positions, tokens], for hidden states [positions, width]."""
    head = model.get_output_embeddings()
    bias = None if head.bias is None else head.bias[list(tokens)]
    return _softcapped(model, float_linear(hidden.to(head.weight.device), head.weight[list(tokens)], bias))


def _softcapped(model: PreTrainedModel, logits: torch.Tensor) -> torch.Tensor:
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return logits.float() if softcap is None else softcap * torch.tanh(logits.float() / softcap)
