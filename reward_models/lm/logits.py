"""From hidden states to logits and log-probabilities, a block of the vocabulary at a time.

Between the head's product and its softmax some models multiply the logits by a number, or cap them. Only this module
knows where their configs say so, and it compares what it makes with what a model makes itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from bonbench.generators.loading import check_numbers
from bonbench.reward_models.lm.body import body
from bonbench.reward_models.lm.products import float_linear
from harness.core.errors import UserError, one_line
from harness.core.memory import is_short

#: Elements of a block of float32 logits (256 MiB): a full [batch, length, vocabulary] tensor of them would
#: take tens of GiB with a vocabulary of 128 K.
LOGITS_BLOCK = 2**26
#: Tokens of the vocabulary in a block. On a CPU, what fits its caches is fastest.
LOGITS_COLUMNS = 2048

#: The config key of a factor of the logits, by the beginning of the model types that have it.
_FACTORS = {
    "cohere": "logit_scale",
    "falcon_h1": "lm_head_multiplier",
    "hyperclovax": "logits_scaling",
    "muse": "output_multiplier",
}
#: Of a divisor of the logits, or of what goes into the head.
_DIVISORS = {"granite": "logits_scaling", "inkling": "logits_mup_width_multiplier", "minicpm": "logits_scaling"}
#: Config keys of a cap c: c * tanh(logits / c).
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")

#: The largest logit of the comparison: caps are about as large.
_LARGE = 40.0
_TOLERANCE = {torch.float32: 3e-3, torch.float64: 3e-3}


def target_logprobs(model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """log softmax(logits)[target], float32 [tokens], for hidden states [tokens, width], a block at a time."""
    head = model.get_output_embeddings()
    hidden, targets = hidden.to(head.weight.device), targets.to(head.weight.device)
    rows = n_tokens(model)
    weights = head.weight[:rows].split(LOGITS_COLUMNS)
    biases = [None] * len(weights) if head.bias is None else head.bias[:rows].split(LOGITS_COLUMNS)
    size = max(1, LOGITS_BLOCK // len(weights[0]))
    logprobs = []
    for block, target in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
        of_targets, sums, first = torch.zeros_like(target, dtype=torch.float32), [], 0
        for weight, bias in zip(weights, biases, strict=True):
            logits = _transformed(model, float_linear(block, weight, bias))
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
    return _transformed(model, float_linear(hidden.to(head.weight.device), head.weight[list(tokens)], bias))


def _transformed(model: PreTrainedModel, products: torch.Tensor) -> torch.Tensor:
    """The head's products with the hidden states as the model's logits, float32."""
    config = model.config.get_text_config()
    logits = products.float()
    if (factor := _factor(config)) is not None:
        logits = logits * factor
    for key in _CAPS:
        if (cap := getattr(config, key, None)) is not None:
            logits = cap * torch.tanh(logits / cap)
    return logits


def _factor(config: Any) -> float | None:
    """What the head's products are multiplied by; None for nothing."""
    factor, divisor = (_of_type(config, keys) for keys in (_FACTORS, _DIVISORS))
    return factor if divisor is None else 1 / divisor


def _of_type(config: Any, keys: Mapping[str, str]) -> float | None:
    key = next((key for beginning, key in keys.items() if str(config.model_type).startswith(beginning)), "")
    value: float | None = getattr(config, key, None)
    return value


def n_tokens(model: PreTrainedModel) -> int:
    """Tokens of the vocabulary; a head may have more rows, to make them a round number."""
    n: int | None = getattr(model.config.get_text_config(), "unpadded_vocab_size", None)
    rows = int(model.get_output_embeddings().weight.shape[0])
    return rows if n is None else min(n, rows)


@torch.inference_mode()
def check_head(model: PreTrainedModel, name: str) -> None:
    """Refuse a causal LM whose logits are not what is made here of its hidden states.

    It reads a few tokens from all over its vocabulary. What goes into its head is made larger, here and there: of small
    logits a cap would go unseen.

    Raises:
        UserError: where its own forward gives other logits, or such as are not numbers, or cannot be run.
    """
    times: list[float] = []

    def enlarge(_: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        times.append(factor)
        return inputs[0] * factor, *inputs[1:]

    try:
        ids, head = _several_ids(model), model.get_output_embeddings()
        hidden = body(model)(input_ids=ids, use_cache=False).last_hidden_state[0]
        all_of_it = range(n_tokens(model))
        largest = float(token_logits(model, hidden, all_of_it).abs().max())
        factor = max(1.0, _LARGE / largest) if largest > 0 else 1.0
        hook = head.register_forward_pre_hook(enlarge)
        try:
            whole = model(input_ids=ids, use_cache=False).logits[0].float()
        finally:
            hook.remove()
        ours = token_logits(model, hidden * factor if times else hidden, all_of_it).to(whole.device)
        agrees = (ours - whole).norm() <= _TOLERANCE.get(model.dtype, 2e-2) * whole.norm()
    except Exception as error:  # whatever an architecture that is read in another way meets first
        if is_short(error):
            raise
        raise UserError(f"{name}: {type(model).__name__} cannot be read here: {one_line(error)}") from error
    check_numbers(whole, name)
    if not agrees:
        raise UserError(f"{name}: {type(model).__name__} transforms its logits in a way that is not supported")


def _several_ids(model: PreTrainedModel) -> torch.Tensor:
    """Ids [1, tokens] from all over the vocabulary. The row of a padding token is 0, and so is all that comes of it."""
    config = model.config.get_text_config()
    n = int(config.vocab_size)
    ids = [i for i in dict.fromkeys(k * n // 9 for k in range(9)) if i != getattr(config, "pad_token_id", None)]
    return torch.tensor([ids], device=model.device)
