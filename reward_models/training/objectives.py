"""Objectives as functions of z, the reward of a response or of a step: one number, unbounded.

Of an implicit reward model z = beta * sum over response tokens of log pi/pi_ref ("Free Process Rewards without Process
Labels", Yuan et al. 2024, arXiv 2412.01981, proposition 3.1 at the last token), or over a step's tokens; of an outcome
reward model z is its head's output. Losses are per example, in the order given; callers average them. They, and their
gradients, are exact to rounding for any finite z.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def dpo(z_correct: torch.Tensor, z_incorrect: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(z_w - z_l) for each pair of a correct and an incorrect response to one problem [pairs].

    On log-ratios it is DPO (Rafailov et al. 2023, arXiv 2305.18290), on the outputs of a head the Bradley-Terry loss.
    """
    return -F.logsigmoid(z_correct - z_incorrect)


def nca(z_correct: torch.Tensor, z_incorrect: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(z_w) - 1/2 log sigmoid(-z_w) - 1/2 log sigmoid(-z_l) for each pair [pairs].

    Noise contrastive alignment (Chen et al. 2024, arXiv 2402.05369) for pairs. Where z_l is low enough, what is left
    pulls z_w to log 2: likelihoods of correct responses do not fall as they may under :func:`dpo`.
    """
    return -F.logsigmoid(z_correct) - (F.logsigmoid(-z_correct) + F.logsigmoid(-z_incorrect)) / 2


def kto(
    z: torch.Tensor,
    correct: torch.Tensor,
    z0: torch.Tensor,
    lambda_correct: float = 1.0,
    lambda_incorrect: float = 1.0,
) -> torch.Tensor:
    """lambda_D (1 - sigmoid(z - z0)) for each correct, lambda_U (1 - sigmoid(z0 - z)) for each incorrect response.

    Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306, section 4).

    Args:
        z: [responses], or [steps].
        correct: 0 or 1 for each, or the probability that it is correct, for the loss to expect.
        z0: the point of reference, beta * KL(pi || pi_ref) as estimated for the batch: a scalar that carries no
            gradient, at least 0.
        lambda_correct, lambda_incorrect: weights of the two kinds.
    """
    correct = correct.to(z.dtype)
    # 1 - sigmoid(x) = sigmoid(-x), which does not cancel.
    right, wrong = lambda_correct * torch.sigmoid(z0 - z), lambda_incorrect * torch.sigmoid(z - z0)
    return correct * right + (1 - correct) * wrong


def ce(z: torch.Tensor, correct: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of sigmoid(z) [terms] against correctness [terms]: 0, 1 or a probability.

    Of responses it is equation 5 of the paper on implicit reward models (Yuan et al. 2024). Of steps it is the same
    with the z of a step.
    """
    correct = correct.to(z.dtype)
    return -(correct * F.logsigmoid(z) + (1 - correct) * F.logsigmoid(-z))
