"""The smallest difference that problems can show, and how many problems a difference needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from harness.analysis.inference import Bootstrap
from harness.analysis.power import Power, power


def of(values: np.ndarray) -> Power:
    """The power of the comparison whose paired differences are ``values``."""
    (error,) = Bootstrap(len(values), 1, seed=0).standard_errors(values[None])
    return power(float(np.nanmean(values)), float(error), int(np.isfinite(values).sum()))


def chance_to_show(difference: float, deviation: float, n_problems: int) -> float:
    """Of a two-sided z test at 5 %, in the tail of the difference."""
    error = deviation / n_problems**0.5
    return float(norm.sf(norm.ppf(0.975) * error, loc=difference, scale=error))


def test_the_numbers_solve_the_power_of_the_test() -> None:
    values = np.random.default_rng(0).normal(0.05, 0.4, 300)
    values[7] = np.nan
    found, kept = of(values), np.delete(values, 7)
    mean, deviation = abs(kept.mean()), kept.std(ddof=1)
    assert found.detectable == pytest.approx(brentq(lambda d: chance_to_show(d, deviation, 299) - 0.8, 0, 1))
    assert found.needed is not None
    assert chance_to_show(mean, deviation, found.needed) >= 0.8 > chance_to_show(mean, deviation, found.needed - 1)


def test_so_many_problems_show_it_in_eight_of_ten_sets() -> None:
    """By drawing sets of problems: won, lost and drawn ones, as paired comparisons have them."""
    rng = np.random.default_rng(1)
    n_problems, unshifted = 400, np.array([-1.0, 0.0, 1.0])
    at_first = rng.choice(unshifted, p=[0.1, 0.8, 0.1], size=n_problems)
    smallest = of(at_first).detectable
    assert smallest is not None
    drawn = rng.choice(unshifted, p=[0.1 - smallest / 2, 0.8, 0.1 + smallest / 2], size=(4000, n_problems))
    z = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / n_problems**0.5)
    # s differs from set to set by a few percent, which moves the power by about as much.
    assert (z > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.05)


def test_what_seeds_add_is_not_lessened_by_more_problems() -> None:
    error, of_seeds, n_problems = 0.02, 0.01**2, 100

    def chance(difference: float, problems: int) -> float:
        whole = np.sqrt(error**2 * n_problems / problems + of_seeds)
        return float(norm.sf(norm.ppf(0.975) * whole, loc=difference, scale=whole))

    found = power(0.04, error, n_problems, of_seeds)
    assert found.detectable == pytest.approx(brentq(lambda d: chance(d, n_problems) - 0.8, 0, 1))
    assert found.needed is not None
    assert chance(0.04, found.needed) >= 0.8 > chance(0.04, found.needed - 1)
    assert power(0.028, error, n_problems, of_seeds).needed is None and chance(0.028, 10**9) < 0.8


@pytest.mark.parametrize("values", [[0.3], [0.0] * 9, [0.25] * 9, [np.nan, 0.5]])
def test_what_does_not_vary_says_nothing(values: list[float]) -> None:
    assert of(np.array(values)) == Power(None, None)


def test_no_difference_needs_no_number() -> None:
    found = of(np.array([0.5, -0.5] * 8))
    assert found.needed is None and found.detectable == pytest.approx(2.8016 * np.sqrt(0.25 * 16 / 15) / 4, rel=1e-4)


def test_the_error_of_a_mean_of_sets_is_that_of_their_draws() -> None:
    """The deviation of many draws within each set, which divide by n where the estimate divides by n - 1."""
    rng = np.random.default_rng(2)
    strata = np.repeat([0, 1], [60, 40])
    values = np.where(strata == 0, rng.normal(0, 1, 100), rng.normal(2, 5, 100))
    bootstrap = Bootstrap(100, 20_000, seed=0, strata=strata)
    drawn = bootstrap.means(values[None])[:, 0].std()
    (error,) = bootstrap.standard_errors(values[None])
    assert error == pytest.approx(drawn * (40 / 39) ** 0.5, rel=0.03)
    assert np.isnan(Bootstrap(4, 1, seed=0, strata=np.array([0, 0, 0, 1])).standard_errors(values[None, :4]))[0]
