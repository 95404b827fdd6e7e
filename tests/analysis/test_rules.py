"""Selection rules against slow plain versions over all subsets, and what is said of rules that go wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations
from math import exp, inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis import estimators
from harness.analysis.estimators import expected_best_of_n, expected_choices, expected_votes, first_n_choices
from harness.analysis.rule_entries import rule_of
from harness.core.errors import UserError
from harness.core.registry import find
from harness.core.selection_rules import SelectionRule, checked_choice

Chances = dict[int, Fraction | float]
Set = Sequence[tuple[float, float, int]]  # score, weight and answer of each response


def of(type_: str, **params: Any) -> SelectionRule[Any]:
    return rule_of("r", {"type": type_, **params})


def answers_with(totals: dict[int, Any], members: dict[int, list[int]]) -> Chances:
    """The responses of the answers with the highest total, each answer with the same chance."""
    best = [answer for answer, total in totals.items() if total == max(totals.values())]
    return {i: Fraction(1, len(best) * len(members[a])) for a in best for i in members[a]}


def by_answer(responses: Set, among: Sequence[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for i in among:
        if responses[i][2] >= 0:
            members[responses[i][2]].append(i)
    return members


def exact(number: float) -> Fraction:
    return Fraction(number).limit_denominator(1000)


def best_by_hand(responses: Set) -> Chances:
    best = [i for i, (score, *_) in enumerate(responses) if score == max(s for s, *_ in responses)]
    return {i: Fraction(1, len(best)) for i in best}


def weighted_by_hand(responses: Set) -> Chances:
    members = by_answer(responses, range(len(responses)))
    return answers_with({a: sum(exact(responses[i][1]) for i in of_a) for a, of_a in members.items()}, members)


def majority_by_hand(responses: Set) -> Chances:
    members = by_answer(responses, range(len(responses)))
    return answers_with({a: len(of_a) for a, of_a in members.items()}, members)


def bests_by_hand(k: int) -> Callable[[Set], Chances]:
    def choose(responses: Set) -> Chances:
        scores = [score for score, *_ in responses]
        border = sorted(scores, reverse=True)[min(k, len(scores)) - 1]
        above, tied = sum(s > border for s in scores), sum(s == border for s in scores)
        part = {i: Fraction(1) if s > border else Fraction(min(k, len(scores)) - above, tied)
                for i, s in enumerate(scores) if s >= border}  # fmt: skip
        members = by_answer(responses, list(part))
        return answers_with({a: sum(part[i] for i in of_a) for a, of_a in members.items()}, members)

    return choose


def means_by_hand(k: int) -> Callable[[Set], Chances]:
    def choose(responses: Set) -> Chances:
        members = by_answer(responses, range(len(responses)))
        totals: dict[int, Any] = {}
        for answer, of_answer in members.items():
            best = sorted((exact(s) for i in of_answer if (s := responses[i][0]) > -inf), reverse=True)[:k]
            totals[answer] = sum(best) / len(best) if best else -inf
        return answers_with(totals, members)

    return choose


def soft_by_hand(temperature: float) -> Callable[[Set], Chances]:
    def choose(responses: Set) -> Chances:
        scores = [score for score, *_ in responses]
        if max(scores) == -inf:
            return dict.fromkeys(range(len(scores)), Fraction(1, len(scores)))
        powers = [exp(score / temperature) for score in scores]
        return {i: power / sum(powers) for i, power in enumerate(powers)}

    return choose


RULES: list[tuple[SelectionRule[Any], Callable[[Set], Chances]]] = [
    (of("best_of_n"), best_by_hand),
    (of("weighted_best_of_n"), weighted_by_hand),
    (of("majority"), majority_by_hand),
    *((of("majority_of_best", k=k), bests_by_hand(k)) for k in (1, 2, 3, 9)),
    *((of("top_k_mean", k=k), means_by_hand(k)) for k in (1, 2, 9)),
    *((of("soft_best_of_n", temperature=t), soft_by_hand(t)) for t in (0.1, 2.0)),
]


def problems(n_problems: int, n_samples: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Scores with many ties and some missing, weights, answers (some none) that need not be right as a whole."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 3, size=(n_problems, n_samples)) / 4
    weights = rng.integers(0, 4, size=(n_problems, n_samples)) / 4
    unscored = rng.random(scores.shape) < 0.2
    scores[unscored], weights[unscored] = -np.inf, 0.0
    classes = rng.choice([-1, 3, 4, 70], size=scores.shape)
    correct = (classes == rng.choice([3, 4, 70], size=(n_problems, 1))) & (rng.random(scores.shape) < 0.9)
    return scores, weights, classes, correct


@pytest.mark.parametrize(("rule", "by_hand"), RULES, ids=lambda p: p.params if isinstance(p, SelectionRule) else "")
def test_every_rule_equals_enumeration(rule: SelectionRule[Any], by_hand: Callable[[Set], Chances]) -> None:
    scores, weights, classes, correct = problems(25, 5)
    ns = range(1, 6)
    found = expected_choices(rule, scores, weights, classes, correct, ns, seed=0)
    for p in range(len(scores)):
        responses = list(zip(scores[p].tolist(), weights[p].tolist(), classes[p].tolist(), strict=True))
        for at, n in enumerate(ns):
            pools = list(combinations(range(5), n))
            chosen = [by_hand([responses[i] for i in pool]) for pool in pools]
            right = [
                sum(c * bool(correct[p, pool[i]]) for i, c in of.items())
                for pool, of in zip(pools, chosen, strict=True)
            ]
            assert found[at, p] == pytest.approx(float(sum(right)) / len(pools)), (p, n)
    first = first_n_choices(rule, scores, weights, classes, correct, [3])
    alone = expected_choices(rule, *(array[:, :3] for array in (scores, weights, classes, correct)), [3], seed=0)
    assert first == pytest.approx(alone)


def test_the_usual_rules_are_what_they_always_were() -> None:
    """Over seeded subsets too: the same ones for the same seed."""
    scores, weights, classes, correct = problems(40, 20)
    ns = [1, 2, 7, 13, 20]
    arrays = scores, weights, classes, correct
    votes, (weighted,) = expected_votes(classes, correct, [weights], ns, seed=3)
    assert expected_choices(of("majority"), *arrays, ns, 3) == pytest.approx(votes)
    assert expected_choices(of("majority_of_best", k=20), *arrays, ns, 3) == pytest.approx(votes)
    assert expected_choices(of("weighted_best_of_n"), *arrays, ns, 3) == pytest.approx(weighted)
    assert (expected_choices(of("best_of_n"), *arrays, ns, 3) == expected_best_of_n(scores, correct, ns)).all()


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = problems(12, 7)  # 35 subsets of 3
    rule = of("majority_of_best", k=2)
    whole = expected_choices(rule, *arrays, [3, 7], 0)
    for size in (1, 80, 1000):  # a subset of a problem at once, some subsets, some problems
        monkeypatch.setattr(estimators, "_BLOCK_ELEMENTS", size)
        assert expected_choices(rule, *arrays, [3, 7], 0) == pytest.approx(whole)


def test_no_rule_depends_on_the_order_or_on_other_sets() -> None:
    scores, weights, classes, _ = problems(60, 7)
    order = np.random.default_rng(1).permutation(7)
    for rule, _ in RULES[1:]:
        chances = checked_choice(rule, scores, weights, np.maximum(classes, -1) % 71)
        moved = checked_choice(rule, scores[:, order], weights[:, order], np.maximum(classes, -1)[:, order] % 71)
        assert moved == pytest.approx(chances[:, order])
        assert checked_choice(rule, scores[5:6], weights[5:6], classes[5:6]) == pytest.approx(chances[5:6])


def test_scores_at_the_end_of_the_floats() -> None:
    scores = np.array([[1e308, -1e308, -np.inf, 1e308]])
    arrays = scores, np.ones(scores.shape), np.array([[0, 1, 2, 0]])
    with np.errstate(all="raise", under="ignore"):
        assert checked_choice(of("soft_best_of_n", temperature=1e-300), *arrays).tolist() == [[0.5, 0, 0, 0.5]]
        assert checked_choice(of("top_k_mean", k=4), *arrays).tolist() == [[0.5, 0, 0, 0.5]]


FILE = '''
from __future__ import annotations
import numpy as np
from harness import SelectionRule, ComponentParams

def places(scores, at: int = 0, *, most: int = 9):
    """The response at a place of the ranking."""
    order = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return order == min(at, most, scores.shape[1] - 1)

def writes(scores, weights, classes):
    scores[:] = 0; weights[:] = 0; classes[:] = 0
    return np.ones(scores.shape)

class Flipped(SelectionRule[ComponentParams]):
    """The response with the lowest score."""
    def rank(self, scores, weights, classes):
        return -scores

def shape(scores): return scores[:, :1]
def negative(scores): return np.full(scores.shape, -0.5)
def nan(scores): return scores * np.nan
def infinite(scores): return np.full(scores.shape, np.inf)
def text(scores): return np.full(scores.shape, "a")
def ragged(scores): return [[1.0], [1.0, 2.0]]
def nothing(scores): return None
def raises(scores): raise IndexError("a\\nb")
def leaves(scores): raise SystemExit("bye")
def huge(scores): return np.full(scores.shape, 1e308)
class Neither(SelectionRule[ComponentParams]): pass
class Nan(SelectionRule[ComponentParams]):
    def rank(self, scores, weights, classes): return scores * np.nan

def no_arrays(k: int = 1): return k
def stars(*arrays): return arrays
def unknown(scores, k: Unheard): return scores
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "mine.py"
    path.write_text(FILE)
    return path


def test_a_function_of_arrays_is_a_rule(file: Path) -> None:
    scores, weights, classes, correct = problems(10, 5)
    scores = np.random.default_rng(0).normal(size=scores.shape)
    arrays = scores, weights, classes, correct
    best = expected_best_of_n(scores, correct, [1, 3])
    assert expected_choices(of(f"{file}:places"), *arrays, [1, 3], 0) == pytest.approx(best)
    last = expected_best_of_n(-scores, correct, [3])
    assert expected_choices(of(f"{file}:places", at=2), *arrays, [3], 0) == pytest.approx(last)
    assert expected_choices(of(f"{file}:places", at=9, most=2), *arrays, [3], 0) == pytest.approx(last)
    assert (expected_choices(of(f"{file}:Flipped"), *arrays, [3], 0) == last).all()
    cls = find("selection_rules", f"{file}:places")
    assert (cls.__doc__, list(cls.Params.model_fields)) == ("The response at a place of the ranking.", ["at", "most"])
    # A rule writes into arrays of its own.
    mean = np.tile(correct.mean(axis=1), (2, 1))
    assert expected_choices(of(f"{file}:writes"), *arrays, [2, 5], 0) == pytest.approx(mean)
    assert expected_choices(of(f"{file}:huge"), *arrays, [2, 5], 0) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shape", r"selection rule r gave the shape \(30, 1\) for scores of the shape \(30, 3\)"),
        ("negative", "selection rule r gave the chance -0.5: none is below 0"),
        ("nan", "selection rule r gave nan: finite numbers are expected"),
        ("infinite", "selection rule r gave inf"),
        ("text", "selection rule r gave ndarray of <U1: an array of numbers is expected"),
        ("ragged", "selection rule r: ValueError"),
        ("nothing", "selection rule r gave NoneType of object"),
        ("raises", "selection rule r: IndexError: a b$"),
        ("leaves", "selection rule r: SystemExit: bye$"),
        ("Neither", "selection rule r: it says neither rank nor choose"),
        ("Nan", "selection rule r gave nan"),
        ("no_arrays", "no_arrays: no selection rule: it takes none of scores, weights, classes"),
        ("stars", r"stars: a selection rule has parameters with names, no \* or /"),
        ("unknown", "unknown: its parameters cannot be read: NameError"),
        ("absent", "has no component absent"),
    ],
)
def test_what_a_rule_does_wrong_is_said_in_a_line(file: Path, name: str, message: str) -> None:
    scores, weights, classes, correct = problems(3, 5)
    correct[:, 0] = True
    with pytest.raises(UserError, match=message) as caught:
        expected_choices(of(f"{file}:{name}"), scores, weights, classes, correct, [3], 0)
    assert "\n" not in str(caught.value)


def test_wrong_parameters(file: Path) -> None:
    for type_, params, message in (
        ("majority_of_best", {}, "r.k: missing"),
        ("top_k_mean", {"k": 0}, "r.k: input should be greater than or equal to 1"),
        ("soft_best_of_n", {"temperature": 0}, "r.temperature: input should be greater than 0"),
        (f"{file}:places", {"att": 1}, "r.att: unknown key; did you mean at"),
        (f"{file}:places", {"at": "x"}, "r.at: input should be a valid integer"),
        ("best_of", {}, "no selection rule is named 'best_of'; did you mean best_of_n"),
    ):
        with pytest.raises(UserError, match=message):
            of(type_, **params)
