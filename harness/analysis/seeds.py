"""Differences between methods that were trained several times, with other seeds: intervals over problems and seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from harness.analysis.inference import Bootstrap, Interval
from harness.core.arrays import Floats

_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Contrast:
    """A paired difference: float [seeds, P] per training seed and problem, NaN where a problem has no value."""

    values: Floats

    @property
    def n_seeds(self) -> int:
        return len(self.values)

    def interval(self, bootstrap: Bootstrap) -> Interval:
        """The mean difference with its 95 % interval.

        With one seed the interval is the bootstrap's over problems, and says nothing about other trainings. With S
        seeds the squared standard error is se_P² + s²/S: the bootstrap's of the mean over seeds, and the variance s² of
        the seeds' means. The interval has a t distribution's width, with the degrees of freedom of Welch (1947) and
        Satterthwaite (1946): se⁴ / (se_P⁴ / (P - 1) + (s²/S)² / (S - 1)).
        """
        over_problems = bootstrap.intervals(np.nanmean(self.values, axis=0)[None])[0]
        if self.n_seeds == 1:
            return over_problems
        of_problems = ((over_problems.high - over_problems.low) / (2 * _NORMAL_95)) ** 2
        of_seeds = float(bootstrap.average(self.values).var(ddof=1)) / self.n_seeds
        variance = of_problems + of_seeds
        if variance == 0:
            return over_problems
        # A single problem has no spread that the bootstrap could show: its share of the variance is 0.
        among_problems = of_problems**2 / max(over_problems.n_problems - 1, 1)
        degrees = variance**2 / (among_problems + of_seeds**2 / (self.n_seeds - 1))
        half = float(student_t.ppf(0.975, degrees)) * math.sqrt(variance)
        mean = over_problems.mean
        return Interval(mean, mean - half, mean + half, over_problems.n_problems)
