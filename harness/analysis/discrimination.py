"""How well scores tell right responses from wrong ones, problem by problem.

Only what is compared within a problem says how a reward model chooses. Best-of-n at every n follows from each problem's
ROC curve ("ROC-n-reroll", arXiv 2507.12399): the chosen sample is the one with the highest score, so its chances depend
on how the scores of right and wrong samples are ordered, and on nothing else.

Arrays: P problems, N samples each, as in ``harness.analysis.selection``: ``scores`` float [P, N], -inf for an unscored
response; ``correct`` bool [P, N]. Results are float [P], NaN for a problem that a number does not exist for.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.stats import rankdata

from harness.core.arrays import Bools, Floats, Ints

#: Where the mean ROC curve is read: shares of wrong responses.
ROC_GRID = np.linspace(0.0, 1.0, 101)
#: So that a place where curves rise is read at their upper end.
_JUST_AFTER = 1e-9
#: The least number of responses of which a rank correlation says something.
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of a right and a wrong response to each problem, int [P] each: those that the scores order correctly,
    those with equal scores, and all."""

    ordered: Ints
    tied: Ints
    total: Ints

    @property
    def auroc(self) -> Floats:
        """The area under each problem's ROC curve, float [P]: the share of ordered pairs, a tie counting a half."""
        return _over(self.ordered + 0.5 * self.tied, self.total)


def pairs(scores: Floats, correct: Bools) -> Pairs:
    """Compare every right response with every wrong one to the same problem (Mann and Whitney 1947).

    Args:
        scores, correct: [P, N], as above.
    """
    # A right response's rank among all is 1 + the responses below it + half of those that share its score.
    ranks = rankdata(scores, axis=1)
    n_right = correct.sum(axis=1)
    n_wrong = correct.shape[1] - n_right
    halves = np.rint(2 * (np.where(correct, ranks, 0.0).sum(axis=1) - n_right * (n_right + 1) / 2)).astype(np.int64)
    tied = np.array([_n_tied(row, right) for row, right in zip(scores, correct, strict=True)], dtype=np.int64)
    return Pairs((halves - tied) // 2, tied, n_right * n_wrong)


def _n_tied(scores: Floats, right: Bools) -> int:
    values, counts = np.unique(scores[right], return_counts=True)
    wrong = np.sort(scores[~right])
    same = np.searchsorted(wrong, values, "right") - np.searchsorted(wrong, values, "left")
    return int((counts * same).sum())


def best_of_four(scores: Floats, correct: Bools) -> Floats:
    """The chance that a right response scores highest among itself and three wrong ones, float [P]; ties are shared.

    This is the form of RewardBench 2 (Malik et al. 2025), expected over every choice of one right and three wrong
    responses: with L of the W wrong responses below a right one and E beside it, it wins with k of those
    C(E, k) C(L, 3 - k) / C(W, 3) of the time, and then in 1 / (k + 1) of the cases. NaN for a problem without a right
    response or with fewer than three wrong ones.
    """
    values = np.full(len(scores), np.nan)
    for row, (line, right) in enumerate(zip(scores, correct, strict=True)):
        wrong = np.sort(line[~right])
        if not right.any() or len(wrong) < 3:
            continue
        below = np.searchsorted(wrong, line[right], "left")
        beside = np.searchsorted(wrong, line[right], "right") - below
        wins = [
            sum(comb(int(e), k) * comb(int(b), 3 - k) / (k + 1) for k in range(4))
            for b, e in zip(below, beside, strict=True)
        ]
        values[row] = np.mean(wins) / comb(len(wrong), 3)
    return values


def roc(scores: Floats, correct: Bools) -> Floats:
    """The mean of the problems' ROC curves at :data:`ROC_GRID`, float [101]; NaN where no problem has both kinds.

    At a share f of the wrong responses, a problem's curve is the share of its right responses that score at least as
    high. Across a tie it is a straight line; where it rises straight up, its upper end counts.
    """
    curves = []
    for line, right in zip(scores, correct, strict=True):
        if right.all() or not right.any():
            continue
        _, ties = np.unique(-line, return_inverse=True)  # 0 for the highest score
        of_right, of_all = (np.concatenate([[0], np.cumsum(np.bincount(ties, kind))]) for kind in (right, None))
        of_wrong = of_all - of_right
        curves.append(np.interp(ROC_GRID + _JUST_AFTER, of_wrong / of_wrong[-1], of_right / of_right[-1]))
    mean: Floats = np.mean(curves, axis=0) if curves else np.full(len(ROC_GRID), np.nan)
    return mean


def rank_correlation(scores: Floats, lengths: Ints, among: Bools) -> Floats:
    """Spearman's rank correlation of score and length over the responses ``among`` a problem's, float [P].

    NaN for a problem with fewer than three of them, or with scores or lengths that are all equal.

    Args:
        scores, lengths: [P, N].
        among: bool [P, N]. Unscored responses do not count.
    """
    among = among & np.isfinite(scores)
    n = among.sum(axis=1)
    # What is not among them ranks last, so that it changes no other rank; the mean of n ranks is (n + 1) / 2.
    a, b = (
        np.where(among, rankdata(np.where(among, part, np.inf), axis=1) - (n[:, None] + 1) / 2, 0.0)
        for part in (scores, lengths)
    )
    norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    values: Floats = np.divide(
        (a * b).sum(axis=1), norms, out=np.full(len(scores), np.nan), where=(n >= _FEWEST) & (norms > 0)
    )
    return values


def _over(sums: Floats, counts: Ints) -> Floats:
    shares: Floats = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return shares
