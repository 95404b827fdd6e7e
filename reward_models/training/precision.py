"""What a training computes in, and what its weights are kept in."""

from __future__ import annotations

import torch

from bonbench.reward_models.training.params import TrainingParams


def bfloat16(params: TrainingParams) -> bool:
    """Whether forwards run under bfloat16 autocast."""
    return params.precision == "bfloat16" or (params.precision == "auto" and params.gpus_per_worker > 0)


def weights_dtype(params: TrainingParams) -> torch.dtype:
    """What the weights of a model are kept in while it is trained.

    Weights that learn are float32. Frozen ones need not be: autocast rounds them before every product anyway.
    """
    return torch.bfloat16 if params.lora is not None and bfloat16(params) else torch.float32
