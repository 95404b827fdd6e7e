"""Estimates at n against enumeration of all subsets, closed cases and recorded real responses."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from harness.analysis.estimators import (
    expected_best_of_n,
    expected_votes,
    first_n_average,
    first_n_best,
    first_n_oracle,
    first_n_votes,
    grid,
    pass_at_n,
    subsets,
)
from harness.analysis.inference import Bootstrap
from harness.analysis.selection import (
    aggregate,
    best_of_n,
    majority,
    oracle,
    response_scores,
    vote_weights,
    weighted_best_of_n,
)
from harness.core.terms import ScoreType


def random_problems(n_problems: int, n_samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with many ties, verdicts, answer classes (each class right or wrong as a whole, some -1)."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, size=(n_problems, n_samples)) / 4
    classes = rng.integers(-1, 4, size=(n_problems, n_samples))
    right = rng.integers(0, 4, size=(n_problems, 1))
    return scores, classes == right, classes


@pytest.mark.parametrize("n_samples", [1, 2, 5, 8])
def test_every_estimate_equals_enumeration(n_samples: int) -> None:
    scores, correct, classes = random_problems(25, n_samples, seed=n_samples)
    ns = range(1, n_samples + 1)
    best, passed = expected_best_of_n(scores, correct, ns), pass_at_n(correct, ns)
    vote, (weighted,) = expected_votes(classes, correct, [scores], ns, seed=0)
    for i, n in enumerate(ns):
        pools = [list(pool) for pool in combinations(range(n_samples), n)]
        assert best[i] == pytest.approx(np.mean([best_of_n(scores[:, p], correct[:, p]) for p in pools], axis=0))
        assert passed[i] == pytest.approx(np.mean([oracle(correct[:, p]) for p in pools], axis=0))
        assert vote[i] == pytest.approx(np.mean([majority(classes[:, p], correct[:, p]) for p in pools], axis=0))
        assert weighted[i] == pytest.approx(
            np.mean([weighted_best_of_n(scores[:, p], classes[:, p], correct[:, p]) for p in pools], axis=0)
        )


def best_by_hand(scores: list[float | None], correct: list[bool], pool: Sequence[int]) -> float:
    """Best of a pool, where None is no score: it is taken only where no sample of the pool has a score."""
    scored = [i for i in pool if scores[i] is not None]
    candidates = [i for i in scored if all(scores[i] >= scores[j] for j in scored)] or list(pool)
    return sum(correct[i] for i in candidates) / len(candidates)


def vote_by_hand(weights: list[float | None], correct: list[bool], classes: list[int], pool: Sequence[int]) -> float:
    """The answer with the largest sum of weights in a pool, where None adds nothing."""
    totals: dict[int, float] = {}
    for i in pool:
        if classes[i] >= 0:
            totals[classes[i]] = totals.get(classes[i], 0.0) + (weights[i] or 0.0)
    winners = [c for c, total in totals.items() if abs(total - max(totals.values())) < 1e-12]
    right = {c: any(correct[i] for i in pool if classes[i] == c) for c in winners}
    return sum(right.values()) / len(winners) if winners else 0.0


@pytest.mark.parametrize("score_type", ["probability", "unbounded"])
@pytest.mark.parametrize("n_samples", [1, 3, 6])
def test_every_estimate_with_unscored_responses_equals_enumeration(n_samples: int, score_type: ScoreType) -> None:
    rng = np.random.default_rng(n_samples)
    scores, correct, classes = random_problems(40, n_samples, seed=n_samples)
    unscored = rng.random(scores.shape) < 0.4
    unscored[:2] = True  # problems of which no response has a score
    ns = range(1, n_samples + 1)
    ranked = np.where(unscored, -np.inf, scores)
    weights = vote_weights(ranked, score_type, 2.0)
    best, first = expected_best_of_n(ranked, correct, ns), first_n_best(ranked, correct, ns)
    _, (weighted,) = expected_votes(classes, correct, [weights], ns, seed=0)
    _, (first_weighted,) = first_n_votes(classes, correct, [weights], ns)
    for p in range(len(scores)):
        by_hand = [None if missing else float(s) for s, missing in zip(scores[p], unscored[p], strict=True)]
        votes = [s if s is None or score_type == "probability" else 1 / (1 + np.exp(-2 * s)) for s in by_hand]
        right, answers = correct[p].tolist(), classes[p].tolist()
        for i, n in enumerate(ns):
            pools = list(combinations(range(n_samples), n))
            assert best[i, p] == pytest.approx(np.mean([best_by_hand(by_hand, right, pool) for pool in pools]))
            assert weighted[i, p] == pytest.approx(np.mean([vote_by_hand(votes, right, answers, s) for s in pools]))
            assert first[i, p] == pytest.approx(best_by_hand(by_hand, right, range(n)))
            assert first_weighted[i, p] == pytest.approx(vote_by_hand(votes, right, answers, range(n)))


def test_order_of_samples_does_not_matter() -> None:
    scores, correct, _ = random_problems(10, 16, seed=1)
    shuffled = np.random.default_rng(0).permutation(16)
    ns = grid(16)
    assert expected_best_of_n(scores, correct, ns) == pytest.approx(
        expected_best_of_n(scores[:, shuffled], correct[:, shuffled], ns)
    )


def test_closed_cases() -> None:
    _, correct, _ = random_problems(12, 16, seed=2)
    ns = grid(16)
    # A score that knows the verdict reaches pass@n; one that knows nothing stays at pass@1; one that prefers wrong
    # answers is right only if the whole subset is.
    assert expected_best_of_n(correct.astype(float), correct, ns) == pytest.approx(pass_at_n(correct, ns))
    flat = expected_best_of_n(np.zeros(correct.shape), correct, ns)
    assert flat == pytest.approx(np.tile(correct.mean(axis=1), (len(ns), 1)))
    worst = expected_best_of_n(-correct.astype(float), correct, ns)
    all_right = [[comb(c, n) / comb(16, n) for c in correct.sum(axis=1)] for n in ns]
    assert worst == pytest.approx(np.array(all_right))


def test_voting_over_random_subsets_is_unbiased_and_seeded() -> None:
    """Against exact enumeration where the subsets are drawn, not enumerated (C(12, 6) = 924)."""
    scores, correct, classes = random_problems(40, 12, seed=3)
    pools = [list(pool) for pool in combinations(range(12), 6)]
    exact = np.mean([majority(classes[:, p], correct[:, p]) for p in pools], axis=0)
    drawn = [expected_votes(classes, correct, [], [6], seed=seed)[0][0] for seed in range(20)]
    # 20 x 256 subsets: the standard error per problem is at most 0.5 / sqrt(5120) = 0.007.
    assert np.abs(np.mean(drawn, axis=0) - exact).max() < 0.035
    assert np.array_equal(drawn[4], expected_votes(classes, correct, [scores], [6], seed=4)[0][0])
    assert not np.array_equal(drawn[4], drawn[5])


@pytest.mark.parametrize(
    ("n_samples", "n", "rows"), [(64, 1, 64), (64, 64, 1), (10, 3, 120), (64, 16, 256), (64, 48, 256)]
)
def test_subsets_have_the_size_and_use_samples_evenly(n_samples: int, n: int, rows: int) -> None:
    chosen = subsets(n_samples, n, seed=0)
    assert chosen.shape == (rows, n_samples)
    assert (chosen.sum(axis=1) == n).all()
    if n_samples % n == 0:
        assert len(set(chosen.sum(axis=0).tolist())) == 1


def test_first_n_looks_at_the_first_samples_only() -> None:
    scores, correct, classes = random_problems(15, 8, seed=5)
    ns = [1, 3, 8]
    vote, (weighted,) = first_n_votes(classes, correct, [scores], ns)
    best, passed, mean = first_n_best(scores, correct, ns), first_n_oracle(correct, ns), first_n_average(correct, ns)
    for i, n in enumerate(ns):
        for p in range(15):
            head, right, answers = scores[p, :n], correct[p, :n], classes[p : p + 1, :n]
            assert best[i, p] == right[head == head.max()].mean()
            assert passed[i, p] == right.max()
            assert mean[i, p] == right.mean()
            assert vote[i, p] == majority(answers, right[None])[0]
            assert weighted[i, p] == weighted_best_of_n(head[None], answers, right[None])[0]


@pytest.mark.parametrize("n", [0, 9])
@pytest.mark.parametrize(
    "estimate",
    [
        lambda scores, correct, classes, n: expected_best_of_n(scores, correct, [n]),
        lambda scores, correct, classes, n: pass_at_n(correct, [n]),
        lambda scores, correct, classes, n: expected_votes(classes, correct, [scores], [1, n], seed=0),
        lambda scores, correct, classes, n: subsets(8, n, seed=0),
        lambda scores, correct, classes, n: first_n_best(scores, correct, [n]),
        lambda scores, correct, classes, n: first_n_oracle(correct, [n]),
        lambda scores, correct, classes, n: first_n_average(correct, [n]),
        lambda scores, correct, classes, n: first_n_votes(classes, correct, [scores], [n]),
    ],
)
def test_more_samples_than_there_are_is_an_error(estimate, n: int) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"n = {n}: there are 8 samples per problem"):
        estimate(*random_problems(3, 8, seed=0), n)


@pytest.mark.parametrize(
    ("n_samples", "sizes", "expected"),
    [(1, [], [1]), (64, [], [1, 2, 4, 8, 16, 32, 64]), (12, [3, 64], [1, 2, 3, 4, 8, 12])],
)
def test_grid(n_samples: int, sizes: list[int], expected: list[int]) -> None:
    assert grid(n_samples, sizes) == expected


# --- intervals and comparisons ------------------------------------------------------------------------


def test_bootstrap_interval_matches_the_normal_one_for_many_problems() -> None:
    values = np.random.default_rng(0).random((1, 2000))
    (interval,) = Bootstrap(2000, 4000, seed=0).intervals(values)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_missing_problems_are_left_out_not_counted_as_wrong() -> None:
    values = np.array([[1.0, np.nan, 1.0, np.nan], [0.0, 1.0, 0.0, 1.0]])
    bootstrap = Bootstrap(4, 500, seed=0)
    first, second = bootstrap.intervals(values)
    assert (first.mean, first.low, first.high, first.n_problems) == (1.0, 1.0, 1.0, 2)
    assert (second.mean, second.n_problems) == (0.5, 4)
    (difference,) = bootstrap.compare(values[:1], values[1:])
    assert (difference.mean, difference.won, difference.lost, difference.n_problems) == (1.0, 2, 0, 2)


def test_paired_interval_is_that_of_the_differences() -> None:
    """A constant gain is certain however much accuracy varies between problems."""
    b = np.random.default_rng(0).random((1, 50)) * 0.5
    (difference,) = Bootstrap(50, 200, seed=0).compare(b + 0.25, b)
    assert (difference.low, difference.high) == (pytest.approx(0.25), pytest.approx(0.25))


def test_exact_p_is_the_sign_test_on_decided_problems() -> None:
    a = np.array([[1.0] * 9 + [0.0] * 2 + [1.0] * 5])
    b = np.array([[0.0] * 9 + [1.0] * 2 + [1.0] * 5])
    (difference,) = Bootstrap(16, 1000, seed=0).compare(a, b)
    assert (difference.won, difference.lost) == (9, 2)
    assert difference.p_permutation == pytest.approx(binomtest(2, 11).pvalue)


def test_sign_flip_p_matches_enumeration_of_all_flips() -> None:
    differences = np.random.default_rng(3).normal(0.2, 0.4, size=10)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 10)).reshape(10, -1)
    exact = np.mean(np.abs(differences @ signs) >= abs(differences.sum()) - 1e-12)
    (found,) = Bootstrap(10, 100, seed=0).compare(differences[None], np.zeros((1, 10)))
    assert found.p_permutation == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9_999))


def test_no_difference_has_p_one() -> None:
    values = np.full((1, 20), 0.5)
    (difference,) = Bootstrap(20, 100, seed=0).compare(values, values + 1e-15)
    assert (difference.mean, difference.p_bootstrap, difference.p_permutation) == (0.0, 1.0, 1.0)
    assert (difference.won, difference.lost) == (0, 0)


# --- recorded real responses --------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["math500", "gsm8k"])
def recorded(request: pytest.FixtureRequest, shared_data: Path) -> tuple[str, list[dict[str, object]], np.ndarray]:
    name = request.param
    with gzip.open(shared_data / f"{name}_recorded.jsonl.gz", "rt") as lines:
        problems = [json.loads(line) for line in lines]
    # Four responses are labelled "ambiguous"; the reference counts them as right.
    with gzip.open(shared_data / f"{name}_labels_dev.jsonl.gz", "rt") as lines:
        labels = {(x["problem_id"], x["sample"]): bool(x["correct"]) for x in map(json.loads, lines)}
    correct = np.array([[labels[p["problem_id"], i] for i in range(len(p["samples"]))] for p in problems])
    return name, problems, correct


def test_recorded_responses_give_the_reference_metrics(recorded, shared_data: Path) -> None:  # type: ignore[no-untyped-def]
    """pass@n and best-of-n of real responses, against figures computed independently of this code."""
    name, problems, correct = recorded
    reference = json.loads((shared_data / "reference_metrics_dev.json").read_text())[name]
    ns = grid(32)
    assert 100 * pass_at_n(correct, ns).mean(axis=1) == pytest.approx(
        [reference["pass@n"][str(n)] for n in ns], abs=1e-6
    )
    checked = 0
    for reward_model, by_aggregation in reference["best_of_n"].items():
        steps = [s["step_scores"][reward_model] for p in problems for s in p["samples"]]
        flat, lengths = np.concatenate(steps), np.array([len(s) for s in steps])
        for aggregation, expected in by_aggregation.items():
            scores = aggregate(flat, lengths, aggregation, "probability").reshape(correct.shape)
            found = 100 * expected_best_of_n(scores, correct, ns).mean(axis=1)
            assert found == pytest.approx([expected[str(n)] for n in ns], abs=1e-6), (reward_model, aggregation)
            checked += 1
    assert checked >= 4


def test_a_response_without_step_rewards_is_never_aggregated() -> None:
    flat, lengths = np.array([0.5, 0.25, 1.0]), np.array([0, 2, 0, 1, 0])
    for aggregation, first in (("min", 0.25), ("last", 0.25), ("mean", 0.375), ("sum", 0.75), ("prod", 0.125)):
        scores = response_scores(flat, lengths, aggregation, "probability")
        assert scores.tolist() == [-np.inf, first, -np.inf, 1.0, -np.inf]
    assert response_scores(np.empty(0), np.zeros(3, dtype=np.int64), "min", "unbounded").tolist() == [-np.inf] * 3
