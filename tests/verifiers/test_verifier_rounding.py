"""``rounding``: what a rounded gold answer accepts, against decimal arithmetic; and that votes stay exact."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bonbench.verifiers.math import MathParams, MathVerifier
from harness.core.records import Problem, Response

GOLD = MathVerifier(MathParams(rounding="gold"))
SHARE = MathVerifier(MathParams(rounding=0.02))
EXACT = MathVerifier(MathParams())


def verdict(verifier: MathVerifier, pred: str, gold: str) -> tuple[bool, str]:
    return verifier.verify([(pred, gold)])[0]


def rounds_to(value: Fraction, digits: str) -> bool:
    """Whether ``value`` is rounded to ``digits`` by at least one of the two ways to treat a tie."""
    places = len(digits.partition(".")[2])
    scaled = value * 10**places
    return Fraction(Decimal(digits)) * 10**places in {
        math.ceil(scaled - Fraction(1, 2)),
        math.floor(scaled + Fraction(1, 2)),
    }


DECIMALS = st.tuples(st.integers(-5000, 5000), st.integers(1, 4)).map(lambda p: str(Decimal(p[0]).scaleb(-p[1])))
FRACTIONS = st.fractions(min_value=-10, max_value=10, max_denominator=300)


@settings(max_examples=300)
@given(FRACTIONS, st.integers(1, 4), st.integers(-2, 2))
def test_a_value_that_rounds_to_the_gold_answer(value: Fraction, places: int, off: int) -> None:
    gold = str(Decimal(round(value * 10**places) + off).scaleb(-places))
    assert len(gold.partition(".")[2]) == places
    for pred in (rf"\frac{{{value.numerator}}}{{{value.denominator}}}", rf"x = {value.numerator}/{value.denominator}"):
        assert verdict(GOLD, pred, gold)[0] == rounds_to(value, gold), (pred, gold)


@settings(max_examples=300)
@given(DECIMALS, st.integers(1, 4))
def test_a_decimal_that_rounds_to_the_gold_answer(pred: str, places: int) -> None:
    gold = str(round(Decimal(pred), places))
    for candidate in (gold, str(Decimal(gold) + Decimal(1).scaleb(-places))):
        assert verdict(GOLD, pred, candidate)[0] == rounds_to(Fraction(pred), candidate), (pred, candidate)


@settings(max_examples=300)
@given(FRACTIONS, st.fractions(min_value=Fraction(9, 10), max_value=Fraction(11, 10), max_denominator=500))
def test_a_share_of_the_larger_value(value: Fraction, factor: Fraction) -> None:
    other = value * factor
    expected = abs(value - other) <= Fraction(2, 100) * max(abs(value), abs(other))
    assert verdict(SHARE, str(other), str(value))[0] == verdict(SHARE, str(value), str(other))[0] == expected


@pytest.mark.parametrize(
    ("pred", "gold", "expected"),
    [
        (r"\frac13", "0.33", True),
        ("0.3333", "0.33", True),
        ("0.3", "0.33", False),
        ("0.33", "1/3", False),  # the gold answer is exact
        ("17.3", "17", False),  # whole numbers are exact
        ("0.335", "0.33", True),  # ties go either way
        ("0.3351", "0.33", False),
        (r"\sqrt{2}", "1.41", True),
        (r"\sqrt{2}", "1.42", False),
        (r"2\pi", "6.283", True),
        (r"e^{2}", "7.39", True),
        (r"(\frac13, \frac23)", "(0.33, 0.67)", True),
        (r"(\frac23, \frac13)", "(0.33, 0.67)", False),
        (r"\frac23, \frac13", "0.33, 0.67", True),
        (r"x = \frac13", "x = 0.33", True),
        (r"23456", r"2.3 \times 10^4", True),
        (r"23567", r"2.3 \times 10^4", False),
        ("33.33%", "33.3%", True),
        ("1/3", r"33.3\%", True),
        (r"-\frac13", "-0.33", True),
        (r"\frac13", "-0.33", False),
        ("0.333", r"0.\overline{3}", False),
        ("0.33 cm", "0.333 cm", False),
        (r"\frac13 cm", "0.333 cm", True),
        ("x", "0.33", False),
        (r"\infty", "0.33", False),
        ("(B) 1/3", "B) 0.33", True),
        ("(B) 1/3", "(B) 0.43", False),
        ("1/3", "(B) 0.33", True),
        ("[0.333, 1]", "[0.33, 1]", True),
    ],
)
def test_what_rounds_to_the_digits_of_the_gold_answer(pred: str, gold: str, expected: bool) -> None:
    assert verdict(GOLD, pred, gold)[0] is expected
    assert not verdict(EXACT, pred, gold)[0] or EXACT.verify([(gold, pred)])[0][0]


def test_the_reason_says_that_a_value_was_rounded() -> None:
    assert verdict(GOLD, "0.333", "0.33") == (True, "rounded") == verdict(SHARE, "100", "101")
    assert verdict(GOLD, "0.330", "0.33") == (True, "arithmetic") == verdict(SHARE, "2/4", "0.5")
    assert verdict(EXACT, "0.333", "0.33") == (False, "different")


def test_votes_stay_exact() -> None:
    """Answers that both round to the gold answer are right; wrong ones are one class only where they are equal."""
    answers = ["0.333", "1/3", "0.331", "0.51", "0.512", "0.510"]
    responses = [Response("p", "g", i, rf"\boxed{{{a}}}", finish_reason="stop") for i, a in enumerate(answers)]
    for verifier in (GOLD, MathVerifier(MathParams(rounding=0.02))):
        grades = verifier.grade([Problem("p", "?", "0.33")], responses)
        assert [(g.correct, g.answer_class) for g in grades] == [
            (True, 0), (True, 0), (True, 0), (False, 1), (False, 2), (False, 1)
        ]  # fmt: skip


def test_a_share_as_yaml_reads_it() -> None:
    assert MathParams(rounding="1e-5").rounding == 1e-5  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["exact", 0, 1, -0.1, 1.5, None, [0.1], "nan"])
def test_what_rounding_cannot_be(value: object) -> None:
    with pytest.raises(ValidationError):
        MathParams(rounding=value)  # type: ignore[arg-type]
