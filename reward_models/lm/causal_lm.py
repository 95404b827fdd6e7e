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

from bonbench.generators.loading import avoid_cudnn_attention, check_tokens, load_model
from bonbench.reward_models.lm.body import body
from bonbench.reward_models.lm.logits import check_head, target_logprobs
from bonbench.reward_models.lm.prefix_tree import PrefixTree
from bonbench.reward_models.lm.tree_attention import reads_alone, supports_trees, tree_states
from bonbench.reward_models.text.encoding import Encoded, with_response
from bonbench.reward_models.text.pieces import Marked
from harness.core.arrays import Ints
from harness.core.devices import placed
from harness.core.memory import halving

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


def load_as(kind: Any, model: str, dtype: str, device: str) -> PreTrainedModel:
    """A model of a `transformers` class, or auto class, for inference.

    Raises:
        UserError: when there is no such model, or its files do not have all weights of the class.
    """
    avoid_cudnn_attention()
    placement = placed(device, torch.cuda)
    if dtype == "auto" and not placement:
        dtype = "float32"  # most CPUs are several times slower at 16 bits
    return load_model(kind, model, dtype=dtype, **placement).eval()  # type: ignore[no-any-return]


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
        UserError: for a token that the model does not have.
    """
    if not readings:
        return []
    check_tokens(model, max(max(reading.ids) for reading in readings), model.name_or_path)
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
    alone = reads_alone(model)

    def states() -> Iterator[torch.Tensor]:
        start = 0
        while start < len(order):
            longest = len(sequences[order[start]])
            rows = 1 if alone else max(1, max_tokens // longest)
            batch = [sequences[i] for i in order[start : start + rows]]
            ids = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in batch], device=model.device)
            hidden = body(model)(input_ids=ids, use_cache=False).last_hidden_state
            yield torch.cat([hidden[row, : len(tokens)] for row, tokens in enumerate(batch)])
            start += len(batch)

    return paths, states()
