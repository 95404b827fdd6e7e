"""Is it enough? What difference so many problems can show, and how many problems the difference seen would need.

A two-sided test at the level alpha finds a true difference d, whose estimate has the standard error e, with the
probability Phi(d / e - z(1 - alpha / 2)), the other tail left out. This is the power where d = (z(1 - alpha / 2) +
z(power)) e, and e falls with the root of the number of problems (Lachin 1981, "Introduction to sample size
determination and power analysis for clinical trials"). Both numbers take the e that was observed for the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot, sqrt

from scipy.special import ndtri

LEVEL, POWER = 0.05, 0.8
_Z = float(ndtri(1 - LEVEL / 2) + ndtri(POWER))
_EQUAL = 1e-12  # what is 0 in exact arithmetic


@dataclass(frozen=True, slots=True)
class Power:
    """What a comparison over these problems could have shown, at p < 0.05 in 80 % of such sets of problems.

    ``detectable`` is the smallest such difference, a fraction; None where all problems have the same difference, or
    there is one problem only: nothing says then how much problems vary. ``needed`` is how many problems would show the
    difference that was seen; None where there is no difference, or no ``detectable``, or where so small a difference
    is hidden by training seeds however many problems there are.
    """

    detectable: float | None
    needed: int | None


def power(difference: float, standard_error: float, n_problems: int, of_seeds: float = 0.0) -> Power:
    """From a mean paired difference over ``n_problems`` and its standard error; NaN where there is none.

    Args:
        of_seeds: the variance of the difference that is due to training seeds, and stays the same with more problems.
    """
    if not standard_error > _EQUAL:
        return Power(None, None)
    detectable = _Z * hypot(standard_error, sqrt(of_seeds))
    if abs(difference) < _EQUAL or (room := 1 - of_seeds * (_Z / difference) ** 2) <= 0:
        return Power(detectable, None)
    return Power(detectable, ceil(n_problems * (_Z * standard_error / difference) ** 2 / room))
