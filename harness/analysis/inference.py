"""How sure we are: bootstrap intervals over problems and paired comparisons.

The problems are the sample: another set of problems of the same kind would have given other numbers. The
samples of one problem belong together, so whole problems are drawn. One set of draws serves every row, so
whatever is compared is compared on the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from harness.core.arrays import Floats

IntervalMethod = Literal["percentile", "bca"]

_TAILS = (0.025, 0.975)
_FLIPS = 9_999


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over problems with its 95 % interval, as fractions. ``n_problems`` is what it rests on.

    The bounds of a number that was published without an interval are NaN.
    """

    mean: float
    low: float
    high: float
    n_problems: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of two accuracies, as a fraction, with its 95 % bootstrap interval.

    ``p_bootstrap`` is twice the share of bootstrap draws on the far side of 0. ``p_permutation`` tests
    that the two are exchangeable on every problem: the exact McNemar test where each problem is simply won,
    lost or drawn, else the sign-flip test with 9,999 random flips. ``won`` and ``lost`` count problems.
    """

    mean: float
    low: float
    high: float
    p_bootstrap: float
    p_permutation: float
    won: int
    lost: int
    n_problems: int


class Bootstrap:
    """``draws`` resamples of ``n_problems`` problems with replacement, from ``seed``.

    A row of values has one value per problem, or NaN where there is none (a quarantined shard): means are over the
    problems that have a value. Intervals are the percentiles of the draws' means (``percentile``), or those percentiles
    corrected for bias and skewness (``bca``: Efron 1987, "Better bootstrap confidence intervals"), which have the truth
    more nearly as often as they should where problems are few or most are right.
    """

    def __init__(self, n_problems: int, draws: int, seed: int, interval: IntervalMethod = "bca") -> None:
        rng = np.random.default_rng([seed, n_problems])
        uniform = np.full(n_problems, 1.0 / n_problems)
        self._weights: Floats = rng.multinomial(n_problems, uniform, size=draws).astype(np.float64)
        self._flip_seed = [seed, n_problems, 1]
        self._interval = interval

    def intervals(self, values: Floats) -> list[Interval]:
        """Mean and interval of each row of ``values``, float [rows, P]; rows have at least one value."""
        if not len(values):
            return []
        low, high = self._bounds(values, self.means(values))
        means, counts = np.nanmean(values, axis=1), np.isfinite(values).sum(axis=1)
        return [
            Interval(float(m), float(lo), float(hi), int(k))
            for m, lo, hi, k in zip(means, low, high, counts, strict=True)
        ]

    def compare(self, a: Floats, b: Floats) -> list[Difference]:
        """Row by row, a - b on the problems that both have a value for; a, b float [rows, P]."""
        if not len(a):
            return []
        differences = a - b
        # Expected accuracies that are equal in exact arithmetic must not count as won or lost.
        differences[np.abs(differences) < 1e-12] = 0.0
        drawn = self.means(differences)
        low, high = self._bounds(differences, drawn)
        means = np.nanmean(differences, axis=1)
        flipped = self._sign_flip_p(differences)
        found = []
        for row, values in enumerate(differences):
            values = values[np.isfinite(values)]
            won, lost = int((values > 0).sum()), int((values < 0).sum())
            binary = bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
            found.append(
                Difference(
                    mean=float(means[row]),
                    low=float(low[row]),
                    high=float(high[row]),
                    p_bootstrap=_bootstrap_p(drawn[:, row]),
                    p_permutation=mcnemar(won, lost) if binary else float(flipped[row]),
                    won=won,
                    lost=lost,
                    n_problems=len(values),
                )
            )
        return found

    def means(self, values: Floats) -> Floats:
        """Mean of each row in each draw, float [draws, rows]; NaN where a draw has none of a row's problems."""
        there = np.isfinite(values)
        sums = self._weights @ np.where(there, values, 0.0).T
        counts = self._weights @ there.astype(np.float64).T
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)

    def _bounds(self, values: Floats, drawn: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends of the intervals of the rows' means, given their ``drawn`` means."""
        if self._interval == "bca":
            return _quantiles(drawn, _bca_levels(values, drawn))
        low, high = np.nanquantile(drawn, _TAILS, axis=0)
        return low, high

    def _sign_flip_p(self, differences: Floats) -> Floats:
        filled = np.where(np.isfinite(differences), differences, 0.0)
        observed = np.abs(filled.sum(axis=1))
        rng = np.random.default_rng(self._flip_seed)
        reached = np.zeros(len(filled))
        left = _FLIPS
        while left:
            block = min(left, 1024)
            signs = rng.integers(0, 2, size=(block, filled.shape[1]), dtype=np.int8).astype(np.float64)
            signs *= 2.0  # in place: with many problems this is the largest array of a report
            signs -= 1.0
            reached += (np.abs(signs @ filled.T) >= observed - 1e-9).sum(axis=0)
            left -= block
        return (1.0 + reached) / (1.0 + _FLIPS)


def _bca_levels(values: Floats, drawn: Floats) -> Floats:
    """Which quantiles of the draws are the ends of the BCa interval, float [2, rows] (Efron 1987, section 4)."""
    means = np.nanmean(values, axis=1)
    there = np.isfinite(drawn)
    share = ((drawn < means) + 0.5 * (drawn == means)).sum(axis=0) / there.sum(axis=0)
    bias = ndtri(share)
    # Leaving a problem out moves a mean over k of them by (value - mean) / (k - 1), and k - 1 cancels.
    off = values - means[:, None]
    squares = np.nansum(off**2, axis=1)
    constant = squares <= 1e-20  # the same value everywhere, up to rounding: nothing to correct
    acceleration = np.nansum(off**3, axis=1) / (6 * np.where(constant, 1.0, squares) ** 1.5)
    tails = ndtri(np.array(_TAILS))[:, None]
    levels = ndtr(bias + (bias + tails) / (1 - acceleration * (bias + tails)))
    # With all draws on one side of the mean (a handful of problems) the correction is infinite: none is made.
    usable = np.isfinite(levels) & np.isfinite(bias) & ~constant
    return np.where(usable, levels, np.array(_TAILS)[:, None])


def _quantiles(drawn: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """Quantiles of each column of ``drawn`` at levels of its own, interpolated linearly; NaN is left out."""
    ranked = np.sort(drawn, axis=0)  # NaN last
    place = levels * (np.isfinite(drawn).sum(axis=0) - 1)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    start, stop = np.take_along_axis(ranked, below, axis=0), np.take_along_axis(ranked, above, axis=0)
    low, high = start + (place - below) * (stop - start)
    return low, high


def _bootstrap_p(drawn: Floats) -> float:
    drawn = drawn[np.isfinite(drawn)]
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2.0 * (1.0 + tail) / (1.0 + len(drawn)))


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided McNemar p: the binomial test of ``won`` among the problems that were not drawn."""
    return min(1.0, 2.0 * float(binom.cdf(min(won, lost), won + lost, 0.5)))


def holm(p: Floats) -> Floats:
    """p adjusted so that the chance of even one false claim among them stays below the level (Holm 1979).

    The k-th smallest of m is multiplied by m - k + 1, and is at least those before it and at most 1.
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted
