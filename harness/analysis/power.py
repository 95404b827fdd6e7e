"""Is it enough? What difference so many problems can show, and how many problems the difference seen would need.

For a paired comparison over P problems, whose differences have the standard deviation s: the mean has the standard
error s / sqrt(P), and a two-sided test at the level alpha finds a true difference d with the probability
Phi(d sqrt(P) / s - z(1 - alpha / 2)), the other tail left out. This is the power where
d = (z(1 - alpha / 2) + z(power)) s / sqrt(P) (Lachin 1981, "Introduction to sample size determination and power
analysis for clinical trials"). Both numbers take the s that was observed for the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy.special import ndtri

from harness.core.arrays import Floats

LEVEL, POWER = 0.05, 0.8
_Z = float(ndtri(1 - LEVEL / 2) + ndtri(POWER))
_EQUAL = 1e-12  # differences that are 0 in exact arithmetic


@dataclass(frozen=True, slots=True)
class Power:
    """What a comparison over these problems could have shown, at p < 0.05 in 80 % of such sets of problems.

    ``detectable`` is the smallest such difference, a fraction; None where all problems have the same difference, or
    there is one problem only: nothing says then how much problems vary. ``needed`` is how many problems would show the
    difference that was seen; None where there is no difference, or no ``detectable``.
    """

    detectable: float | None
    needed: int | None


def power(differences: Floats) -> Power:
    """From the paired differences of problems, float [P], NaN where a problem has none."""
    values = differences[np.isfinite(differences)]
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if deviation < _EQUAL:
        return Power(None, None)
    mean = abs(float(values.mean()))
    needed = None if mean < _EQUAL else ceil((_Z * deviation / mean) ** 2)
    return Power(_Z * deviation / sqrt(len(values)), needed)
