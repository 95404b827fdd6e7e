"""Objectives of implicit reward models, as functions of z = beta * sum over response tokens of log pi/pi_ref.

z is the reward that the policy implies for a whole response ("Free Process Rewards without Process Labels",
proposition 3.1 at its last token). Losses are per example, in the order given; callers average them. They are
stable for any finite z.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def dpo(z_correct: torch.Tensor, z_incorrect: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(z_w - z_l) for each pair of a correct and an incorrect response to one problem [pairs]."""
    return -F.logsigmoid(z_correct - z_incorrect)


def ce(z: torch.Tensor, correct: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of sigmoid(z) against correctness (0 or 1) for each response [responses] (equation 5)."""
    return -F.logsigmoid(torch.where(correct.bool(), z, -z))
