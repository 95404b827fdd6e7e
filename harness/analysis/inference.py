"""How sure we are: bootstrap intervals over problems and paired comparisons.

The problems are the sample: another set of problems of the same kind would have given other numbers. The samples of one
problem belong together, so whole problems are drawn. One set of draws serves every row. So all rows are compared on the
same draws.

Where the problems are those of several sets, every mean is the unweighted mean over sets of the sets' own means (the
macro average), and the sets are the strata: from each, as many of its problems are drawn as it has.

Arrays: P problems; ``values`` float [rows, P] have a value per problem, NaN where there is none; ``drawn`` float
[draws, rows] are the rows' means in each draw.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest

from harness.core.arrays import Floats, Ints
from harness.core.terms import IntervalMethod

_TAILS = (0.025, 0.975)
_FLIPS = 9_999
#: Bytes, about, of an array on the way to a number: draws, flips and rows are gone over in blocks of that size.
ROOM = 32 << 20


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over ``n_problems`` problems with its 95 % interval, as fractions.

    The bounds of a number that was published without an interval are NaN.
    """

    mean: float
    low: float
    high: float
    n_problems: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of two accuracies, as a fraction, with its 95 % bootstrap interval.

    ``p_bootstrap`` belongs to the interval: the interval of level 1 - p ends at 0. It is below 0.05 exactly where the
    95 % interval leaves 0 out. ``p_permutation`` tests whether the two are exchangeable on every problem. It is the
    exact McNemar test where each problem is simply won, lost or drawn, else the sign-flip test with 9,999 random flips.
    Of several sets it is always the latter, on the mean over sets: McNemar's test counts problems, of whatever set.
    Where a side was trained with several seeds, the interval covers these too and both p are its own
    (:mod:`harness.analysis.seeds`). ``won`` and ``lost`` count problems. ``p_holm`` is ``p_permutation`` corrected for
    the number of comparisons, NaN where nothing was corrected (see :func:`corrected`).
    """

    mean: float
    low: float
    high: float
    p_bootstrap: float
    p_permutation: float
    won: int
    lost: int
    n_problems: int
    p_holm: float = math.nan


class Bootstrap:
    """``draws`` resamples of ``n_problems`` problems with replacement, from ``seed``.

    A row of values has one value per problem, or NaN where there is none (a quarantined shard): means are over the
    problems that have a value. Intervals are the percentiles of the draws' means (``percentile``), or those percentiles
    corrected for bias and skewness (``bca``: Efron 1987, "Better bootstrap confidence intervals"), which have the truth
    more nearly as often as they should where problems are few or most are right.

    ``strata`` says which set each problem is of, int [P], where there are several: each set's problems are drawn among
    themselves, and means are means over the sets that a row has values in.
    """

    def __init__(
        self, n_problems: int, draws: int, seed: int, interval: IntervalMethod = "bca", strata: Ints | None = None
    ) -> None:
        rng = np.random.default_rng([seed, n_problems])
        sets = np.zeros(n_problems, dtype=np.int64) if strata is None else strata
        self._sets = [np.flatnonzero(sets == which) for which in np.unique(sets)]
        # How often each problem is in each draw: in a byte, as 256 times are beyond all chance.
        self._drawn = np.empty((draws, n_problems), dtype=np.uint8)
        for members in self._sets:
            uniform = np.full(len(members), 1.0 / len(members))
            for block in _blocks(draws, n_problems):
                drawn = rng.multinomial(len(members), uniform, size=block.stop - block.start)
                self._drawn[block, members if strata is not None else slice(None)] = drawn
        self._flip_seed = [seed, n_problems, 1]
        self._interval = interval

    def average(self, values: Floats) -> Floats:
        """Mean of each row of ``values``, float [rows, P]: float [rows]. Of several sets, the mean of their means."""
        several = len(self._sets) > 1
        means: Floats = np.nanmean(self._of_sets(values), axis=0) if several else np.nanmean(values, axis=1)
        return means

    def intervals(self, values: Floats | Sequence[Floats]) -> list[Interval]:
        """Mean and interval of each row of ``values``, float [rows, P]. Every row has at least one value."""
        blocks = _blocks(len(values), self._drawn.shape[1])
        return [interval for block in blocks for interval in self._intervals(np.array(values[block]))]

    def _intervals(self, values: Floats) -> list[Interval]:
        low, high = self._bounds(values, self.means(values))
        means, counts = self.average(values), np.isfinite(values).sum(axis=1)
        return [
            Interval(float(m), float(lo), float(hi), int(k))
            for m, lo, hi, k in zip(means, low, high, counts, strict=True)
        ]

    def compare(self, a: Floats, b: Floats) -> list[Difference]:
        """Row by row, a - b on the problems that both have a value for; a, b float [rows, P]."""
        blocks = _blocks(len(a), self._drawn.shape[1])
        return [difference for block in blocks for difference in self._compare(a[block] - b[block])]

    def _compare(self, differences: Floats) -> list[Difference]:
        # Expected accuracies that are equal in exact arithmetic must not count as won or lost.
        differences[np.abs(differences) < 1e-12] = 0.0
        drawn = self.means(differences)
        low, high = self._bounds(differences, drawn)
        means = self.average(differences)
        flipped = self._sign_flip_p(differences)
        p = self._bootstrap_p(differences, drawn)
        compared = []
        for row, values in enumerate(differences):
            values = values[np.isfinite(values)]
            won, lost = int((values > 0).sum()), int((values < 0).sum())
            counts = len(self._sets) == 1 and bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
            compared.append(
                Difference(
                    mean=float(means[row]),
                    low=float(low[row]),
                    high=float(high[row]),
                    p_bootstrap=float(p[row]),
                    p_permutation=mcnemar(won, lost) if counts else float(flipped[row]),
                    won=won,
                    lost=lost,
                    n_problems=len(values),
                )
            )
        return compared

    def standard_errors(self, values: Floats) -> Floats:
        """Of each row's mean over problems, float [rows], from the spread of the problems' ``values``, float [rows, P].

        Of several sets, that of the mean of their means: sets are what they are, problems vary within them. NaN where a
        row has one value only, of a set that it has values in.
        """
        squares, n_sets = np.zeros(len(values)), np.zeros(len(values))
        for members, means in zip(self._sets, self._of_sets(values), strict=True):
            own = values[:, members]
            counts = np.isfinite(own).sum(axis=1).astype(np.float64)
            spread = np.nansum((own - means[:, None]) ** 2, axis=1)
            variances = np.divide(spread, (counts - 1) * counts, out=np.full_like(spread, np.nan), where=counts > 1)
            squares += np.where(counts > 0, variances, 0.0)
            n_sets += counts > 0
        errors: Floats = np.sqrt(squares) / n_sets
        return errors

    def means(self, values: Floats) -> Floats:
        """Mean of each row of ``values``, float [rows, P], in each draw: float [draws, rows].

        NaN where a draw has none of the problems that the row has a value for, in any set that the row has values in.
        """
        if len(self._sets) == 1:
            return _drawn_means(self._drawn, values)
        total, n_sets = np.zeros((len(self._drawn), len(values))), np.zeros(len(values))
        for members in self._sets:
            own = values[:, members]
            present = np.isfinite(own).any(axis=1)
            total[:, present] += _drawn_means(self._drawn[:, members], own[present])
            n_sets += present
        drawn: Floats = np.divide(total, n_sets, out=np.full_like(total, np.nan), where=n_sets > 0)
        return drawn

    def _of_sets(self, values: Floats) -> Floats:
        """Mean of each row of ``values`` in each set: float [sets, rows]; NaN where it has no values there."""
        finite = np.isfinite(values)
        sums = np.array([np.where(finite[:, own], values[:, own], 0.0).sum(axis=1) for own in self._sets])
        counts = np.array([finite[:, own].sum(axis=1) for own in self._sets])
        means: Floats = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return means

    def _influence(self, values: Floats) -> Floats:
        """How a row's mean moves with the weight of each problem, float [rows, P], up to a factor of the row.

        For a problem of a set with k values it is (value - the set's mean) / k: the empirical influence value of a
        statistic of several samples, divided by the sample's size, as the acceleration takes it (Davison and Hinkley
        1997, "Bootstrap methods and their application", on several samples).
        """
        if len(self._sets) == 1:
            off: Floats = values - np.nanmean(values, axis=1)[:, None]
            return off
        influence = np.full_like(values, np.nan)
        most = np.isfinite(values).sum(axis=1)
        for members, means in zip(self._sets, self._of_sets(values), strict=True):
            own = values[:, members]
            share = np.isfinite(own).sum(axis=1) / most
            influence[:, members] = (own - means[:, None]) / np.where(share > 0, share, 1.0)[:, None]
        return influence

    def _bounds(self, values: Floats, drawn: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends of the rows' intervals, float [rows] each."""
        if self._interval == "bca":
            return _quantiles(drawn, self._correction(values, drawn).levels(np.array(_TAILS)))
        low, high = np.nanquantile(drawn, _TAILS, axis=0)
        return low, high

    def _correction(self, values: Floats, drawn: Floats) -> _Correction:
        return _Correction.of(self.average(values), self._influence(values), drawn)

    def _bootstrap_p(self, values: Floats, drawn: Floats) -> Floats:
        """For each row the p at which the interval of level 1 - p ends at 0, float [rows].

        Two-sided, twice the smaller of two tails: the largest level below which the lower end is at most 0, and the
        same for the upper end. B draws show no p below 2 / (B + 1).
        """
        below, above = _levels_of_zero(drawn)
        if self._interval == "bca":
            correction = self._correction(values, drawn)
            below, above = correction.nominal(below), correction.nominal(above)
        least = 2.0 / (1.0 + np.isfinite(drawn).sum(axis=0))
        p: Floats = np.clip(2.0 * np.minimum(above, 1.0 - below), np.minimum(least, 1.0), 1.0)
        return p

    def _sign_flip_p(self, differences: Floats) -> Floats:
        filled = np.where(np.isfinite(differences), differences, 0.0)
        if len(self._sets) > 1:
            # Each problem counts as it does in the mean over sets; the row's factor changes no p.
            for members in self._sets:
                count = np.isfinite(differences[:, members]).sum(axis=1)
                filled[:, members] /= np.maximum(count, 1)[:, None]
        observed = np.abs(filled.sum(axis=1))
        rng = np.random.default_rng(self._flip_seed)
        reached = np.zeros(len(filled))
        for block in _blocks(_FLIPS, filled.shape[1], 1024):
            size = (block.stop - block.start, filled.shape[1])
            signs = rng.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)
            signs *= 2.0  # in place: with many problems this is the largest array of a report
            signs -= 1.0
            reached += (np.abs(signs @ filled.T) >= observed - 1e-9).sum(axis=0)
        return (1.0 + reached) / (1.0 + _FLIPS)


def _drawn_means(drawn: NDArray[np.uint8], values: Floats) -> Floats:
    """Mean of each row of ``values``, float [rows, P], in draws that have each problem so often, int [draws, P]."""
    finite = np.isfinite(values)
    filled, counted = np.where(finite, values, 0.0).T, finite.astype(np.float64).T
    sums, counts = np.empty((2, len(drawn), len(values)))
    for block in _blocks(*drawn.shape):
        weights = drawn[block].astype(np.float64)
        sums[block], counts[block] = weights @ filled, weights @ counted
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


@dataclass(frozen=True, slots=True)
class _Correction:
    """How BCa shifts the level of each row's quantiles (Efron 1987, section 4): ``bias`` is z0, ``acceleration`` a.

    Both are 0 for the rows without a correction.
    """

    bias: Floats  # [rows]
    acceleration: Floats  # [rows]

    @classmethod
    def of(cls, means: Floats, influence: Floats, drawn: Floats) -> _Correction:
        """From the rows' means, float [rows], how these move with each problem's weight, float [rows, P], up to a
        factor, and the means in the draws, float [draws, rows]."""
        share = ((drawn < means) + 0.5 * (drawn == means)).sum(axis=0) / np.isfinite(drawn).sum(axis=0)
        bias = ndtri(share)
        squares = np.nansum(influence**2, axis=1)
        constant = squares <= 1e-20  # the same value everywhere, up to rounding: nothing to correct
        acceleration = np.nansum(influence**3, axis=1) / (6 * np.where(constant, 1.0, squares) ** 1.5)
        # With all draws on one side of the mean (a handful of problems) the correction is infinite: none is made.
        usable = np.isfinite(bias) & ~constant
        return cls(np.where(usable, bias, 0.0), np.where(usable, acceleration, 0.0))

    def levels(self, nominal: Floats) -> Floats:
        """Which quantiles of the draws stand for the ``nominal`` levels, float [levels]: float [levels, rows]."""
        shifted = self.bias + ndtri(nominal)[:, None]
        levels: Floats = ndtr(self.bias + shifted / (1 - self.acceleration * shifted))
        plain = (self.bias == 0) & (self.acceleration == 0)
        return np.where(plain, nominal[:, None], levels)

    def nominal(self, levels: Floats) -> Floats:
        """The inverse: the nominal levels that quantiles of the draws at ``levels``, float [rows], stand for.

        The formula of Efron and Tibshirani 1993, "An introduction to the bootstrap", section 15.4.
        """
        shifted = ndtri(levels) - self.bias
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = 1 + self.acceleration * shifted
            # Where the scale is not positive, no nominal level reaches so far into the tail.
            unshifted = np.where(np.isfinite(shifted) & (scale > 0), shifted / scale, np.copysign(np.inf, shifted))
        nominal: Floats = ndtr(unshifted - self.bias)
        return nominal


def _blocks(rows: int, n_problems: int, most: int = sys.maxsize) -> Iterator[slice]:
    """The rows of float [rows, P] in blocks of at most ``most`` rows and about :data:`ROOM` bytes.

    Their sizes, but the last one's, are multiples of four, as a generator draws bytes in fours: then the blocks' draws
    are those of all rows together.
    """
    size = min(max(ROOM // (8 * n_problems) // 4 * 4, 4), most)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def _levels_of_zero(drawn: Floats) -> tuple[Floats, Floats]:
    """The least and the largest level at which the quantile of each column of ``drawn`` is 0, float [rows] each.

    The inverse of :func:`_quantiles`. Both are the same where no draw is 0; both are 0 or 1 where all draws are on one
    side of 0.
    """
    ranked = np.sort(drawn, axis=0)  # NaN last
    count = np.isfinite(drawn).sum(axis=0)
    levels = []
    for before in ((drawn < 0).sum(axis=0), (drawn <= 0).sum(axis=0)):
        inside = (before > 0) & (before < count)
        last, first = np.maximum(before - 1, 0), np.minimum(before, len(drawn) - 1)
        start = np.take_along_axis(ranked, last[None], axis=0)[0]
        stop = np.take_along_axis(ranked, first[None], axis=0)[0]
        share = np.divide(-start, stop - start, out=np.zeros_like(start), where=inside)
        levels.append(np.where(inside, (last + share) / np.maximum(count - 1, 1), before >= count))
    return levels[0], levels[1]


def _quantiles(drawn: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """Quantiles of each column of ``drawn`` at levels of its own, interpolated linearly; NaN is left out."""
    ranked = np.sort(drawn, axis=0)  # NaN last
    place = levels * (np.isfinite(drawn).sum(axis=0) - 1)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    start, stop = np.take_along_axis(ranked, below, axis=0), np.take_along_axis(ranked, above, axis=0)
    low, high = start + (place - below) * (stop - start)
    return low, high


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided McNemar p: the binomial test of ``won`` among the problems that were not drawn; 1 for none."""
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def holm(p: Floats) -> Floats:
    """p, float [comparisons], corrected for their number: float [comparisons] (Holm 1979).

    Claiming a difference wherever the corrected p is below a level makes even one false claim with at most that
    probability. The k-th smallest of m is multiplied by m - k + 1; it is at least the one before it, and at most 1.
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences with ``p_holm``, corrected for their number."""
    adjusted = holm(np.array([d.p_permutation for d in differences]))
    return [replace(d, p_holm=float(p)) for d, p in zip(differences, adjusted, strict=True)]
