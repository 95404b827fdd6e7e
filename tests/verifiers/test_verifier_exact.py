"""Exact arithmetic and numerical refutation, against sympy."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.equivalence.numeric import refuted
from bonbench.verifiers.reading import expressions
from bonbench.verifiers.reading.syntax import Call, Const, Expr, Num, Power, Product, Sum, Sym
from bonbench.verifiers.reading.tokens import clean, tokenize

_RATIONALS = st.fractions(min_value=-9, max_value=9, max_denominator=6)
_LEAVES = st.one_of(
    _RATIONALS.map(Num),
    st.sampled_from([Sym("x"), Sym("y"), Const("pi"), Const("i")]),
    st.sampled_from([2, 3, 6, 8, 12]).map(lambda n: Power(Num(Fraction(n)), Num(Fraction(1, 2)))),
)


def _grown(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Sum(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Product(tuple(parts))),
        st.tuples(inner, st.integers(-2, 3)).map(lambda pair: Power(pair[0], Num(Fraction(pair[1])))),
    )


EXPRESSIONS = st.recursive(_LEAVES, _grown, max_leaves=6)


def to_sympy(expr: Expr) -> sympy.Expr:
    """An independent reading of the tree."""
    match expr:
        case Num(value):
            return sympy.Rational(value.numerator, value.denominator)
        case Sym(name):
            return sympy.Symbol(name)
        case Const(name):
            return {"pi": sympy.pi, "i": sympy.I, "e": sympy.E}[name]
        case Sum(terms):
            return sympy.Add(*map(to_sympy, terms))
        case Product(factors):
            return sympy.Mul(*map(to_sympy, factors))
        case Power(base, exponent):
            return to_sympy(base) ** to_sympy(exponent)
    raise AssertionError(expr)


def read(text: str) -> Expr:
    tokens = tokenize(clean(text))
    expr, used = expressions.parse(tokens)
    assert used == len(tokens)
    return expr


@settings(max_examples=150)
@given(EXPRESSIONS, EXPRESSIONS)
def test_decisions_are_true(a: Expr, b: Expr) -> None:
    verdict = exact.decide(a, b)
    try:
        difference = sympy.simplify(sympy.expand(to_sympy(a) - to_sympy(b)))
    except (ZeroDivisionError, TypeError):
        return
    # To sympy, (1/0)^0 is 1.
    if difference.has(sympy.nan, sympy.zoo) or exact_is_undefined(a) or exact_is_undefined(b):
        return
    if verdict is True:
        assert difference == 0
    elif verdict is False:
        assert difference != 0
    if refuted(a, b):
        assert difference != 0


@settings(max_examples=200)
@given(EXPRESSIONS)
def test_expansion_is_recognised(a: Expr) -> None:
    """Polynomials with radicals are decided, not left open, when multiplied out by sympy."""
    expression = to_sympy(a)
    if expression.has(sympy.nan, sympy.zoo) or exact_is_undefined(a):
        return
    expanded = sympy.expand(expression)
    assert exact.decide(a, read(sympy.latex(expanded))) is True


def exact_is_undefined(a: Expr) -> bool:
    try:
        exact.canonical(a)
    except ArithmeticError:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac{3}{4} - 0.5", Fraction(1, 4)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"7!", Fraction(5040)),
        (r"\binom{10}{3}", Fraction(120)),
        (r"\sqrt{\frac{4}{9}}", Fraction(2, 3)),
        (r"8^{\frac{2}{3}}", Fraction(4)),
        (r"\sqrt2\cdot\sqrt8", Fraction(4)),
        (r"\sqrt[3]{-8}", Fraction(-2)),
        (r"(-32)^{2/5}", Fraction(4)),
        (r"(1+i)(1-i)", Fraction(2)),
        (r"\lfloor 7/2 \rfloor", Fraction(3)),
        (r"|-5|", Fraction(5)),
        (r"\gcd(12, 18)", Fraction(6)),
        (r"3\frac{1}{7}", Fraction(22, 7)),
        (r"2^{-3}", Fraction(1, 8)),
        (r"-2^2", Fraction(-4)),
        (r"1/2/4", Fraction(1, 8)),
        (r"6 \div 2 \cdot 3", Fraction(9)),
    ],
)
def test_rational_values(text: str, value: Fraction) -> None:
    assert exact.rational(read(text)) == value


@pytest.mark.parametrize("text", ["2^{10^{10}}", "9^{9^9}", "(x+1)^{100000}", r"\frac10"])
def test_work_is_bounded(text: str) -> None:
    with pytest.raises(ArithmeticError):
        exact.canonical(read(text))


def test_floats_do_not_decide() -> None:
    near = Sum((Const("pi"), Power(Num(Fraction(10)), Num(Fraction(-70)))))
    assert exact.decide(near, Const("pi")) is False
    assert exact.decide(Call("sin", (Num(Fraction(1)),)), Num(Fraction(8414709848, 10**10))) is None


@pytest.mark.parametrize(
    ("a", "b", "differ"),
    [
        (r"\sin x", r"\cos x", True),
        (r"\sin^2 x+\cos^2 x", "1", False),
        (r"|x|", "x", True),
        (r"\sqrt{x^2}", r"|x|", False),
        (r"\ln(x^2)", r"2\ln x", False),
        (r"\cos(n\pi)", "(-1)^n", False),
        (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2", False),
        (r"10^{10^{8}}", "3", True),
        (r"e^{\pi\sqrt{163}}", "262537412640768744", True),
    ],
)
def test_refutation(a: str, b: str, differ: bool) -> None:
    assert refuted(read(a), read(b)) is differ
