"""Aggregation and selection rules against hand-worked cases and a slow plain version."""

from __future__ import annotations

from collections import defaultdict
from math import exp
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.selection import (
    average,
    best_of_n,
    majority,
    oracle,
    vote_weights,
    weighted_best_of_n,
)
from harness.core.aggregation import AGGREGATIONS, aggregate, cannot_be
from harness.core.errors import UserError
from harness.core.terms import ScoreType

STEPS = [[0.9, 0.2, 0.7], [0.5], [0.25, 1.0]]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("min", [0.2, 0.5, 0.25]),
        ("last", [0.7, 0.5, 1.0]),
        ("mean", [0.6, 0.5, 0.625]),
        ("prod", [0.126, 0.5, 0.25]),
        ("sum", [1.8, 0.5, 1.25]),
    ],
)
def test_aggregation_of_steps(aggregation: str, expected: list[float]) -> None:
    flat = np.array([reward for steps in STEPS for reward in steps])
    lengths = np.array([len(steps) for steps in STEPS])
    assert aggregate(flat, lengths, aggregation, "probability") == pytest.approx(expected)


def test_all_aggregations_of_a_single_reward_agree() -> None:
    for aggregation in (*AGGREGATIONS, "min_window_2", "pessimistic_1"):
        score_type: ScoreType = "log-ratio" if cannot_be(aggregation, "probability") else "probability"
        assert aggregate(np.array([0.3, 0.6]), np.array([1, 1]), aggregation, score_type).tolist() == [0.3, 0.6]


@pytest.mark.parametrize("seed", range(5))
def test_aggregations_over_several_steps_by_the_letter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    responses = [rng.normal(size=rng.integers(1, 7)).tolist() for _ in range(40)]
    responses += [responses[3], responses[5]]  # a copy has the same score, to the last bit
    flat, lengths = np.concatenate(responses), np.array([len(steps) for steps in responses])

    def windows(steps: list[float], size: int) -> float:
        return min(fmean(steps[i : i + size]) for i in range(max(len(steps) - size + 1, 1)))

    expected = {
        "min_running_sum": [min(sum(steps[: t + 1]) for t in range(len(steps))) for steps in responses],
        "min_window_2": [windows(steps, 2) for steps in responses],
        "min_window_5": [windows(steps, 5) for steps in responses],
        "min_window_100": [fmean(steps) for steps in responses],
        "pessimistic_0.5": [fmean(steps) - 0.5 * pstdev(steps) for steps in responses],
    }
    for aggregation, scores in expected.items():
        found = aggregate(flat, lengths, aggregation, "log-ratio")
        assert found == pytest.approx(scores)
        assert found[-2:].tolist() == [found[3], found[5]]


def test_running_sums_of_probabilities_have_no_minimum_of_interest() -> None:
    with pytest.raises(UserError, match="min_running_sum needs rewards that add up"):
        aggregate(np.array([0.1, 0.2]), np.array([2]), "min_running_sum", "probability")


@pytest.mark.parametrize(
    "name", ["min_window", "min_window_1", "min_window_03", "min_window_3.0", "pessimistic_0", "pessimistic_1.0",
             "pessimistic_-1", "pessimistic_", "pessimistic_1e3", "Min"]
)  # fmt: skip
def test_an_aggregation_has_one_name(name: str) -> None:
    with pytest.raises(UserError, match=r"no aggregation is named .* min_window_K \(K steps, from 2 on\)"):
        aggregate(np.array([1.0]), np.array([1]), name, "probability")


@pytest.mark.parametrize("score_type", ["log-ratio", "unbounded"])
def test_a_product_needs_probabilities(score_type: str) -> None:
    with pytest.raises(UserError, match="prod needs probabilities"):
        aggregate(np.array([-1.0, -2.0]), np.array([2]), "prod", score_type)  # type: ignore[arg-type]


def test_unknown_aggregation_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'median'.*min, last, mean, prod, sum"):
        aggregate(np.array([1.0]), np.array([1]), "median", "probability")


def test_missing_or_broken_rewards_never_become_a_score() -> None:
    with pytest.raises(ValueError, match="no step rewards"):
        aggregate(np.array([0.5]), np.array([1, 0]), "min", "probability")
    with pytest.raises(ValueError, match="not finite"):
        aggregate(np.array([0.5, np.nan]), np.array([2]), "min", "probability")


def test_vote_weights_are_probabilities_or_scaled_sigmoids() -> None:
    scores = np.array([[-2.0, 0.0, 3.0]])
    assert vote_weights(scores, "log-ratio", 0.5)[0] == pytest.approx([1 / (1 + exp(-0.5 * s)) for s in scores[0]])
    chances = np.array([[0.2, 0.0, 1.0]])
    assert vote_weights(chances, "probability", 0.5).tolist() == chances.tolist()
    # A pessimistic score of probabilities may be below 0; a vote is not.
    assert vote_weights(np.array([[-0.3, 0.3]]), "probability", 1.0).tolist() == [[0.0, 0.3]]


def test_best_of_n_averages_ties() -> None:
    scores = np.array([[3.0, 3.0, 1.0], [1.0, 2.0, 0.0]])
    correct = np.array([[True, False, True], [True, False, True]])
    assert best_of_n(scores, correct).tolist() == [0.5, 0.0]
    assert average(correct).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert oracle(correct).tolist() == [1.0, 1.0]


def test_majority_ties_are_between_answers_not_samples() -> None:
    # Two votes each for a right and a wrong answer, one for another wrong one.
    classes = np.array([[4, 4, 7, 7, 9]])
    correct = np.array([[True, True, False, False, False]])
    assert majority(classes, correct).tolist() == [0.5]


def test_responses_without_an_answer_never_vote() -> None:
    classes = np.array([[-1, -1, -1, 3], [-1, -1, -1, -1]])
    correct = np.array([[False, False, False, True], [False, False, False, False]])
    assert majority(classes, correct).tolist() == [1.0, 0.0]
    weights = np.array([[0.9, 0.9, 0.9, 0.0], [0.9, 0.9, 0.9, 0.9]])
    assert weighted_best_of_n(weights, classes, correct).tolist() == [1.0, 0.0]


def test_equal_weights_in_another_order_are_tied() -> None:
    """Sums of the same numbers in another order differ in the last bit; that must not decide a vote."""
    rng = np.random.default_rng(0)
    half = rng.random((200, 7))
    weights = np.concatenate([half, rng.permuted(half, axis=1)], axis=1)
    classes = np.tile(np.repeat([0, 1], 7), (200, 1))
    assert weighted_best_of_n(weights, classes, classes == 0).tolist() == [0.5] * 200


def plain_vote(classes: list[int], correct: list[bool], weights: list[int]) -> float:
    totals: dict[int, int] = defaultdict(int)
    for answer, weight in zip(classes, weights, strict=True):
        if answer >= 0:
            totals[answer] += weight
    winners = [a for a, total in totals.items() if total == max(totals.values())]
    shares = []
    for winner in winners:
        members = [c for a, c in zip(classes, correct, strict=True) if a == winner]
        shares.append(sum(members) / len(members))
    return sum(shares) / len(shares) if shares else 0.0


@given(
    st.lists(
        st.lists(st.tuples(st.integers(-1, 3), st.booleans(), st.integers(0, 3)), min_size=5, max_size=5),
        min_size=1,
        max_size=6,
    )
)
@settings(deadline=None)  # a busy machine may be slow at any moment
def test_votes_match_the_plain_version(problems: list[list[tuple[int, bool, int]]]) -> None:
    """Mixed verdicts within an answer included: the answer's accuracy is its members' share."""
    classes = np.array([[sample[0] for sample in p] for p in problems])
    correct = np.array([[sample[1] for sample in p] for p in problems])
    weights = np.array([[float(sample[2]) for sample in p] for p in problems])
    expected = [plain_vote([s[0] for s in p], [s[1] for s in p], [s[2] for s in p]) for p in problems]
    assert weighted_best_of_n(weights, classes, correct) == pytest.approx(expected)
    expected = [plain_vote([s[0] for s in p], [s[1] for s in p], [1] * 5) for p in problems]
    assert majority(classes, correct) == pytest.approx(expected)


@given(
    st.lists(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 3)), min_size=6, max_size=6), min_size=1, max_size=8)
)
@settings(deadline=None)  # as above
def test_votes_where_one_answer_is_right_match_the_plain_version(problems: list[list[tuple[int, int]]]) -> None:
    classes = np.array([[answer for answer, _ in p] for p in problems])
    weights = np.array([[float(weight) for _, weight in p] for p in problems])
    for weighing in (weights, np.ones_like(weights), weights + 0.1):
        expected = [
            plain_vote(c.tolist(), (c == 2).tolist(), np.rint(10 * w).astype(int).tolist())
            for c, w in zip(classes, weighing, strict=True)
        ]
        assert weighted_best_of_n(weighing, classes, classes == 2) == pytest.approx(expected)
