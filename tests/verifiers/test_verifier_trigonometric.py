"""Trigonometric constants are decided exactly; a high-precision value tells what is equal."""

from __future__ import annotations

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonbench.verifiers.equivalence.roots_of_unity import equal_constants
from bonbench.verifiers.math import MathParams, MathVerifier
from bonbench.verifiers.reading.answers import Scalar
from bonbench.verifiers.reading.interpret import interpret
from bonbench.verifiers.reading.syntax import Expr

VERIFIER = MathVerifier(MathParams())


def parsed(text: str) -> Expr:
    answer = interpret(text).answers[0]
    assert isinstance(answer, Scalar)
    return answer.expr


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (r"4\sin 80^\circ - \tan 80^\circ", r"-\sqrt{3}"),
        (r"\cos\frac{\pi}{7}\cos\frac{2\pi}{7}\cos\frac{3\pi}{7}", r"\frac18"),
        (r"\sin 18^\circ", r"\frac{\sqrt5-1}{4}"),
        (r"\cos 36^\circ", r"\frac{1+\sqrt5}{4}"),
        (r"\tan\frac{3\pi}{11} + 4\sin\frac{2\pi}{11}", r"\sqrt{11}"),
        (r"\sin 10^\circ \sin 30^\circ \sin 50^\circ \sin 70^\circ", r"\frac{1}{16}"),
        (r"\tan 20^\circ \tan 40^\circ \tan 80^\circ", r"\sqrt3"),
        (r"\frac{1}{\sin 10^\circ} - \frac{\sqrt3}{\cos 10^\circ}", "4"),
        (
            r"\cos\frac{2\pi}{17} + \cos\frac{4\pi}{17} + \cos\frac{8\pi}{17} + \cos\frac{16\pi}{17}",
            r"\frac{\sqrt{17}-1}{4}",
        ),
        (r"\sec^2 20^\circ - \tan^2 20^\circ", "1"),
        (r"\cot 15^\circ", r"2+\sqrt{3}"),
        (r"\sin^2 75^\circ", r"\frac{2+\sqrt3}{4}"),
        (r"\sin 1^\circ", r"\cos 89^\circ"),
    ],
)
def test_identities(a: str, b: str) -> None:
    assert equal_constants(parsed(a), parsed(b)) is True
    assert equal_constants(parsed(b), parsed(a)) is True
    assert equal_constants(parsed(a), parsed(f"{b} + 10^{{-12}}")) is False
    assert VERIFIER.verify([(a, b)])[0] == (True, "arithmetic")


@pytest.mark.parametrize(
    "text", [r"\sin 1", r"\sin x", r"\sin\frac{\pi}{1009}", r"\cos\sqrt{2}", r"\sin\frac{\pi}{7}^{1000}", "2", r"\ln 2"]
)
def test_what_is_left_open(text: str) -> None:
    assert equal_constants(parsed(text), parsed(r"\frac12")) is None


def test_undefined_is_left_open() -> None:
    assert equal_constants(parsed(r"\tan 90^\circ"), parsed(r"\tan 90^\circ")) is None


_ANGLE = st.tuples(st.integers(-12, 12), st.sampled_from([1, 2, 3, 4, 5, 6, 9, 10, 12]))
_TERM = st.tuples(st.integers(-3, 3), st.sampled_from(["sin", "cos"]), _ANGLE)


@settings(max_examples=200)
@given(st.lists(_TERM, min_size=1, max_size=3), st.lists(_TERM, min_size=1, max_size=3))
def test_sums_against_their_values(
    left: list[tuple[int, str, tuple[int, int]]], right: list[tuple[int, str, tuple[int, int]]]
) -> None:
    def text(terms: list[tuple[int, str, tuple[int, int]]]) -> str:
        return "+".join(rf"({c})\{f}(\frac{{{n}\pi}}{{{d}}})" for c, f, (n, d) in terms)

    with mpmath.workdps(60):
        value = sum(c * getattr(mpmath, f)(mpmath.pi * n / d) for c, f, (n, d) in left) - sum(
            c * getattr(mpmath, f)(mpmath.pi * n / d) for c, f, (n, d) in right
        )
        expected = bool(abs(value) < mpmath.mpf(10) ** -50)
    assert equal_constants(parsed(text(left)), parsed(text(right))) is expected
