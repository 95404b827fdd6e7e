"""Properties that hold for every answer: reflexive, symmetric, blind to spelling, and never blind to value."""

from __future__ import annotations

from fractions import Fraction

import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonbench.verifiers.math import MathParams, MathVerifier
from bonbench.verifiers.reading.interpret import interpret
from bonbench.verifiers.reading.tokens import MAX_CHARS

VERIFIER = MathVerifier(MathParams(timeout_s=5))

X, Y = sympy.symbols("x y")
_INTEGERS = st.integers(-50, 50)
_NUMBERS = st.one_of(
    _INTEGERS.map(sympy.Integer),
    st.fractions(min_value=-20, max_value=20, max_denominator=30).map(sympy.Rational),
)
_VALUES = st.one_of(
    _NUMBERS,
    st.tuples(_NUMBERS, st.sampled_from([2, 3, 5, 6, 7])).map(lambda p: p[0] * sympy.sqrt(p[1])),
    st.tuples(_NUMBERS, _NUMBERS, st.sampled_from([2, 3, 5])).map(lambda p: p[0] + p[1] * sympy.sqrt(p[2])),
    _NUMBERS.map(lambda n: n * sympy.pi),
    st.tuples(_NUMBERS, _NUMBERS).map(lambda p: p[0] + p[1] * sympy.I),
    st.tuples(_NUMBERS, _NUMBERS, _NUMBERS).map(lambda p: p[0] * X**2 + p[1] * X + p[2]),
    st.tuples(_INTEGERS, _INTEGERS).map(lambda p: (X + p[0]) * (Y - p[1])),
    st.tuples(_INTEGERS, _INTEGERS).map(lambda p: (X + p[0]) / (X**2 + p[1] ** 2 + 1)),
)
_SHAPES = st.sampled_from(
    ["{0}", "({0}, {1})", "{0}, {1}", r"\{{{0}, {1}\}}", "[{0}, {1})", "x = {0}", "y = {0} + x",
     r"\begin{{pmatrix}} {0} \\ {1} \end{{pmatrix}}", r"({0}, {1}) \cup ({1}, \infty)"]
)  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> str:
    values = [sympy.latex(draw(_VALUES)) for _ in range(2)]
    return draw(_SHAPES).format(*values)


def same(a: str, b: str) -> bool:
    (forwards, _), (backwards, _) = VERIFIER.verify([(a, b), (b, a)])
    assert forwards == backwards, (a, b)
    return forwards


RESPELL = {
    "spaces": lambda s: s.replace(" ", "  ").replace("+", " + ").replace(",", " , "),
    "left right": lambda s: s.replace("(", r"\left(").replace(")", r"\right)"),
    "dfrac": lambda s: s.replace(r"\frac", r"\dfrac"),
    "tfrac": lambda s: s.replace(r"\frac", r"\tfrac "),
    "dollars": lambda s: f"${s}$",
    "display": lambda s: rf"\[ {s} \]",
    "box": lambda s: rf"\boxed{{{s}}}",
    "full stop": lambda s: s + ".",
    "braces": lambda s: "{" + s + "}",
    "thin spaces": lambda s: s.replace(" ", r" \, "),
    "style": lambda s: r"\displaystyle " + s,
}


@settings(max_examples=150)
@given(answers())
def test_reflexive_and_blind_to_spelling(answer: str) -> None:
    assert interpret(answer).answers
    for name, respell in RESPELL.items():
        assert same(answer, respell(answer)), name


@settings(max_examples=150)
@given(answers(), answers())
def test_symmetric(a: str, b: str) -> None:
    same(a, b)


# Not nsimplify: it answers -49 + 2 sqrt(5) with a number 8e-16 away.
REWRITES = [sympy.expand, sympy.factor, sympy.together, sympy.apart, sympy.radsimp, sympy.simplify, sympy.cancel]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(_VALUES, st.sampled_from(REWRITES))
def test_rewriting_by_sympy_keeps_the_answer(value: sympy.Expr, rewrite: object) -> None:
    try:
        rewritten = rewrite(value)  # type: ignore[operator]
    except (NotImplementedError, sympy.PolynomialError):
        return
    assert same(sympy.latex(value), sympy.latex(rewritten))


@settings(max_examples=150)
@given(_VALUES, st.fractions(min_value=-3, max_value=3, max_denominator=1000).filter(bool))
def test_a_change_of_value_is_seen(value: sympy.Expr, change: Fraction) -> None:
    changed = sympy.expand(value + sympy.Rational(change.numerator, change.denominator))
    assert not same(sympy.latex(value), sympy.latex(changed))


@settings(max_examples=150)
@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=10**6), st.integers(1, 40))
def test_tiny_changes_are_seen(value: Fraction, digits: int) -> None:
    changed = value + Fraction(1, 10**digits)
    assert not same(sympy.latex(sympy.Rational(value)), sympy.latex(sympy.Rational(changed)))
    assert same(f"{value.numerator}/{value.denominator}", rf"\frac{{{value.numerator * 7}}}{{{value.denominator * 7}}}")


@settings(max_examples=100)
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_lists_have_no_order_and_tuples_do(items: list[int], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    texts = [", ".join(map(str, part)) for part in (items, shuffled)]
    assert same(*texts)
    assert same(rf"\{{{texts[0]}\}}", rf"\{{{texts[1]}\}}")
    assert same(f"({texts[0]})", f"({texts[1]})") == (items == shuffled)


_FRAGMENTS = st.sampled_from(
    [r"\frac", r"\sqrt", "{", "}", "(", ")", "[", "]", "^", "_", "1", "23", "x", "+", "-", "*", "/", ",", r"\{", r"\}",
     r"\pm", r"\cup", "=", "<", r"\le", r"\in", r"\text{", "and", " ", "%", r"^\circ", r"\infty", "&", r"\\", "|", "!",
     r"\begin{pmatrix}", r"\end{pmatrix}", r"\sin", r"\pi", "i", "e", ".", ":", "$", r"\boxed{", "0.", r"\overline",
     "'", r"\left", r"\right", "°", "²", "\x00", r"\mid", r"\log", r"\binom", "cm", "the", r"\setminus", r"\mathbb{R}",
     r"\cdot", r"\neq", r"\approx"]
)  # fmt: skip


@settings(max_examples=600)
@given(st.lists(_FRAGMENTS, max_size=14).map("".join))
def test_any_fragments_are_answered(text: str) -> None:
    """Nonsense gets a verdict, and a wrong one unless it spells 7919."""
    VERIFIER.extract(text)
    assert all(reason != "error" for _, reason in VERIFIER.verify([(text, "7919"), ("7919", text)]))
    if text.strip():
        assert same(text, text)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    VERIFIER.extract(text)
    ((correct, reason),) = VERIFIER.verify([(text, r"\frac{7919}{2}")])
    assert not correct and reason != "error"


def test_long_answers_are_compared_as_they_stand() -> None:
    long = "+".join(["x"] * MAX_CHARS)
    assert same(long, long)
    assert not same(long, long + "+x")
