"""How often a reward model's model is right as a policy: the share of right responses that it samples."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.core.arrays import Floats
from harness.core.stages import StageKind
from harness.storage.results import Results


def policy_accuracy(results: Results, policy: str, grades: pd.DataFrame, problem_ids: tuple[str, ...]) -> Floats:
    """The share of right responses per problem, float [P]; NaN for a problem that was not sampled.

    A problem that the policy left without responses is one that it does not solve.

    Args:
        grades: of all policies (:meth:`Results.policy_grades`).
        problem_ids: the P problems evaluated.
    """
    own = grades[grades["generator"] == policy]
    right = own.astype({"correct": float}).groupby("problem_id")["correct"].mean()
    right_of = {**right, **dict.fromkeys(results.unanswered(policy, StageKind.POLICY), 0.0)}
    return np.array([right_of.get(id_, np.nan) for id_ in problem_ids])
