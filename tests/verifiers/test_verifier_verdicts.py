"""Verdicts as values, and the questions that a comparison asks the oracle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bonbench.verifiers.equivalence.comparison import Comparison
from bonbench.verifiers.equivalence.policy import Policy
from bonbench.verifiers.equivalence.questions import Questions
from bonbench.verifiers.equivalence.verdict import DIFFERENT, SAME, Means, Verdict, all_equal, any_equal, pair_up
from bonbench.verifiers.oracle.isolated import Leaf
from bonbench.verifiers.reading.interpret import interpret

ARITHMETIC, SYMBOLIC = Verdict(True, Means.ARITHMETIC), Verdict(True, Means.SYMBOLIC)
TIMEOUT, CRASH = Verdict(False, failure="timeout"), Verdict(False, failure="crash")


class Oracle:
    """Answers questions from a list, and remembers them."""

    def __init__(self, *answers: tuple[bool, str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Leaf, Leaf, bool]] = []

    def __call__(self, a: Leaf, b: Leaf, whole: bool) -> tuple[bool, str]:
        self.asked.append((a, b, whole))
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("parts", "every", "some"),
    [
        ([], SAME, DIFFERENT),
        ([SAME, ARITHMETIC], ARITHMETIC, SAME),
        ([ARITHMETIC, SYMBOLIC, SAME], SYMBOLIC, ARITHMETIC),
        ([TIMEOUT, CRASH], TIMEOUT, TIMEOUT),
        ([TIMEOUT, SYMBOLIC], TIMEOUT, Verdict(True, Means.SYMBOLIC, "timeout")),
        ([Verdict(False, Means.ARITHMETIC), SAME], Verdict(False, Means.ARITHMETIC), ARITHMETIC),
    ],
)
def test_combined(parts: list[Verdict], every: Verdict, some: Verdict) -> None:
    assert all_equal(parts) == every
    assert any_equal(parts) == some


def test_no_more_parts_are_decided_than_needed() -> None:
    def parts(*verdicts: Verdict) -> Iterator[Verdict]:
        yield from verdicts
        raise AssertionError("one part too many")

    assert not all_equal(parts(SAME, DIFFERENT)).equal
    assert any_equal(parts(DIFFERENT, SAME)).equal
    assert SAME.or_else(lambda: next(parts())) == SAME
    assert TIMEOUT.or_else(lambda: SYMBOLIC) == Verdict(True, Means.SYMBOLIC, "timeout")


def test_pairs_are_one_to_one() -> None:
    def same(a: int, b: int) -> Verdict:
        return Verdict(a == b)

    assert pair_up([1, 2, 2], [2, 1, 2], same).equal
    assert not pair_up([1, 2, 2], [2, 1, 1], same).equal
    assert not pair_up([1], [1, 1], same).equal


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [(SAME, "exact"), (ARITHMETIC, "arithmetic"), (SYMBOLIC, "symbolic"), (DIFFERENT, "different"), (CRASH, "crash")],
)
def test_reasons(verdict: Verdict, reason: str) -> None:
    assert verdict.reason == reason


def test_no_question_is_asked_twice() -> None:
    oracle = Oracle((True, "symbolic"), (False, "unproven"))
    questions = Questions(oracle)
    for _ in range(2):
        assert questions.ask("a", "b") == SYMBOLIC
        assert questions.ask("a", "b", whole=True) == DIFFERENT
        assert questions.ask("a", "a") == SAME
    assert oracle.asked == [("a", "b", False), ("a", "b", True)]


def test_nothing_is_asked_after_a_failure() -> None:
    oracle = Oracle((False, "memory"))
    questions = Questions(oracle)
    assert [questions.ask("a", letter).failure for letter in "bcb"] == ["memory"] * 3
    assert len(oracle.asked) == 1


def test_a_failure_in_a_part_is_the_reason_of_the_whole() -> None:
    (a,), (b,) = (interpret(text).answers for text in (r"(\int_0^1 x dx, 1)", r"(\frac{1}{2}, 1)"))
    oracle = Oracle((False, "timeout"))
    assert Comparison(Policy(), oracle).equal(a, b) == TIMEOUT
    assert len(oracle.asked) == 1
