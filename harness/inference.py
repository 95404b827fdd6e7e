"""How sure we are: bootstrap intervals over problems and paired comparisons.

The problems are the sample: another set of problems of the same kind would have given other numbers. The
samples of one problem belong together, so whole problems are drawn. One set of draws serves every row, so
whatever is compared is compared on the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from harness.selection import Floats

_LEVEL = 0.95
_FLIPS = 9_999


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over problems with its 95 % interval, as fractions. ``n_problems`` is what it rests on."""

    mean: float
    low: float
    high: float
    n_problems: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of two accuracies, as a fraction, with its 95 % percentile bootstrap interval.

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

    A row of values has one value in [0, 1] per problem, or NaN where there is none (a quarantined shard):
    means are over the problems that have a value.
    """

    def __init__(self, n_problems: int, draws: int, seed: int) -> None:
        rng = np.random.default_rng([seed, n_problems])
        uniform = np.full(n_problems, 1.0 / n_problems)
        self._weights: Floats = rng.multinomial(n_problems, uniform, size=draws).astype(np.float64)
        self._flip_seed = [seed, n_problems, 1]

    def intervals(self, values: Floats) -> list[Interval]:
        """Mean and interval of each row of ``values``, float [rows, P]; rows have at least one value."""
        if not len(values):
            return []
        drawn = self._means(values)
        low, high = np.nanquantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
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
        drawn = self._means(differences)
        low, high = np.nanquantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
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

    def _means(self, values: Floats) -> Floats:
        """Mean of each row in each draw, float [draws, rows]; NaN where a draw has none of a row's problems."""
        there = np.isfinite(values)
        sums = self._weights @ np.where(there, values, 0.0).T
        counts = self._weights @ there.astype(np.float64).T
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)

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


def _bootstrap_p(drawn: Floats) -> float:
    drawn = drawn[np.isfinite(drawn)]
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2.0 * (1.0 + tail) / (1.0 + len(drawn)))


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided McNemar p: the binomial test of ``won`` among the problems that were not drawn."""
    return min(1.0, 2.0 * float(binom.cdf(min(won, lost), won + lost, 0.5)))
