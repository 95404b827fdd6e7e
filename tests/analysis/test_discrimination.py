"""How scores order right and wrong responses, against counting every pair, triple and permutation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from harness.analysis.discrimination import ROC_GRID, best_of_four, pairs, rank_correlation, roc
from harness.analysis.estimators import expected_best_of_n
from harness.analysis.lowest_step import LowestSteps
from harness.core.arrays import Bools, Floats


@pytest.fixture(scope="module")
def scored() -> tuple[Floats, Bools]:
    """Scores with ties and unscored responses; the first problem has no wrong response, the second no right one."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 5, size=(30, 9)).astype(float)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    correct = rng.random(scores.shape) < 0.4
    correct[0], correct[1] = True, False
    return scores, correct


def test_pairs(scored: tuple[Floats, Bools]) -> None:
    found = pairs(*scored)
    for row, (scores, correct) in enumerate(zip(*scored, strict=True)):
        compared = [(a, b) for a in scores[correct] for b in scores[~correct]]
        above, equal = sum(a > b for a, b in compared), sum(a == b for a, b in compared)
        assert (found.ordered[row], found.tied[row], found.total[row]) == (above, equal, len(compared))
        if compared:
            assert found.auroc[row] == pytest.approx((above + equal / 2) / len(compared))
    assert np.isnan(found.auroc[:2]).all()


def test_best_of_four(scored: tuple[Floats, Bools]) -> None:
    values = best_of_four(*scored)
    for row, (scores, correct) in enumerate(zip(*scored, strict=True)):
        wins = [
            (a == max(a, *three)) / (1 + sum(w == a for w in three))
            for a in scores[correct]
            for three in combinations(scores[~correct], 3)
        ]
        assert values[row] == pytest.approx(np.mean(wins)) if wins else np.isnan(values[row])


def test_the_area_under_the_mean_curve_is_the_mean_area(scored: tuple[Floats, Bools]) -> None:
    """But for what lies between the points of the grid; with ten wrong responses all steps are at its points."""
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 6, size=(40, 18)).astype(float)
    correct = np.tile(np.arange(18) < 8, (40, 1))
    curve = roc(scores, correct)
    left = np.array([np.mean([(s[c] > s[~c].max()).mean() for s, c in zip(scores, correct, strict=True)])])
    assert curve[0] == pytest.approx(left[0])  # right responses above every wrong one
    assert curve[-1] == pytest.approx(1.0)
    # Straight between multiples of a tenth, as all have ten wrong responses, but for where it jumps.
    middle = np.interp(ROC_GRID[:-1] + 0.005, ROC_GRID, curve)
    assert np.mean(middle) == pytest.approx(pairs(scores, correct).auroc.mean(), abs=0.01)
    assert np.isnan(roc(scores[:1], np.ones((1, 18), bool))).all()


def test_best_of_n_follows_from_the_curve() -> None:
    """With a share p of right responses, the best of n drawn with replacement is right with the chance that the ROC
    curve gives: the n - 1 others must not be above it."""
    rng = np.random.default_rng(7)
    right, wrong = np.sort(rng.normal(0.7, 1, 400)), np.sort(rng.normal(0, 1, 600))
    scores, correct = np.concatenate([right, wrong])[None], (np.arange(1000) < 400)[None]
    curve, p = roc(scores, correct), 0.4
    for n in (2, 4, 8):
        # A right response at the curve's height t, where a share f of the wrong ones is above.
        t, f = np.concatenate([np.linspace(0, curve[0], 50), curve]), np.concatenate([np.zeros(50), ROC_GRID])
        chance = np.trapezoid(n * p * (1 - p * t - (1 - p) * f) ** (n - 1), t)
        assert chance == pytest.approx(expected_best_of_n(scores, correct, [n])[0, 0], abs=0.004)


def test_rank_correlation(scored: tuple[Floats, Bools]) -> None:
    scores, correct = scored
    lengths = np.random.default_rng(9).integers(0, 50, size=scores.shape)
    values = rank_correlation(scores, lengths, correct)
    seen = 0
    for row, among in enumerate(correct & np.isfinite(scores)):
        if among.sum() >= 3 and len(set(scores[row, among])) > 1 and len(set(lengths[row, among])) > 1:
            seen += 1
            assert values[row] == pytest.approx(spearmanr(scores[row, among], lengths[row, among]).statistic)
        else:
            assert np.isnan(values[row])
    assert seen > 10


def test_lowest_step() -> None:
    rewards = [[0.5], [0.2, 0.1, 0.9], [0.1, 0.1], [0.9, 0.8, 0.7, 0.6], []]
    counted = LowestSteps()
    for part in (rewards[:1], rewards[1:3], rewards[3:]):
        counted.add(np.concatenate(part), np.array([len(r) for r in part]))
    found = counted.found()
    assert found is not None
    assert (found.first, found.last) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found.place == pytest.approx((1 / 2 + 0 + 1) / 3)
    single = LowestSteps()
    single.add(np.array([0.3]), np.array([1]))
    assert single.found() is None
