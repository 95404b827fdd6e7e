"""Selection: from step rewards to a response's score, from scores to a choice.

Every rule here works on all the samples that it is given. ``harness.analysis.estimators`` decides which samples those
are: all of them, the first n, a random subset. The result of a rule is its expected accuracy. Where several candidates
share the best score or the most votes, the rule chooses each of them with the same probability, and their accuracies
are averaged. So no result depends on the order of the samples.

A reward model may leave a response unscored. Such a response has the score -inf: it ranks below every scored one, ties
with the other unscored ones, and adds nothing in weighted voting.

Arrays: P problems, N samples each. ``correct`` bool [P, N]; ``scores`` float [P, N], higher is better;
``classes`` int [P, N], equal for equivalent answers of one problem, -1 for a response without an answer.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from harness.analysis.ballots import Ballots
from harness.core.aggregation import aggregate
from harness.core.arrays import Bools, Floats, Ints
from harness.core.terms import ScoreType


def response_scores(flat: Floats, lengths: Ints, aggregation: str, score_type: ScoreType) -> Floats:
    """As :func:`aggregate`, float [R]; responses without step rewards are unscored: -inf, and never aggregated.

    Raises:
        UserError: for an unknown aggregation or a product of rewards that are not probabilities.
        ValueError: for a reward that is not finite.
    """
    scores = np.full(len(lengths), -np.inf)
    scores[lengths > 0] = aggregate(flat, lengths[lengths > 0], aggregation, score_type)
    return scores


def vote_weights(scores: Floats, score_type: ScoreType, coefficient: float) -> Floats:
    """What each score adds to its answer in weighted voting, float [P, N], not negative.

    A probability adds itself; any other ``scores``, float [P, N], add sigmoid(``coefficient`` * score). An unscored
    response (-inf) adds 0, and so does what an aggregation took below 0 (``pessimistic_C``).
    """
    scored = np.isfinite(scores)
    finite = np.where(scored, scores, 0.0)
    with np.errstate(over="ignore"):  # of a product beyond the range of floats it is 0 or 1
        weights: Floats = np.where(
            scored, np.maximum(finite, 0.0) if score_type == "probability" else expit(coefficient * finite), 0.0
        )
    return weights


def average(correct: Bools) -> Floats:
    """Accuracy of a sample drawn at random (pass@1), float [P], from ``correct``, bool [P, N]."""
    return np.asarray(correct.mean(axis=1), dtype=np.float64)


def oracle(correct: Bools) -> Floats:
    """1 where any sample is right (pass@n), else 0: float [P], from ``correct``, bool [P, N]."""
    return np.asarray(correct.any(axis=1), dtype=np.float64)


def highest(scores: Floats) -> Bools:
    """Which samples share the highest score of their problem, bool [P, N], from ``scores``, float [P, N].

    Best-of-n takes any of them with equal chances.
    """
    best: Bools = scores == scores.max(axis=1, keepdims=True)
    return best


def unshared(classes: Ints) -> Bools:
    """Whether no other sample of the problem has a sample's answer, bool [P, N]; not so for one without an answer.

    Args:
        classes: int [P, N], as for :func:`majority`.
    """
    alone = np.zeros(classes.shape, dtype=bool)
    for row, line in enumerate(classes):
        names, counts = np.unique(line, return_counts=True)
        alone[row] = np.isin(line, names[(counts == 1) & (names >= 0)])
    return alone


def best_of_n(scores: Floats, correct: Bools) -> Floats:
    """Accuracy of the sample with the highest score, float [P].

    Args:
        scores: float [P, N], higher is better.
        correct: bool [P, N].
    """
    best = highest(scores)
    return np.asarray((best & correct).sum(axis=1) / best.sum(axis=1), dtype=np.float64)


def majority(classes: Ints, correct: Bools) -> Floats:
    """Accuracy of the most frequent answer, float [P]; 0 where no sample has an answer.

    Args:
        classes: int [P, N], equal for equivalent answers of one problem, -1 for a sample without an answer.
        correct: bool [P, N].
    """
    accuracy: Floats = Ballots(classes, correct).accuracies(np.ones((1, classes.shape[1]), dtype=bool), [None])[0]
    return accuracy


def weighted_best_of_n(weights: Floats, classes: Ints, correct: Bools) -> Floats:
    """Accuracy of the answer with the largest sum of weights, float [P].

    Args:
        weights: float [P, N], not negative (see :func:`vote_weights`).
        classes, correct: [P, N], as for :func:`majority`.
    """
    accuracy: Floats = Ballots(classes, correct).accuracies(np.ones((1, classes.shape[1]), dtype=bool), [weights])[0]
    return accuracy
