"""Accuracies by enumeration, from the stored rows themselves: what the estimators are compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from harness.storage.results import Results


def lowest_reward(rewards: Sequence[float]) -> float:
    """The lowest step reward; of a response without any, less than every number."""
    return min(rewards, default=-math.inf)


def plain_best_of_n(results: Results, reward_model: str, generator: str, n: int) -> np.ndarray:
    """Accuracy of the response with the highest of its lowest step rewards, float [P], problems in order of their ids.
    A response without step rewards is below all others.

    The mean over all size-n subsets of a problem's responses; where several share the best score, over those.
    """
    scores = results.scores(reward_model, generator).to_pandas()
    rows = results.grades[results.grades["generator"] == generator].merge(scores, on=["problem_id", "sample"])
    accuracies = []
    for _, problem in rows.groupby("problem_id", sort=True):
        lowest, correct = problem["step_rewards"].map(lowest_reward).to_numpy(), problem["correct"].to_numpy()
        subsets = [list(subset) for subset in combinations(range(len(problem)), n)]
        accuracies.append(np.mean([correct[s][lowest[s] == lowest[s].max()].mean() for s in subsets]))
    return np.array(accuracies)
