"""What a training computes in, and what its weights are kept in."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bonbench.reward_models.training.params import TrainingParams

#: Share of the weights from which on it is said that they are as before.
_MOST = 0.5


def bfloat16(params: TrainingParams) -> bool:
    """Whether forwards run under bfloat16 autocast."""
    return params.precision == "bfloat16" or (params.precision == "auto" and params.gpus_per_worker > 0)


def weights_dtype(params: TrainingParams) -> torch.dtype:
    """What the weights of a model are kept in while it is trained.

    Weights that learn are float32. Frozen ones need not be: autocast rounds them before every product anyway.
    """
    return torch.bfloat16 if params.lora is not None and bfloat16(params) else torch.float32


class Rounding(TrainerCallback):  # type: ignore[misc]
    """Rounds the weights to what they will be stored in, after the last step and before the last look at problems that
    are kept apart: what is seen there is the model that is saved."""

    def __init__(self, stored: torch.dtype) -> None:
        self._stored = stored

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step < state.max_steps:
            return
        with torch.no_grad():
            for weights in kwargs["model"].parameters():
                if weights.is_floating_point():
                    weights.copy_(weights.to(self._stored))


def as_in_base(trained: PreTrainedModel, base: PreTrainedModel, head: str | None) -> float:
    """The share of a trained model's weights that are those of its base, a new ``head`` left out."""
    of_base = dict(base.named_parameters())
    equal = total = 0
    for name, weights in trained.named_parameters():
        if head is not None and name.startswith(f"{head}."):
            continue
        equal += int((weights == of_base[name].to(weights)).sum())
        total += weights.numel()
    return equal / total


def swallowed(share: float, stored: torch.dtype) -> str | None:
    """What to say where most of what was learnt was lost as the weights were rounded; None where it was not."""
    if share <= _MOST:
        return None
    return (
        f"{share:.0%} of the weights are those of the base: stored in {str(stored).removeprefix('torch.')}, as the "
        "base is, they cannot hold smaller changes. Raise lr or epochs, or start from a base in float32"
    )
