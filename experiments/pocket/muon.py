"""Muon: the update of a weight matrix is its momentum, made orthogonal (Jordan et al., 2024).

With it the pocket models learn in a third of the steps that AdamW takes. ``torch.optim.Muon`` is the same
rule, but works in bfloat16, which ordinary CPUs only emulate.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

# Coefficients of the quintic iteration that drives all singular values towards 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Optimizes the matrices between the layers. Embeddings and norms need another optimizer."""

    def __init__(self, params: Iterable[torch.Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the matrices by their gradients. ``closure`` is not called."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalised(p.grad.lerp(average, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """About the matrix [m, n] with orthonormal rows or columns that is nearest to ``matrix`` [m, n].

    Five quintic Newton-Schulz iterations, with the coefficients of Jordan et al. (2024).
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x: torch.Tensor = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.mT if tall else x
