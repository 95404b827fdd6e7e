"""Votes counted over many subsets of the samples at once: the arithmetic of majority and of weighted voting.

Arrays: P problems, N samples each, R subsets. ``correct`` bool [P, N]; ``classes`` int [P, N], equal for equivalent
answers of one problem, -1 for a response without an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from harness.core.arrays import Bools, Floats, Ints

Real = TypeVar("Real", np.float32, np.float64)

#: Totals closer than this (relative to the largest) are tied: sums of the same weights in another order
#: differ by rounding only.
TIE = 1e-9


class Ballots:
    """Votes counted over many subsets of the samples at once.

    Args:
        classes, correct: [P, N] as above.

    Problems with similarly many distinct answers are handled together, so that few zeros are added up.
    """

    _BLOCK_ELEMENTS = 1 << 16  # of a [problems, answers, subsets] array: half a MiB, which stays in cache

    def __init__(self, classes: Ints, correct: Bools) -> None:
        self._correct = correct.astype(np.float64)
        self._codes, self._n_codes, n_right, pure = _dense_codes(classes, correct)
        # Most problems have one answer that is right whenever it is given; where none is, nothing can be won.
        self._plain = np.flatnonzero(pure & (n_right == 1))
        self._mixed = np.flatnonzero(~pure | (n_right > 1))

    def accuracies(self, subsets: Bools, weights: Sequence[Floats | None]) -> Floats:
        """Mean accuracy over the subsets of the answer with the largest sum of weights, float [len(weights), P].

        Args:
            subsets: bool [R, N], the samples in each subset; the same subsets serve every problem.
            weights: float [P, N], not negative, for each way to vote; None gives every sample one vote.
        """
        chosen = np.ascontiguousarray(subsets.T, dtype=np.float64)
        single = chosen.astype(np.float32)
        accuracies = np.zeros((len(weights), len(self._codes)))
        for rows in self._blocks(self._plain, len(subsets)):
            members = self._members(rows)
            for i, by_sample in enumerate(weights):
                left, among = rows, members
                if by_sample is not None:
                    accuracy, clear = _clear_accuracy(_totals(members, by_sample, rows, single), len(single))
                    accuracies[i, rows] = accuracy
                    left, among = rows[~clear], members[~clear]
                if len(left):
                    accuracy, decided = _plain_accuracy(_totals(among, by_sample, left, chosen))
                    accuracies[i, left] = accuracy
                    if not decided.all():
                        left = left[~decided]
                        accuracies[i, left] = self._mixed_accuracy(left, by_sample, chosen)
        for rows in self._blocks(self._mixed, len(subsets)):
            for i, by_sample in enumerate(weights):
                accuracies[i, rows] = self._mixed_accuracy(rows, by_sample, chosen)
        return accuracies

    def _blocks(self, rows: Ints, n_subsets: int) -> Iterator[Ints]:
        """Runs of ``rows``, ordered by the number of answers, whose arrays hold about ``_BLOCK_ELEMENTS``."""
        order = rows[np.argsort(self._n_codes[rows], kind="stable")]
        elements = np.maximum(self._n_codes[order], 1) * n_subsets
        start = 0
        while start < len(order):
            ahead = elements[start : start + self._BLOCK_ELEMENTS // elements[start]]
            size = np.arange(1, len(ahead) + 1) * ahead
            stop = start + max(int(np.searchsorted(size, self._BLOCK_ELEMENTS, side="right")), 1)
            yield order[start:stop]
            start = stop

    def _members(self, rows: Ints) -> Floats:
        """Which samples give which answer, float [rows, answers, N] of 0 and 1."""
        width = max(int(self._n_codes[rows].max()), 1)
        members: Floats = (self._codes[rows][:, None, :] == np.arange(width)[:, None]).astype(np.float64)
        return members

    def _mixed_accuracy(self, rows: Ints, weights: Floats | None, chosen: Floats) -> Floats:
        """The general case, [rows]: several right answers, answers that are right at times, votes without weight."""
        members = self._members(rows)
        counts = _totals(members, None, rows, chosen)
        right = _totals(members, self._correct, rows, chosen)
        share = np.divide(right, counts, out=np.zeros_like(right), where=counts > 0)
        totals = _totals(members, weights, rows, chosen)
        totals[counts == 0] = -np.inf  # an answer that is not in the subset cannot win, whatever the others weigh
        best = totals.max(axis=1, keepdims=True)
        # Where a subset has no answer at all, every total is -inf and every share 0: so is the accuracy.
        winners = totals >= best - TIE * np.where(np.isfinite(best), best, 0.0)
        accuracy: Floats = ((winners * share).sum(axis=1) / winners.sum(axis=1)).mean(axis=1)
        return accuracy


def _totals(members: Floats, weights: Floats | None, rows: Ints, chosen: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Votes of each answer in each subset, [rows, answers, R], added up in the precision of ``chosen``."""
    ballots = members if weights is None else members * weights[rows][:, None, :]
    # One flat product: numpy would make a small one per problem.
    totals: npt.NDArray[Real] = ballots.reshape(-1, ballots.shape[2]).astype(chosen.dtype, copy=False) @ chosen
    return totals.reshape(*ballots.shape[:2], -1)


def _clear_accuracy(totals: npt.NDArray[np.float32], n_samples: int) -> tuple[Floats, Bools]:
    """Mean accuracy [rows] where the first answer is the right one, and whether single precision is sure of it.

    It is where every subset's margin exceeds what adding up may have lost; that is most problems, at half the time.
    """
    right, others = totals[:, 0], totals[:, 1:].max(axis=1, initial=0.0)
    lost = 4 * n_samples * float(np.finfo(np.float32).eps)
    margin = np.abs(right - others) - lost * np.maximum(right, others)
    return (right > others).mean(axis=1), margin.min(axis=1) > np.finfo(np.float32).tiny


def _plain_accuracy(totals: Floats) -> tuple[Floats, Bools]:
    """Mean accuracy [rows] where the first answer is the right one, and whether every subset has a vote with weight.

    Then no absent answer can win: its total is 0, less than the best by more than a tie.
    """
    right, others = totals[:, 0], totals[:, 1:].max(axis=1, initial=0.0)
    best = np.maximum(right, others)
    least = best - TIE * best
    won = right >= least
    accuracy = won.astype(np.float64)
    rows, subsets = np.nonzero(won & (others >= least))
    if len(rows):
        accuracy[rows, subsets] = 1.0 / (totals[rows, :, subsets] >= least[rows, subsets, None]).sum(axis=1)
    return accuracy.mean(axis=1), (best > 0).all(axis=1)


def _dense_codes(classes: Ints, correct: Bools) -> tuple[Ints, Ints, Ints, Bools]:
    """Answer classes renumbered 0, 1, … per problem (-1 stays), those with a right sample first.

    Returns:
        The codes, int [P, N]; per problem, how many there are and how many have a right sample, int [P]; and whether
        samples with the same answer agree on being right, bool [P].
    """
    codes = np.full(classes.shape, -1, dtype=np.int64)
    n_codes, n_right = np.zeros(classes.shape[0], dtype=np.int64), np.zeros(classes.shape[0], dtype=np.int64)
    pure = np.ones(classes.shape[0], dtype=bool)
    for row, line in enumerate(classes):
        votes = line >= 0
        names, inverse, counts = np.unique(line[votes], return_inverse=True, return_counts=True)
        rights = np.bincount(inverse, weights=correct[row, votes], minlength=len(names))
        place = np.empty(len(names), dtype=np.int64)
        place[np.argsort(rights == 0, kind="stable")] = np.arange(len(names))
        codes[row, votes] = place[inverse]
        n_codes[row], n_right[row] = len(names), (rights > 0).sum()
        pure[row] = bool(((rights == 0) | (rights == counts)).all())
    return codes, n_codes, n_right, pure
