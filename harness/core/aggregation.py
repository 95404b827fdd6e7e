"""From the step rewards of a response to its score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.core.arrays import Floats, Ints
from harness.core.errors import UserError
from harness.core.terms import AGGREGATIONS, ScoreType


def _mean(flat: Floats, starts: Ints, counts: Ints) -> Floats:
    return np.add.reduceat(flat, starts) / counts


_REDUCERS: dict[str, Callable[[Floats, Ints, Ints], Floats]] = {
    "min": lambda flat, starts, counts: np.minimum.reduceat(flat, starts),
    "last": lambda flat, starts, counts: flat[starts + counts - 1],
    "mean": _mean,
    "prod": lambda flat, starts, counts: np.multiply.reduceat(flat, starts),
    "sum": lambda flat, starts, counts: np.add.reduceat(flat, starts),
}


def aggregate(flat: Floats, lengths: Ints, aggregation: str, score_type: ScoreType) -> Floats:
    """Response scores from step rewards.

    Args:
        flat: float [S], the step rewards of all R responses, one response after the other.
        lengths: int [R], the number of steps of each response, at least 1; their sum is S.
        aggregation: one of ``AGGREGATIONS``. The paper's default is ``min``.
        score_type: what the rewards are; a product has a meaning for probabilities only.

    Returns:
        float [R].

    Raises:
        UserError: for an unknown aggregation or a product of rewards that are not probabilities.
        ValueError: for a response without rewards, or a reward that is not finite.
    """
    if aggregation not in _REDUCERS:
        raise UserError(f"no aggregation is named {aggregation!r}; choose from {', '.join(AGGREGATIONS)}")
    if aggregation == "prod" and score_type != "probability":
        raise UserError(f"aggregation: prod needs probabilities, and these scores are {score_type}: choose another one")
    if len(lengths) == 0:
        return np.empty(0)
    if lengths.min() < 1:
        raise ValueError("a response has no step rewards")
    if not np.isfinite(flat).all():
        raise ValueError("a step reward is not finite")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return _REDUCERS[aggregation](flat, starts, lengths)
