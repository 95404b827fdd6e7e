"""Forward passes of causal language models over responses, batched and with shared prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import AutoModelForCausalLM, Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.utils import logging as transformers_logging

from harness.registry import UserError
from reward_models.encoding import Encoded

#: Elements of a block of float32 logits (256 MiB): a full [batch, length, vocabulary] tensor of them would
#: take tens of GiB with a vocabulary of 128 K.
_LOGITS_BLOCK = 2**26
#: A prompt gets a forward of its own when sharing it saves at least this many tokens.
_WORTH_SHARING = 512


def load(model: str, dtype: str, device: str) -> PreTrainedModel:
    """A causal LM for inference.

    Raises:
        UserError: when there is no such model, or it is none of this kind.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    transformers_logging.disable_progress_bar()
    try:
        loaded = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(device).eval()
    except (OSError, ValueError) as error:
        raise UserError(f"{model} cannot be loaded: {error}") from error
    _check_head(loaded, model)
    return loaded


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
def response_logprobs(model: PreTrainedModel, solutions: Sequence[Encoded], max_batch_tokens: int) -> list[list[float]]:
    """log p of each response token given all tokens before it, in nats, for each solution.

    Solutions whose tokens share a prompt share the forward of that prompt where it pays. Rows are padded on the
    right: under a causal mask no real token sees the padding.
    """
    results: list[list[float]] = [[] for _ in solutions]
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, solution in enumerate(solutions):
        if len(solution.ids) > solution.n_prompt:
            if solution.n_prompt == 0:
                raise UserError("the chat template writes nothing before a response: what predicts its first token?")
            groups.setdefault(tuple(solution.ids[: solution.n_prompt]), []).append(i)
    alone: list[int] = []
    for prompt, members in groups.items():
        # The last prompt token stays out of the prefix: it predicts the first response token.
        prefix = prompt[:-1]
        if (len(members) - 1) * len(prefix) < _WORTH_SHARING:
            alone += members
            continue
        cache = Cache(layers=[_PrefixLayer() for _ in range(model.config.get_text_config().num_hidden_layers)])
        model.base_model(input_ids=torch.tensor([prefix], device=model.device), past_key_values=cache, use_cache=True)
        _score(model, solutions, members, len(prefix), cache, max_batch_tokens, results)
    _score(model, solutions, alone, 0, None, max_batch_tokens, results)
    return results


def _score(
    model: PreTrainedModel,
    solutions: Sequence[Encoded],
    members: Sequence[int],
    n_prefix: int,
    cache: Cache | None,
    max_batch_tokens: int,
    results: list[list[float]],
) -> None:
    """Fill ``results`` of ``members``, whose first ``n_prefix`` tokens are in ``cache``."""
    by_length = sorted(members, key=lambda i: len(solutions[i].ids), reverse=True)
    lengths = [len(solutions[i].ids) - n_prefix - 1 for i in by_length]
    for rows in _batches(lengths, max_batch_tokens):
        batch = by_length[rows]
        inputs = [solutions[i].ids[n_prefix:-1] for i in batch]
        skipped = [solutions[i].n_prompt - 1 - n_prefix for i in batch]
        longest = max(map(len, inputs))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in inputs], device=model.device)
        hidden = model.base_model(input_ids=ids, past_key_values=cache, use_cache=cache is not None).last_hidden_state
        read = torch.cat(
            [hidden[row, skip : len(tokens)] for row, (skip, tokens) in enumerate(zip(skipped, inputs, strict=True))]
        )
        targets = torch.tensor(
            [token for i in batch for token in solutions[i].ids[solutions[i].n_prompt :]], device=model.device
        )
        values = iter(_target_logprobs(model, read, targets).tolist())
        for i in batch:
            results[i] = [next(values) for _ in solutions[i].token_ends]


def _batches(lengths: Sequence[int], max_tokens: int) -> Iterator[slice]:
    """Cut rows of falling lengths into batches of at most ``max_tokens`` tokens, padding included."""
    start = 0
    while start < len(lengths):
        end = start + max(1, max_tokens // lengths[start])
        yield slice(start, end)
        start = end


def _target_logprobs(model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """log softmax(logits)[target], float32 [tokens], for hidden states [tokens, width], a block at a time."""
    size = max(1, _LOGITS_BLOCK // model.config.get_text_config().vocab_size)
    blocks = []
    for block, target in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
        logits = _logits(model, block)
        blocks.append(logits.gather(-1, target[:, None])[:, 0] - logits.logsumexp(dim=-1))
    return torch.cat(blocks)


def _logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model.get_output_embeddings()(hidden).float()
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)
