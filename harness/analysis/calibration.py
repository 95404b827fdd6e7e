"""Whether scores that are probabilities are right as often as they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from harness.core.arrays import Bools, Floats

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The responses whose probabilities lie in one of :data:`BINS` intervals of the same width.

    Attributes:
        stated: their mean probability.
        right: the share of them that is right.
    """

    low: float
    high: float
    n_responses: int
    stated: float
    right: float


def reliability(probabilities: Floats, correct: Bools) -> list[Bin]:
    """The reliability curve: a bin of responses per interval that has any, from R responses, [R] each.

    A response with a probability of 1 belongs to the last interval, any other one on a border to the interval above it.
    """
    which = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    return [
        Bin(k / BINS, (k + 1) / BINS, int(own.sum()), float(probabilities[own].mean()), float(correct[own].mean()))
        for k in range(BINS)
        if (own := which == k).any()
    ]


def merged(curves: Iterable[list[Bin]]) -> list[Bin]:
    """The reliability curve of all responses from those of parts of them."""
    by_low: dict[float, list[Bin]] = {}
    for curve in curves:
        for one in curve:
            by_low.setdefault(one.low, []).append(one)
    return [_sum(by_low[low]) for low in sorted(by_low)]


def _sum(bins: list[Bin]) -> Bin:
    total = sum(one.n_responses for one in bins)
    stated, right = (
        sum(one.n_responses * share for one, share in zip(bins, shares, strict=True)) / total
        for shares in ([one.stated for one in bins], [one.right for one in bins])
    )
    return Bin(bins[0].low, bins[0].high, total, stated, right)


def calibration_error(bins: list[Bin]) -> float:
    """The expected calibration error: the mean distance of what is stated from what is right, over responses.

    Guo et al. 2017, "On calibration of modern neural networks", equation 3. NaN without responses.
    """
    total = sum(one.n_responses for one in bins)
    return sum(one.n_responses * abs(one.stated - one.right) for one in bins) / total if total else float("nan")
