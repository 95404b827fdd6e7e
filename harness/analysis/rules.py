"""The selection rules that have a name. Arrays are those of :class:`harness.core.selection_rules.SelectionRule`.

The rules that vote choose an answer, and among the responses that voted for it each with the same chance. Answers whose
totals differ by rounding only are tied, as in :mod:`harness.analysis.ballots`.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from harness.analysis.ballots import TIE
from harness.core.arrays import Bools, Floats, Ints
from harness.core.params import ComponentParams
from harness.core.selection_rules import SelectionRule


class BestOfN(SelectionRule[ComponentParams]):
    """The response with the highest score."""

    def rank(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
        """The scores, float [M, n]."""
        return scores


class WeightedBestOfN(SelectionRule[ComponentParams]):
    """The answer with the largest sum of scores as weights."""

    def choose(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
        """The voters for the heaviest answers, float [M, n]."""
        answers = _Answers(classes)
        return answers.elected(answers.total(weights))


class Majority(SelectionRule[ComponentParams]):
    """The most frequent answer; it asks no reward model."""

    def choose(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
        """The voters for the most frequent answers, float [M, n]."""
        answers = _Answers(classes)
        return answers.elected(answers.total(np.ones(scores.shape)))


class KParams(ComponentParams):
    """Parameters of the rules that look at the k best-scored responses."""

    k: int = Field(description="how many of the best-scored responses count", ge=1)


class MajorityOfBest(SelectionRule[KParams]):
    """The most frequent answer among the k best-scored responses; with k = n it is the majority's.

    Responses that tie for the last of the k places share them: each has the same part of a vote.
    """

    Params = KParams

    def choose(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
        """Those of the k best that gave the most frequent answers among them, float [M, n]."""
        k = min(self.params.k, scores.shape[1])
        border = -np.partition(-scores, k - 1, axis=1)[:, k - 1, None]
        above, tied = scores > border, scores == border
        votes = above + tied * (k - above.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
        answers = _Answers(np.where(votes > 0, classes, -1))
        return answers.elected(answers.total(votes))


class TopKMean(SelectionRule[KParams]):
    """The answer with the highest mean of its k best scores, or of all where it has fewer.

    Unlike a sum of weights, the mean does not grow with the number of responses that give an answer. A response without
    a score takes no part; an answer without a scored response ranks below all others.
    """

    Params = KParams

    def choose(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
        """All that gave an answer with the highest mean, float [M, n]."""
        scored = np.isfinite(scores)
        answers = _Answers(classes)
        best = scored & (answers.places(scores) < self.params.k)
        among = answers.total(best.astype(np.float64))
        # At first divided: a sum of finite scores may be beyond the floats.
        means = answers.total(np.where(best, scores, 0.0) / np.maximum(among, 1.0))
        size = np.where(scored, np.abs(scores), 0.0).max(axis=1, keepdims=True)
        return answers.elected(np.where(among > 0, means, -np.inf), size)


class SoftParams(ComponentParams):
    """Parameters of :class:`SoftBestOfN`."""

    temperature: float = Field(
        description="in the units of the scores: near 0 it is best-of-n, the higher it is the more of a random choice",
        gt=0,
    )


class SoftBestOfN(SelectionRule[SoftParams]):
    """A response drawn with the chance exp(score / temperature) over the sum of these.

    Soft best-of-n (Verdun et al. 2025, "Soft best-of-n sampling for model alignment", arXiv 2505.03156). A response
    without a score has no chance beside one that has; where none has a score, all are alike.
    """

    Params = SoftParams

    def choose(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
        """The softmax of the scores, times a number, float [M, n]."""
        highest = scores.max(axis=1, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore"):
            below = np.where(scores == highest, 0.0, scores - highest)  # two unscored ones do not differ by a number
            return np.asarray(np.exp(below / self.params.temperature), dtype=np.float64)


class _Answers:
    """The answers of sets of responses: ``classes``, int [M, n], small numbers, -1 for a response that has no vote."""

    def __init__(self, classes: Ints) -> None:
        self.votes: Bools = classes >= 0
        width = int(classes.max(initial=0)) + 2  # the last place of a set is that of all responses without a vote
        self._cells = np.where(self.votes, classes, width - 1) + width * np.arange(len(classes))[:, None]

    def total(self, values: Floats) -> Floats:
        """For each response the sum of ``values``, float [M, n], over the responses with its answer, float [M, n]."""
        return np.asarray(np.bincount(self._cells.ravel(), values.ravel())[self._cells], dtype=np.float64)

    def places(self, scores: Floats) -> Ints:
        """How many responses with its answer rank above a response, int [M, n]; of equal scores either may."""
        order = np.lexsort((-scores, self._cells), axis=1)
        cells = np.take_along_axis(self._cells, order, axis=1)
        at = np.arange(scores.shape[1])
        begins = np.ones(cells.shape, dtype=bool)
        begins[:, 1:] = cells[:, 1:] != cells[:, :-1]
        ranks = at - np.maximum.accumulate(np.where(begins, at, 0), axis=1)
        places = np.empty_like(ranks)
        np.put_along_axis(places, order, ranks, axis=1)
        return places

    def elected(self, totals: Floats, size: Floats | None = None) -> Floats:
        """The chances of the responses whose answer has the highest total; tied answers have the same chance.

        Args:
            totals: of each response's answer, float [M, n].
            size: of the numbers that totals are made of, float [M, 1], for what a tie is; by default the highest total.
        """
        totals = np.where(self.votes, totals, -np.inf)
        best = totals.max(axis=1, keepdims=True)
        tie = np.where(np.isfinite(best), TIE * (best if size is None else size), 0.0)
        won = self.votes & (totals >= best - tie)
        return np.asarray(won / self.total(np.ones(totals.shape)), dtype=np.float64)
