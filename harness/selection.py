"""Selection: from step rewards to a response's score, from scores to a choice.

Every rule here works on the samples it is given; which samples those are (all, the first n, a random
subset) is ``harness.estimators``' business. A rule's result is its expected accuracy: where the best score
or vote is shared, the choice is uniform among the tied candidates and their accuracy is averaged, so no
result depends on the order of the samples.

Arrays: P problems, N samples each. ``correct`` bool [P, N]; ``scores`` float [P, N], higher is better;
``classes`` int [P, N], equal for equivalent answers of one problem, -1 for a response without an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from harness.registry import ScoreType, UserError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Totals closer than this (relative to the largest) are tied: sums of the same weights in another order
#: differ by rounding only.
TIE = 1e-9


def _mean(flat: Floats, starts: Ints, counts: Ints) -> Floats:
    return np.add.reduceat(flat, starts) / counts


_REDUCERS: dict[str, Callable[[Floats, Ints, Ints], Floats]] = {
    "min": lambda flat, starts, counts: np.minimum.reduceat(flat, starts),
    "last": lambda flat, starts, counts: flat[starts + counts - 1],
    "mean": _mean,
    "prod": lambda flat, starts, counts: np.multiply.reduceat(flat, starts),
    "sum": lambda flat, starts, counts: np.add.reduceat(flat, starts),
}
AGGREGATIONS = tuple(_REDUCERS)


def aggregate(flat: Floats, lengths: Ints, aggregation: str, score_type: ScoreType) -> Floats:
    """Response scores from step rewards.

    Args:
        flat: the step rewards of all responses, one after the other.
        lengths: int [R], the number of steps of each response, at least 1.
        aggregation: one of ``AGGREGATIONS``. The paper's default is ``min``.
        score_type: what the rewards are; a product has a meaning for probabilities only.

    Returns:
        float [R].

    Raises:
        UserError: for an unknown aggregation or a product of rewards that are not probabilities.
        ValueError: for a response without rewards, or a reward that is not finite.
    """
    if aggregation not in _REDUCERS:
        raise UserError(f"no aggregation is named {aggregation!r}; there is {', '.join(AGGREGATIONS)}")
    if aggregation == "prod" and score_type != "probability":
        raise UserError(f"aggregation prod needs probabilities, these scores are {score_type}")
    if len(lengths) == 0:
        return np.empty(0)
    if lengths.min() < 1:
        raise ValueError("a response has no step rewards")
    if not np.isfinite(flat).all():
        raise ValueError("a step reward is not finite")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return _REDUCERS[aggregation](flat, starts, lengths)


def vote_weights(scores: Floats, score_type: ScoreType, coefficient: float) -> Floats:
    """What a score adds to its answer in weighted voting: itself if a probability, else sigmoid(c * score)."""
    if score_type == "probability":
        return scores
    weights: Floats = expit(coefficient * scores)
    return weights


def average(correct: Bools) -> Floats:
    """Accuracy of a sample drawn at random (pass@1): float [P]."""
    return np.asarray(correct.mean(axis=1), dtype=np.float64)


def oracle(correct: Bools) -> Floats:
    """1 where any sample is right (pass@n), float [P]."""
    return np.asarray(correct.any(axis=1), dtype=np.float64)


def best_of_n(scores: Floats, correct: Bools) -> Floats:
    """Accuracy of the sample with the highest score, float [P]."""
    best = scores == scores.max(axis=1, keepdims=True)
    return np.asarray((best & correct).sum(axis=1) / best.sum(axis=1), dtype=np.float64)


def majority(classes: Ints, correct: Bools) -> Floats:
    """Accuracy of the most frequent answer, float [P]; 0 where no sample has an answer."""
    ballots = Ballots(classes, correct, np.ones((1, classes.shape[1]), dtype=bool))
    return ballots.majority()


def weighted_best_of_n(weights: Floats, classes: Ints, correct: Bools) -> Floats:
    """Accuracy of the answer with the largest sum of ``weights`` (see :func:`vote_weights`), float [P]."""
    ballots = Ballots(classes, correct, np.ones((1, classes.shape[1]), dtype=bool))
    return ballots.weighted(weights)


class Ballots:
    """Votes counted over many subsets of the samples at once.

    Args:
        classes, correct: [P, N] as above.
        subsets: bool [R, N], the samples in each subset; the same subsets serve every problem.

    What depends on the answers alone is computed once and shared by all the weights voted with. Problems
    with similarly many distinct answers are handled together, so that few zeros are added up.
    """

    _BLOCK_ELEMENTS = 1 << 16  # of a [problems, answers, subsets] array: half a MiB, which stays in cache

    def __init__(self, classes: Ints, correct: Bools, subsets: Bools) -> None:
        self._n_problems = classes.shape[0]
        self._subsets = subsets.T.astype(np.float64)
        codes, n_codes = _dense_codes(classes)
        order = np.argsort(n_codes, kind="stable")
        self._blocks: list[tuple[Ints, Floats, Floats, Floats]] = []
        for rows in self._split(order, np.maximum(n_codes, 1) * len(subsets)):
            width = max(int(n_codes[rows].max()), 1)
            members = (codes[rows][:, None, :] == np.arange(width)[:, None]).astype(np.float64)
            counts = members @ self._subsets
            right = (members * correct[rows][:, None, :]) @ self._subsets
            share = np.divide(right, counts, out=np.zeros_like(right), where=counts > 0)
            self._blocks.append((rows, members, share, np.where(counts > 0, 0.0, -np.inf)))

    def majority(self) -> Floats:
        """Mean accuracy over the subsets of the most frequent answer, float [P]."""
        return self._winner_accuracy(None)

    def weighted(self, weights: Floats) -> Floats:
        """Mean accuracy over the subsets of the answer with the largest sum of weights, float [P].

        Args:
            weights: float [P, N], not negative.
        """
        return self._winner_accuracy(weights)

    def _split(self, order: Ints, elements: Ints) -> Iterator[Ints]:
        """Runs of ``order`` whose arrays hold about ``_BLOCK_ELEMENTS``; ``elements`` does not fall along it."""
        start = 0
        while start < len(order):
            size = np.arange(1, len(order) - start + 1) * elements[order[start:]]
            stop = start + max(int(np.searchsorted(size, self._BLOCK_ELEMENTS, side="right")), 1)
            yield order[start:stop]
            start = stop

    def _winner_accuracy(self, weights: Floats | None) -> Floats:
        accuracy = np.empty(self._n_problems)
        for rows, members, share, absent in self._blocks:
            ballots = members if weights is None else members * weights[rows][:, None, :]
            totals = ballots @ self._subsets
            totals += absent  # an answer that is not in the subset cannot win, whatever the others weigh
            best = totals.max(axis=1, keepdims=True)
            # Where a subset has no answer at all, every total is -inf and every share 0: so is the accuracy.
            winners = totals >= best - TIE * np.where(np.isfinite(best), best, 0.0)
            accuracy[rows] = ((winners * share).sum(axis=1) / winners.sum(axis=1)).mean(axis=1)
        return accuracy


def _dense_codes(classes: Ints) -> tuple[Ints, Ints]:
    """Answer classes renumbered 0, 1, … per problem (-1 stays), and how many there are, int [P]."""
    codes = np.full(classes.shape, -1, dtype=np.int64)
    n_codes = np.zeros(classes.shape[0], dtype=np.int64)
    for row, line in enumerate(classes):
        votes = line >= 0
        names, inverse = np.unique(line[votes], return_inverse=True)
        codes[row, votes] = inverse
        n_codes[row] = len(names)
    return codes, n_codes
