"""Forward passes of causal language models over responses, batched and with shared prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.utils import logging as transformers_logging

from harness.registry import UserError
from reward_models.encoding import Encoded
from reward_models.pieces import Marked

#: Elements of a block of float32 logits (256 MiB): a full [batch, length, vocabulary] tensor of them would
#: take tens of GiB with a vocabulary of 128 K.
LOGITS_BLOCK = 2**26
#: Tokens, padding included, that go through a model at once. On a CPU, what fits its caches is fastest.
_BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}
#: A prompt gets a forward of its own when sharing it saves at least this many tokens.
_WORTH_SHARING = 512


def load(model: str, dtype: str, device: str) -> PreTrainedModel:
    """A causal LM for inference.

    Raises:
        UserError: when there is no such model, or it is none of this kind.
    """
    loaded = load_as(AutoModelForCausalLM, model, dtype, device)
    _check_head(loaded, model)
    return loaded


def load_as(kind: Any, model: str, dtype: str, device: str) -> PreTrainedModel:
    """A model of a `transformers` class, or auto class, for inference.

    Raises:
        UserError: when there is no such model, or its files do not have all weights of the class. (`transformers` would
            make them up: a causal LM loaded as a classifier gets a random head.)
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    transformers_logging.disable_progress_bar()
    try:
        loaded, info = kind.from_pretrained(model, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{model} cannot be loaded: {error}") from error
    name = type(loaded).__name__
    if missing := sorted(info["missing_keys"]):
        raise UserError(f"{model} lacks weights of {name}: {', '.join(missing[:4])}")
    if mismatched := sorted(key for key, *_ in info["mismatched_keys"]):
        raise UserError(f"{model} has weights of another shape than {name}: {', '.join(mismatched[:4])}")
    return loaded.to(device).eval()  # type: ignore[no-any-return]


@torch.inference_mode()
def _check_head(model: PreTrainedModel, name: str) -> None:
    """Logits are taken block by block from hidden states; some models do more to them than we know of."""
    ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
    whole = model(input_ids=ids, use_cache=False).logits[0].float()
    if not torch.allclose(_logits(model, hidden), whole, rtol=1e-2, atol=1e-2):
        raise UserError(f"{name}: {type(model).__name__} transforms its logits in a way that is not supported")


class _PrefixLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer that keeps what its first forward wrote and lends it to every row of later ones."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return key_states, value_states
        rows = len(key_states)
        keys = torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2)
        values = torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2)
        return keys, values


@torch.inference_mode()
def response_logprobs(
    model: PreTrainedModel, solutions: Sequence[Encoded], max_batch_tokens: int | None = None
) -> list[list[float]]:
    """log p of each response token given all tokens before it, in nats, for each solution."""
    results: list[list[float]] = [[] for _ in solutions]
    scored = [i for i, solution in enumerate(solutions) if len(solution.ids) > solution.n_prompt]
    if any(solutions[i].n_prompt == 0 for i in scored):
        raise UserError("the chat template writes nothing before a response: what predicts its first token?")
    readings = [
        Marked(solutions[i].ids, solutions[i].n_prompt, range(solutions[i].n_prompt - 1, len(solutions[i].ids) - 1))
        for i in scored
    ]
    for batch, hidden in hidden_states(model, readings, max_batch_tokens):
        members = [solutions[scored[k]] for k in batch]
        targets = torch.tensor([t for s in members for t in s.ids[s.n_prompt :]], device=model.device)
        values = iter(target_logprobs(model, torch.cat(hidden), targets).tolist())
        for k, member in zip(batch, members, strict=True):
            results[scored[k]] = [next(values) for _ in member.token_ends]
    return results


@torch.inference_mode()
def hidden_states(
    model: PreTrainedModel, readings: Sequence[Marked], max_batch_tokens: int | None = None
) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
    """The body's last hidden states at the tokens where each reading is read (at least one), a batch at a time.

    Readings whose tokens share a prompt share the forward of that prompt where it pays. Rows are padded on the
    right: under a causal mask no real token sees the padding.

    Yields:
        Indices of readings, and for each of them its hidden states [reads, width].
    """
    max_batch_tokens = max_batch_tokens or _BATCH_TOKENS.get(model.device.type, 8192)
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, reading in enumerate(readings):
        # Only tokens before the first one that is read can come from a shared pass.
        groups.setdefault(tuple(reading.ids[: min(reading.n_prompt, reading.reads[0])]), []).append(i)
    alone: list[int] = []
    for prefix, members in groups.items():
        if (len(members) - 1) * len(prefix) < _WORTH_SHARING:
            alone += members
            continue
        cache = Cache(layers=[_PrefixLayer() for _ in range(model.config.get_text_config().num_hidden_layers)])
        model.base_model(input_ids=torch.tensor([prefix], device=model.device), past_key_values=cache, use_cache=True)
        yield from _forwards(model, readings, members, len(prefix), cache, max_batch_tokens)
    yield from _forwards(model, readings, alone, 0, None, max_batch_tokens)


def _forwards(
    model: PreTrainedModel,
    readings: Sequence[Marked],
    members: Sequence[int],
    n_prefix: int,
    cache: Cache | None,
    max_batch_tokens: int,
) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
    """Hidden states of ``members``, whose first ``n_prefix`` tokens are in ``cache``."""
    by_length = sorted(members, key=lambda i: readings[i].reads[-1], reverse=True)
    # What follows the last position that is read need not be.
    inputs = [readings[i].ids[n_prefix : readings[i].reads[-1] + 1] for i in by_length]
    for rows in _batches([len(tokens) for tokens in inputs], max_batch_tokens):
        batch, fed = by_length[rows], inputs[rows]
        ids = torch.tensor([tokens + [0] * (len(fed[0]) - len(tokens)) for tokens in fed], device=model.device)
        hidden = model.base_model(input_ids=ids, past_key_values=cache, use_cache=cache is not None).last_hidden_state
        yield (
            batch,
            [hidden[row, [position - n_prefix for position in readings[i].reads]] for row, i in enumerate(batch)],
        )


def _batches(lengths: Sequence[int], max_tokens: int) -> Iterator[slice]:
    """Cut rows of falling lengths into batches of at most ``max_tokens`` tokens, padding included."""
    start = 0
    while start < len(lengths):
        end = start + max(1, max_tokens // lengths[start])
        yield slice(start, end)
        start = end


def target_logprobs(model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """log softmax(logits)[target], float32 [tokens], for hidden states [tokens, width], a block at a time."""
    size = max(1, LOGITS_BLOCK // model.config.get_text_config().vocab_size)
    blocks = []
    for block, target in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
        logits = _logits(model, block)
        blocks.append(logits.gather(-1, target[:, None])[:, 0] - logits.logsumexp(dim=-1))
    return torch.cat(blocks)


def _logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model.get_output_embeddings()(hidden)
    return _softcapped(model, logits)


def token_logits(model: PreTrainedModel, hidden: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
    """Logits of some tokens, float32 [positions, tokens], for hidden states [positions, width]."""
    head = model.get_output_embeddings()
    bias = None if head.bias is None else head.bias[list(tokens)]
    return _softcapped(model, torch.nn.functional.linear(hidden, head.weight[list(tokens)], bias))


def _softcapped(model: PreTrainedModel, logits: torch.Tensor) -> torch.Tensor:
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return logits.float() if softcap is None else softcap * torch.tanh(logits.float() / softcap)
