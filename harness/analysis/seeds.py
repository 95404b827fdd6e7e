"""Methods that were trained several times, with other seeds: intervals over problems and seeds.

The problems of an evaluation are a sample, and so are the trainings: another seed would have given another model. An
interval over problems alone says nothing of that. Here P are problems and S seeds.

The interval of a mean over problems and seeds joins two intervals (Howe 1974, "Approximate confidence limits on the
mean of X + Y where X and Y are two tabled independent random variables"; Zou and Donner 2008, "Construction of
confidence limits about effect measures"). Its half-width on each side is the root of the sum of squares of

- the half-width on that side of the bootstrap interval over problems, of the mean over seeds, and
- t · c, with Student's t of S - 1 degrees of freedom and c² the variance of the mean that is due to seeds.

c² is s² / S less v, and at least 0: s² is the variance of the seeds' means. v is the part of s² / S that comes from
having few problems (a training is better on some problems and worse on others). The interval over problems has it
already. With no variance beyond it, the interval is that over problems.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student_t

from harness.analysis.inference import Bootstrap, Difference, Interval
from harness.core.arrays import Floats

_LEVEL = 0.05
_LEAST_P = 1e-9


@dataclass(frozen=True, eq=False)
class BySeed:
    """A number per training and problem: float [S, P], NaN where a problem has none, and the trainings' seeds.

    What was trained once, or not at all, has one row and no seeds.
    """

    values: Floats
    seeds: tuple[int, ...] = ()

    @property
    def n_seeds(self) -> int:
        return len(self.values)

    @cached_property
    def mean(self) -> Floats:
        """Per problem the mean over seeds, float [P]; NaN for a problem that not all of them have."""
        mean: Floats = self.values[0] if self.n_seeds == 1 else self.values.mean(axis=0)
        return mean

    def on(self, problems: Floats) -> BySeed:
        """The same on the problems where ``problems``, float [P], is a number."""
        return BySeed(np.where(np.isfinite(problems), self.values, np.nan), self.seeds)

    def seed_means(self, bootstrap: Bootstrap) -> Floats:
        """The mean over problems of each training, float [S], on the problems that all of them have."""
        return bootstrap.average(self.on(self.mean).values)


def intervals(bootstrap: Bootstrap, rows: Sequence[BySeed]) -> list[Interval]:
    """The mean of each row with its 95 % interval: over problems and, where it has several seeds, over seeds."""
    found = bootstrap.intervals([row.mean for row in rows])
    return [
        interval if row.n_seeds == 1 else _widened(interval, [_OfSeeds.of(bootstrap, row)])
        for row, interval in zip(rows, found, strict=True)
    ]


def accuracy_intervals(bootstrap: Bootstrap, rows: Sequence[BySeed]) -> list[Interval]:
    """As :func:`intervals`, of accuracies: what seeds add does not lead beyond 0 and 1."""
    return [
        found if row.n_seeds == 1 else replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))
        for row, found in zip(rows, intervals(bootstrap, rows), strict=True)
    ]


def compare(bootstrap: Bootstrap, ours: Sequence[BySeed], theirs: Sequence[BySeed]) -> list[Difference]:
    """Row by row, ours - theirs on the problems that both have a value for, paired by problem.

    Where both were trained with the same seeds they are paired by seed too. Otherwise the seeds of each add to the
    interval, and what was trained once adds nothing: another training of it is not covered. With several seeds both p
    are that of the interval: the interval of level 1 - p ends at 0.
    """
    if not ours:
        return []
    found = bootstrap.compare(np.array([row.mean for row in ours]), np.array([row.mean for row in theirs]))
    return [_compared(bootstrap, a, b, difference) for a, b, difference in zip(ours, theirs, found, strict=True)]


def leads(bootstrap: Bootstrap, best: BySeed, others: Sequence[BySeed]) -> list[Interval]:
    """The paired difference of ``best`` from each of the others, with its interval: as :func:`compare`, without p."""
    found = bootstrap.intervals([best.mean - other.mean for other in others])
    return [_widened(interval, _parts(bootstrap, best, other)) for other, interval in zip(others, found, strict=True)]


def variance_of_seeds(bootstrap: Bootstrap, a: BySeed, b: BySeed) -> float:
    """The variance of the mean of a - b that is due to seeds, which more problems do not lessen; 0 without seeds."""
    return float(sum(part.variance for part in _parts(bootstrap, a, b)))


def seed_sd(bootstrap: Bootstrap, row: BySeed) -> float:
    """The standard deviation of the trainings' means (divided by S - 1); NaN for one training."""
    return float(row.seed_means(bootstrap).std(ddof=1)) if row.n_seeds > 1 else math.nan


@dataclass(frozen=True, slots=True)
class _OfSeeds:
    """What seeds add to a variance: c² and its degrees of freedom (see the module)."""

    variance: float
    degrees: int

    @classmethod
    def of(cls, bootstrap: Bootstrap, row: BySeed) -> _OfSeeds:
        values = row.on(row.mean).values
        degrees = row.n_seeds - 1
        # How far each training is from the mean of all, problem by problem: what it does in draws of problems is the
        # share of s² that comes from having these problems and not others.
        among_problems = float(bootstrap.means(values - row.mean).var(axis=0).sum()) / degrees
        of_seeds = float(row.seed_means(bootstrap).var(ddof=1))
        return cls(max(of_seeds - among_problems, 0.0) / row.n_seeds, degrees)

    def square(self, level: float) -> float:
        """The square of the half-width at confidence 1 - ``level``."""
        return float(student_t.isf(level / 2, self.degrees)) ** 2 * self.variance


def _compared(bootstrap: Bootstrap, a: BySeed, b: BySeed, difference: Difference) -> Difference:
    if a.n_seeds == b.n_seeds == 1:
        return difference
    parts = _parts(bootstrap, a, b)
    of_problems = Interval(difference.mean, difference.low, difference.high, difference.n_problems)
    wide = _widened(of_problems, parts)
    p = _p(of_problems, parts)
    return replace(difference, low=wide.low, high=wide.high, p_bootstrap=p, p_permutation=p)


def _parts(bootstrap: Bootstrap, a: BySeed, b: BySeed) -> list[_OfSeeds]:
    """What seeds add to the variance of a - b."""
    both = a.mean - b.mean
    if a.n_seeds == b.n_seeds > 1 and a.seeds == b.seeds:
        return [_OfSeeds.of(bootstrap, BySeed(a.values - b.values, a.seeds).on(both))]
    return [_OfSeeds.of(bootstrap, side.on(both)) for side in (a, b) if side.n_seeds > 1]


def _widened(interval: Interval, parts: Sequence[_OfSeeds]) -> Interval:
    """An interval over problems, made to cover other seeds too."""
    added = sum(part.square(_LEVEL) for part in parts)
    if added == 0:
        return interval
    low = interval.mean - math.sqrt((interval.mean - interval.low) ** 2 + added)
    return replace(interval, low=low, high=interval.mean + math.sqrt((interval.high - interval.mean) ** 2 + added))


def _p(interval: Interval, parts: Sequence[_OfSeeds]) -> float:
    """The p at which the interval of level 1 - p ends at 0, where the one over problems widens as a normal one does.

    It is below 0.05 exactly where the 95 % interval leaves 0 out.
    """
    half = interval.mean - interval.low if interval.mean > 0 else interval.high - interval.mean

    def beyond(level: float) -> float:
        of_problems = half * float(norm.isf(level / 2) / norm.isf(_LEVEL / 2))
        return of_problems**2 + sum(part.square(level) for part in parts) - interval.mean**2

    if interval.mean == 0:
        return 1.0
    if beyond(_LEAST_P) <= 0:
        return _LEAST_P
    return float(brentq(beyond, _LEAST_P, 1.0))
