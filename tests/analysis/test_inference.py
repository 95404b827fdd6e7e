"""Intervals against scipy's, corrected p against their definition, votes whose margins single precision cannot see."""

from __future__ import annotations

from itertools import combinations
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import bootstrap

from harness.analysis.inference import Bootstrap, holm, mcnemar
from harness.analysis.selection import weighted_best_of_n

ROWS = {
    "skewed": np.random.default_rng(1).beta(0.2, 2.0, 40),
    "rare": (np.random.default_rng(2).random(60) < 0.1).astype(float),
    "expected accuracies": np.random.default_rng(3).integers(0, 9, 25) / 8,
    "differences": np.random.default_rng(4).normal(0.1, 0.4, 30),
}


@pytest.mark.parametrize("values", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_equal_scipys_on_the_same_draws(values: np.ndarray, method: str) -> None:
    ours = Bootstrap(len(values), 1500, seed=5, interval=method)  # type: ignore[arg-type]
    drawn = SimpleNamespace(bootstrap_distribution=ours.means(values[None])[:, 0])
    theirs = bootstrap(
        (values,),
        np.mean,
        n_resamples=0,
        bootstrap_result=drawn,
        method={"percentile": "percentile", "bca": "BCa"}[method],
    ).confidence_interval
    (found,) = ours.intervals(values[None])
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_bca_moves_a_skewed_interval_and_leaves_a_symmetric_one() -> None:
    skewed, symmetric = ROWS["skewed"], np.repeat([0.25, 0.75], 20)
    for values, low, high in ((skewed, 0.001, 0.1), (symmetric, 0.0, 0.012)):
        (plain,) = Bootstrap(40, 4000, seed=0, interval="percentile").intervals(values[None])
        (bca,) = Bootstrap(40, 4000, seed=0, interval="bca").intervals(values[None])
        assert low <= bca.high - plain.high + 0.006 * (high < 0.1) <= high + 0.006
        assert low <= bca.low - plain.low + 0.006 * (high < 0.1) <= high + 0.006


def test_bca_of_rows_with_missing_problems_is_that_of_the_others() -> None:
    """Draws differ, so to sampling error; a row of one value has no width; a row of one problem has its value."""
    values = ROWS["skewed"]
    holes = np.concatenate([values, np.full(40, np.nan)])
    (whole,) = Bootstrap(40, 20_000, seed=0, interval="bca").intervals(values[None])
    same, one = np.full(80, 0.1), np.full(80, np.nan)
    one[3] = 0.7
    found, constant, single = Bootstrap(80, 20_000, seed=0, interval="bca").intervals(np.array([holes, same, one]))
    assert found.n_problems == 40
    # With half of the problems missing, their number varies from draw to draw: a slightly wider interval.
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high), abs=0.012)
    assert (constant.low, constant.high) == pytest.approx((0.1, 0.1))
    assert (single.low, single.high) == pytest.approx((0.7, 0.7))


def test_comparisons_use_the_same_kind_of_interval() -> None:
    a, b = ROWS["skewed"][None], np.zeros((1, 40))
    ours = Bootstrap(40, 1000, seed=0, interval="bca")
    (difference,), (interval,) = ours.compare(a, b), ours.intervals(a)
    assert (difference.low, difference.high) == (interval.low, interval.high)


def rows_near_zero(n_problems: int) -> np.ndarray:
    """Skewed rows whose means are so near 0 that many 95 % intervals have an end close to it."""
    rng = np.random.default_rng(7)
    shifts = np.concatenate([np.linspace(-0.25, 0.25, 150), np.linspace(-0.6, 0.6, 50)])
    rows = rng.gamma(0.5, 0.8, size=(200, n_problems)) - 0.4 + shifts[:, None]
    rows[::2] *= -1
    rows[150:] = np.round(rows[150:])  # many draws are exactly 0
    return rows


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_p_is_below_five_percent_where_the_interval_leaves_zero_out(method: str) -> None:
    rows = rows_near_zero(25)
    bootstrap = Bootstrap(25, 1000, seed=0, interval=method)  # type: ignore[arg-type]
    differences = bootstrap.compare(rows, np.zeros_like(rows))
    clear = [d.low > 0 or d.high < 0 for d in differences]
    assert [d.p_bootstrap < 0.05 for d in differences] == clear
    assert 20 < sum(clear) < 180


@pytest.mark.parametrize(("method", "name"), [("percentile", "percentile"), ("bca", "BCa")])
def test_the_interval_of_level_one_minus_p_ends_at_zero(method: str, name: str) -> None:
    """With scipy's interval of that level on the same draws."""
    rows = rows_near_zero(25)[:150:10]
    ours = Bootstrap(25, 1000, seed=0, interval=method)  # type: ignore[arg-type]
    checked = 0
    for row, difference in zip(rows, ours.compare(rows, np.zeros_like(rows)), strict=True):
        if not 0.01 < difference.p_bootstrap < 0.99:
            continue
        drawn = SimpleNamespace(bootstrap_distribution=ours.means(row[None])[:, 0])
        theirs = bootstrap(
            (row,), np.mean, n_resamples=0, bootstrap_result=drawn, method=name,
            confidence_level=1 - difference.p_bootstrap,
        ).confidence_interval  # fmt: skip
        assert min(abs(theirs.low), abs(theirs.high)) < 1e-9
        checked += 1
    assert checked > 5


def test_p_of_draws_on_one_side_of_zero_is_the_least_that_so_many_draws_show() -> None:
    rows = np.array([[0.5, 0.6, 0.7, 0.9] * 5, [-0.5, -0.6, -0.7, -0.9] * 5, [0.0] * 20, [0.3] * 20])
    for method in ("percentile", "bca"):
        bootstrap = Bootstrap(20, 99, seed=0, interval=method)  # type: ignore[arg-type]
        found = [d.p_bootstrap for d in bootstrap.compare(rows, np.zeros_like(rows))]
        assert found == pytest.approx([0.02, 0.02, 1.0, 0.02])


# --- several comparisons -------------------------------------------------------------------------------


def closed_testing(p: np.ndarray) -> list[float]:
    """Holm's p by the principle it follows from: the largest Bonferroni p of all sets of hypotheses with this one."""
    m = range(len(p))
    sets = [s for size in range(1, len(p) + 1) for s in combinations(m, size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in m]


@pytest.mark.parametrize("seed", range(6))
def test_holm_is_closed_testing_with_bonferroni(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.random(7) ** 3
    p[rng.integers(0, 7, 2)] = 0.01  # ties
    assert holm(p) == pytest.approx(closed_testing(p))


def test_holm_of_one_and_of_none() -> None:
    assert holm(np.array([0.03])).tolist() == [0.03]
    assert holm(np.array([])).tolist() == []


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (0, 1), (1, 6), (5, 5), (12, 3), (0, 40)])
def test_mcnemar_is_the_two_sided_binomial_test(won: int, lost: int) -> None:
    """The sum of the probabilities of all outcomes that are no more likely than this one."""
    n = won + lost
    likely = [comb(n, k) / 2**n for k in range(n + 1)]
    assert mcnemar(won, lost) == pytest.approx(sum(p for p in likely if p <= likely[won] * (1 + 1e-9)))


# --- votes near a tie ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-40, 1e-300])
@pytest.mark.parametrize(("more", "expected"), [(1e-7, 1.0), (-1e-7, 0.0), (1e-12, 0.5), (0.0, 0.5)])
def test_votes_are_told_apart_where_single_precision_cannot(scale: float, more: float, expected: float) -> None:
    classes, correct = np.array([[0, 0, 1, 1]]), np.array([[True, True, False, False]])
    weights = scale * np.array([[0.3, 0.5 * (1 + more), 0.5, 0.3]])
    assert weighted_best_of_n(weights, classes, correct)[0] == expected


def test_clear_votes_equal_the_definition() -> None:
    rng = np.random.default_rng(0)
    classes, weights = rng.integers(-1, 5, (300, 20)), rng.random((300, 20))
    correct = classes == 0
    expected = []
    for row in range(300):
        totals = {c: weights[row][classes[row] == c].sum() for c in set(classes[row].tolist()) - {-1}}
        expected.append(float(max(totals, key=lambda c: totals[c]) == 0))
    assert weighted_best_of_n(weights, classes, correct).tolist() == expected
