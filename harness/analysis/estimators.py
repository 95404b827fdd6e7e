"""Expected accuracy at n from N samples per problem.

The headline estimates are expectations over all size-n subsets of the N samples. For best-of-n and pass@n they have a
closed form. For the voting rules they are averages over seeded random subsets, or over all subsets where there are few.
``first_n`` is the protocol of most papers: it takes the first n samples only, an estimate from one subset.

Arrays: P problems, N samples each, as in ``harness.analysis.selection``, which also says how ties are treated. Every
result is float [len(ns), P].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from harness.analysis.ballots import Ballots
from harness.analysis.selection import average, best_of_n, oracle
from harness.core.arrays import Bools, Floats, Ints
from harness.core.selection_rules import SelectionRule, checked_choice, checked_rank

#: Random subsets per n for voting. They come as the disjoint blocks of random permutations, so each sample
#: is used (almost) equally often, which leaves an error well below the one from the choice of problems.
SUBSETS = 256

_BLOCK_ELEMENTS = 1 << 18  # of what a rule is given at once: 2 MiB an array, and a rule makes a dozen


def grid(n_samples: int, sizes: Sequence[int] = ()) -> list[int]:
    """The n at which accuracy is reported: 1, 2, 4, … up to N, N itself, and each of ``sizes`` that is at most N."""
    powers = [1 << k for k in range(n_samples.bit_length())]
    return sorted({n for n in (*powers, n_samples, *sizes) if n <= n_samples})


def expected_best_of_n(scores: Floats, correct: Bools, ns: Sequence[int]) -> Floats:
    """Accuracy of the best-scored of n samples, expected over all size-n subsets, float [len(ns), P].

    Order the samples by descending score. The sample at position i, counted from 0, is the best of a subset if the
    subset contains it and takes its other n - 1 samples from the N - 1 - i samples after it. This is the case for
    C(N-1-i, n-1) of the C(N, n) subsets. Samples with the same score share their probabilities: each counts with the
    mean accuracy of its tie.

    Args:
        scores: float [P, N], higher is better.
        correct: bool [P, N].

    Raises:
        ValueError: for an n below 1 or above N.
    """
    n_problems, n_samples = scores.shape
    _check(ns, n_samples)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    right = np.take_along_axis(correct, order, axis=1).astype(np.float64)

    positions = np.arange(n_samples)
    new_tie = np.ones((n_problems, n_samples), dtype=bool)
    new_tie[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    starts = np.maximum.accumulate(np.where(new_tie, positions, 0), axis=1)
    ends_here = np.concatenate([new_tie[:, 1:], np.ones((n_problems, 1), dtype=bool)], axis=1)
    last = np.where(ends_here, positions, n_samples)[:, ::-1]
    stops = np.minimum.accumulate(last, axis=1)[:, ::-1] + 1
    sums = np.concatenate([np.zeros((n_problems, 1)), np.cumsum(right, axis=1)], axis=1)
    tied = np.take_along_axis(sums, stops, axis=1) - np.take_along_axis(sums, starts, axis=1)

    return np.asarray(_chance_of_being_best(n_samples, ns) @ (tied / (stops - starts)).T, dtype=np.float64)


def expected_best_score(scores: Floats, ns: Sequence[int]) -> Floats:
    """The highest score among n samples, expected over all size-n subsets, float [len(ns), P].

    Args:
        scores: float [P, N], finite; the chances are those of :func:`expected_best_of_n`.

    Raises:
        ValueError: for an n below 1 or above N.
    """
    n_samples = scores.shape[1]
    _check(ns, n_samples)
    return np.asarray(_chance_of_being_best(n_samples, ns) @ -np.sort(-scores, axis=1).T, dtype=np.float64)


def _chance_of_being_best(n_samples: int, ns: Sequence[int]) -> Floats:
    """The chance that a subset of n has the sample at each place of the ranking as its best, float [len(ns), N]."""
    return np.array([[comb(n_samples - 1 - i, n - 1) / comb(n_samples, n) for i in range(n_samples)] for n in ns])


def pass_at_n(correct: Bools, ns: Sequence[int]) -> Floats:
    """Probability that a size-n subset has a right sample, float [len(ns), P], from ``correct``, bool [P, N].

    It is 1 - C(N-c, n) / C(N, n) with c right samples (Chen et al. 2021, "Evaluating large language models trained on
    code", equation 1).

    Raises:
        ValueError: for an n below 1 or above N.
    """
    n_samples = correct.shape[1]
    _check(ns, n_samples)
    miss = np.array([[comb(n_samples - c, n) / comb(n_samples, n) for c in range(n_samples + 1)] for n in ns])
    return np.asarray(1.0 - miss[:, correct.sum(axis=1)], dtype=np.float64)


def subsets(n_samples: int, n: int, seed: int) -> Bools:
    """Size-n subsets of the samples, bool [R, N]: all of them if at most ``SUBSETS``, else about that many.

    Raises:
        ValueError: for an n below 1 or above N.
    """
    _check([n], n_samples)
    if comb(n_samples, n) <= SUBSETS:
        members = np.array(list(combinations(range(n_samples), n)), dtype=np.int64)
    else:
        blocks = n_samples // n
        rng = np.random.default_rng([seed, n_samples, n])
        permutations = rng.permuted(np.tile(np.arange(n_samples), (-(-SUBSETS // blocks), 1)), axis=1)
        members = permutations[:, : blocks * n].reshape(-1, n)
    chosen = np.zeros((len(members), n_samples), dtype=bool)
    np.put_along_axis(chosen, members, True, axis=1)
    return chosen


def expected_votes(
    classes: Ints, correct: Bools, weights: Sequence[Floats], ns: Sequence[int], seed: int
) -> tuple[Floats, list[Floats]]:
    """Accuracy of majority and of weighted voting among n samples, averaged over subsets.

    Args:
        classes: int [P, N], -1 for a sample without an answer.
        correct: bool [P, N].
        weights: one array float [P, N] per score to vote with (see :func:`harness.analysis.selection.vote_weights`).
        seed: of the subsets. The same subsets serve all problems and weights, so differences are paired.

    Returns:
        The accuracy of majority, float [len(ns), P], and one such array per entry of ``weights``.

    Raises:
        ValueError: for an n below 1 or above N.
    """
    ballots = Ballots(classes, correct)
    return _votes(ballots, [subsets(correct.shape[1], n, seed) for n in ns], weights)


def _votes(ballots: Ballots, chosen: Sequence[Bools], weights: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
    accuracies = np.array([ballots.accuracies(members, [None, *weights]) for members in chosen])
    return accuracies[:, 0], [accuracies[:, 1 + i] for i in range(len(weights))]


def expected_choices(
    rule: SelectionRule[Any],
    scores: Floats,
    weights: Floats,
    classes: Ints,
    correct: Bools,
    ns: Sequence[int],
    seed: int,
) -> Floats:
    """Accuracy of what a rule chooses among n samples, expected over subsets, float [len(ns), P].

    Exact for a rule that takes the highest of a number. For any other it is an average over the subsets of
    :func:`expected_votes`.

    Args:
        scores, weights, classes: [P, N], as in :class:`SelectionRule`; the classes may be any numbers.
        correct: bool [P, N].
        seed: of the subsets.

    Raises:
        ValueError: for an n below 1 or above N.
        UserError: as :func:`harness.core.selection_rules.checked_choice`.
    """
    ranks = checked_rank(rule, scores, weights, classes)
    if ranks is not None:
        return expected_best_of_n(ranks, correct, ns)
    n_samples = correct.shape[1]
    members = [_members(subsets(n_samples, n, seed)) for n in ns]
    return np.array([_choices(rule, scores, weights, classes, correct, of_n) for of_n in members])


def first_n_choices(
    rule: SelectionRule[Any], scores: Floats, weights: Floats, classes: Ints, correct: Bools, ns: Sequence[int]
) -> Floats:
    """Accuracy of what a rule chooses among the first n samples, float [len(ns), P].

    Arrays [P, N] and what is raised are those of :func:`expected_choices`.
    """
    _check(ns, correct.shape[1])
    ranks = checked_rank(rule, scores, weights, classes)
    if ranks is not None:
        return first_n_best(ranks, correct, ns)
    return np.array([_choices(rule, scores, weights, classes, correct, np.arange(n)[None]) for n in ns])


def _members(chosen: Bools) -> Ints:
    """The samples of each subset of one size, int [R, n], from bool [R, N]."""
    return np.asarray(np.nonzero(chosen)[1].reshape(len(chosen), -1), dtype=np.int64)


def _choices(
    rule: SelectionRule[Any], scores: Floats, weights: Floats, classes: Ints, correct: Bools, members: Ints
) -> Floats:
    """Mean accuracy over subsets, ``members`` int [R, n], of what a rule chooses in each, float [P]."""
    n_samples, n = scores.shape[1], members.shape[1]
    accuracies = np.zeros(len(scores))
    open_ = np.flatnonzero(correct.any(axis=1))  # where nothing is right nothing can be won
    for part in _runs(members, _BLOCK_ELEMENTS // n_samples):

        def in_sets(array: Any, part: Ints = part) -> Any:
            return array[:, part].reshape(-1, n)

        for rows in _runs(open_, _BLOCK_ELEMENTS // (len(part) * n_samples)):
            codes = np.array([_small(line) for line in classes[rows]])
            chances = checked_choice(rule, in_sets(scores[rows]), in_sets(weights[rows]), in_sets(codes))
            right = (chances * in_sets(correct[rows])).sum(axis=1)
            accuracies[rows] += right.reshape(len(rows), -1).sum(axis=1) / len(members)
    return accuracies


def _runs(array: Ints, size: int) -> Iterator[Ints]:
    """``array`` in runs of at most ``size`` of its rows, of one at least."""
    return (array[start : start + max(size, 1)] for start in range(0, len(array), max(size, 1)))


def _small(classes: Ints) -> Ints:
    """The answer classes of a problem, int [N], as 0, 1, …; -1 stays."""
    names, codes = np.unique(classes, return_inverse=True)
    return np.asarray(np.where(classes < 0, -1, codes - (names < 0).sum()), dtype=np.int64)


def first_n_best(scores: Floats, correct: Bools, ns: Sequence[int]) -> Floats:
    """Accuracy of the best-scored of the first n samples, float [len(ns), P].

    Args:
        scores, correct: [P, N], as for :func:`expected_best_of_n`.

    Raises:
        ValueError: for an n below 1 or above N.
    """
    _check(ns, correct.shape[1])
    return np.array([best_of_n(scores[:, :n], correct[:, :n]) for n in ns])


def first_n_oracle(correct: Bools, ns: Sequence[int]) -> Floats:
    """1 where any of the first n samples is right, else 0: float [len(ns), P], from ``correct``, bool [P, N].

    Raises:
        ValueError: for an n below 1 or above N.
    """
    _check(ns, correct.shape[1])
    return np.array([oracle(correct[:, :n]) for n in ns])


def first_n_average(correct: Bools, ns: Sequence[int]) -> Floats:
    """Mean accuracy of the first n samples, float [len(ns), P], from ``correct``, bool [P, N].

    Raises:
        ValueError: for an n below 1 or above N.
    """
    _check(ns, correct.shape[1])
    return np.array([average(correct[:, :n]) for n in ns])


def first_n_votes(
    classes: Ints, correct: Bools, weights: Sequence[Floats], ns: Sequence[int]
) -> tuple[Floats, list[Floats]]:
    """Accuracy of majority and of weighted voting among the first n samples.

    Arrays [P, N] and results [len(ns), P] are those of :func:`expected_votes`.

    Raises:
        ValueError: for an n below 1 or above N.
    """
    _check(ns, correct.shape[1])
    first = [np.arange(correct.shape[1])[None, :] < n for n in ns]
    return _votes(Ballots(classes, correct), first, weights)


def _check(ns: Sequence[int], n_samples: int) -> None:
    for n in ns:
        if not 1 <= n <= n_samples:
            raise ValueError(f"n = {n}: there are {n_samples} samples per problem")
