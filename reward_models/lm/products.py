"""Products of hidden states with the weights of the head over the vocabulary, in float32 whatever a model runs in.

A model that runs in 16 bits rounds its logits to them: a bfloat16 logit between 16 and 32 is a multiple of 1/8. The
products of two 16-bit numbers are exact in float32, and the hardware adds them up in float32. So float32 logits of
16-bit hidden states and weights cost nothing, and the rounding stays out of log-probabilities and of their differences.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

_HALF = (torch.bfloat16, torch.float16)


def float_linear(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """``hidden @ weight.T + bias`` [tokens, outputs], from hidden states [tokens, width] and weights [outputs, width].

    Float32 where the inputs have 16 bits, or autocast rounds them to 16 bits; else as `torch.nn.functional.linear`.
    """
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    if hidden.dtype not in _HALF:
        return F.linear(hidden, weight, bias)
    with torch.autocast(device, enabled=False):
        products: torch.Tensor = _FloatProducts.apply(hidden, weight)  # type: ignore[no-untyped-call]
        return products if bias is None else products + bias.float()


class _FloatProducts(torch.autograd.Function):
    """`torch.mm` with ``out_dtype``, which has no derivative of its own. The gradients are those of a 16-bit linear
    layer, computed in 16 bits."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(hidden, weight)
        if hidden.is_cuda:
            return torch.mm(hidden, weight.T, out_dtype=torch.float32)
        return hidden.float() @ weight.float().T

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        hidden, weight = ctx.saved_tensors
        gradient = gradients[0].to(hidden.dtype)
        of_hidden, of_weight = ctx.needs_input_grad
        return gradient @ weight if of_hidden else None, gradient.T @ hidden if of_weight else None
