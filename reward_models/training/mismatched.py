"""Mismatched prompts and responses, on which KTO estimates how far the policy has moved from its reference.

The paper of KTO (Ethayarajh et al. 2024, arXiv 2402.01306, section 4) pairs each prompt of a batch with the response of
another example. The mean of log pi/pi_ref over these pairs, at least 0, is its estimate of KL(pi || pi_ref): unrelated
responses tell how far the policy has drifted, not what it was taught about the prompt.

Here every rollout gets one partner for the whole training, drawn from all rollouts to other problems, and not a new one
in every batch. The mean is still the batch's. So the estimate does not depend on how batches are made up, and the
reference reads each mismatched response once. No stored pass has these responses: the reference reads them when the
training starts (:mod:`reward_models.training.reference`). The policy reads the pairs of a batch before each step,
without gradient. The tokens of both are reported as ``forward_tokens``.

Where steps are learnt instead of responses, the mean is over the steps of the mismatched responses: a step's log
pi/pi_ref is compared with the divergence per step, not with the divergence of a whole response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bonbench.reward_models.training.data import Prepared
from bonbench.reward_models.training.encode import Encode
from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.sequences import Sequences
from harness.core.errors import UserError


def mismatched(prepared: Prepared, encode: Encode, max_length: int, seed: int) -> tuple[Sequences, Indices]:
    """For each prepared rollout its prompt with its partner's response, cut off where it exceeds ``max_length``, and
    how many steps are read of it (at least 1).

    Raises:
        UserError: when there is only one problem.
    """
    solutions = [item.solution for item in prepared.items]
    crossed = [
        replace(solution, response=solutions[other].response, logprobs={})
        for solution, other in zip(solutions, partners(prepared.problems, seed), strict=True)
    ]
    encoded = encode(crossed)
    reads = [[read for read in tokens.reads if read < max_length - 1] for tokens in encoded]
    n_steps = [
        tokens.steps[len(within) - 1] + 1 if within else 1 for tokens, within in zip(encoded, reads, strict=True)
    ]
    return Sequences.of([tokens.ids[:max_length] for tokens in encoded], reads), np.array(n_steps, dtype=np.int64)


def partners(problems: Sequence[int], seed: int) -> list[int]:
    """For each rollout one to another problem: the next such one in a seeded circular order of all rollouts.

    Raises:
        UserError: when there is only one problem.
    """
    if len(set(problems)) < 2:
        raise UserError("objective: kto pairs prompts with other problems' responses, and there is only one problem")
    order = np.random.default_rng(seed).permutation(len(problems)).tolist()
    partner = [0] * len(problems)
    # Backwards, so that the partner of the follower is known: it is the partner too where both are to one problem.
    for place in range(2 * len(order) - 1, -1, -1):
        here, after = order[place % len(order)], order[(place + 1) % len(order)]
        partner[here] = after if problems[after] != problems[here] else partner[after]
    return partner
