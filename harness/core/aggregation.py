"""From the step rewards of a response to its score.

A name says all of an aggregation; some have a number at their end: ``min_window_3``, ``pessimistic_0.5``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from harness.core.arrays import Floats, Ints
from harness.core.errors import UserError
from harness.core.terms import ScoreType

#: Step rewards of all responses [S], where those of each response start [R], and how many it has [R] -> scores [R].
Reducer = Callable[[Floats, Ints, Ints], Floats]


def _mean(flat: Floats, starts: Ints, counts: Ints) -> Floats:
    return np.add.reduceat(flat, starts) / counts


def _min_running_sum(flat: Floats, starts: Ints, counts: Ints) -> Floats:
    """The lowest sum of the first t step rewards, over t.

    Where a step reward is r_t = q_t - q_(t-1), as an implicit PRM's is, the running sum is q_t (Yuan et al. 2025, "Free
    process rewards without process labels", proposition 3.1).
    """
    running, lowest = np.zeros(len(starts)), np.full(len(starts), np.inf)
    longer = np.arange(len(starts))
    # Step by step: equal rewards get equal sums, which differences of one long running sum would not.
    for step in range(counts.max()):
        longer = longer[counts[longer] > step]
        running[longer] += flat[starts[longer] + step]
        lowest[longer] = np.minimum(lowest[longer], running[longer])
    return lowest


def _min_window(size: int, flat: Floats, starts: Ints, counts: Ints) -> Floats:
    """The lowest mean over ``size`` steps in a row; the mean of a response that has fewer.

    It is the lowest group confidence of Fu et al. 2025 ("Deep think with confidence", arXiv 2508.15260), of step
    rewards instead of the confidence in tokens.
    """
    size = min(size, int(counts.max()))
    totals = flat.copy()
    for offset in range(1, size):
        totals[:-offset] += flat[offset:]
    left = np.repeat(starts + counts, counts) - np.arange(len(flat))  # steps from this one to the end of its response
    lowest = np.minimum.reduceat(np.where(left >= size, totals / size, np.inf), starts)
    return np.where(counts < size, _mean(flat, starts, counts), lowest)


def _pessimistic(factor: float, flat: Floats, starts: Ints, counts: Ints) -> Floats:
    """The mean minus ``factor`` times the standard deviation of a response's step rewards (divided by n, not n - 1)."""
    means = _mean(flat, starts, counts)
    squares = np.add.reduceat((flat - np.repeat(means, counts)) ** 2, starts)
    return means - factor * np.sqrt(squares / counts)


_REDUCERS: dict[str, Reducer] = {
    "min": lambda flat, starts, counts: np.minimum.reduceat(flat, starts),
    "last": lambda flat, starts, counts: flat[starts + counts - 1],
    "mean": _mean,
    "prod": lambda flat, starts, counts: np.multiply.reduceat(flat, starts),
    "sum": lambda flat, starts, counts: np.add.reduceat(flat, starts),
    "min_running_sum": _min_running_sum,
}
_WINDOW = re.compile(r"min_window_([2-9]|[1-9]\d{1,5})")
_FACTOR = re.compile(r"pessimistic_(\d{1,6}(?:\.\d{1,6})?)")
#: The aggregations whose names have no number.
AGGREGATIONS = tuple(_REDUCERS)


def _reducer(aggregation: str) -> Reducer:
    if match := _WINDOW.fullmatch(aggregation):
        return partial(_min_window, int(match[1]))
    # One name for one aggregation: 1 is not 1.0.
    if (match := _FACTOR.fullmatch(aggregation)) and match[1] == f"{float(match[1]):.12g}" != "0":
        return partial(_pessimistic, float(match[1]))
    if aggregation not in _REDUCERS:
        raise ValueError(
            f"no aggregation is named {aggregation!r}; choose from {', '.join(AGGREGATIONS)}, min_window_K (K steps, "
            "from 2 on), pessimistic_C (C above 0, such as 0.5)"
        )
    return _REDUCERS[aggregation]


def known_aggregation(aggregation: str) -> str:
    """``aggregation``, checked to name one.

    Raises:
        ValueError: where none has that name.
    """
    _reducer(aggregation)
    return aggregation


#: How step rewards become the score of a response, as a parameter.
Aggregation = Annotated[str, AfterValidator(known_aggregation)]


def cannot_be(aggregation: str, score_type: ScoreType) -> str | None:
    """Why an aggregation has no meaning for scores of a type; None where it has one."""
    if aggregation == "prod" and score_type != "probability":
        return f"prod needs probabilities, and these scores are {score_type}"
    if aggregation == "min_running_sum" and score_type == "probability":
        return "min_running_sum needs rewards that add up, and a sum of probabilities is lowest at the first step"
    return None


def aggregate(flat: Floats, lengths: Ints, aggregation: str, score_type: ScoreType) -> Floats:
    """Response scores from step rewards.

    Args:
        flat: float [S], the step rewards of all R responses, one response after the other.
        lengths: int [R], the number of steps of each response, at least 1; their sum is S.
        aggregation: its name. The paper's default is ``min``.
        score_type: what the rewards are: some aggregations have a meaning for some types only (:func:`cannot_be`).

    Returns:
        float [R].

    Raises:
        UserError: for an unknown aggregation, or one that has no meaning for such rewards.
        ValueError: for a response without rewards, or a reward that is not finite.
    """
    try:
        reducer = _reducer(aggregation)
    except ValueError as error:
        raise UserError(str(error)) from None
    if why := cannot_be(aggregation, score_type):
        raise UserError(f"aggregation: {why}: choose another one")
    if len(lengths) == 0:
        return np.empty(0)
    if lengths.min() < 1:
        raise ValueError("a response has no step rewards")
    if not np.isfinite(flat).all():
        raise ValueError("a step reward is not finite")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return reducer(flat, starts, lengths)
