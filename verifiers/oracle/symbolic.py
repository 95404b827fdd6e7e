"""Symbolic equality of two leaves; runs only inside the worker process.

Expressions arrive as trees, and what the reader of expressions does not know (integrals, sums, limits) as LaTeX, which
latex2sympy2 parses. Evaluation to high precision at rational points refutes; only simplification to zero proves.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import sympy
from sympy.polys.polyerrors import BasePolynomialError

from bonbench.verifiers.reading.syntax import SIGNS, to_lists, trigonometric

# What simplification raises where it does not apply.
_GIVEN_UP = (
    *(ArithmeticError, AttributeError, NotImplementedError, RecursionError, TypeError, ValueError),
    BasePolynomialError,
)
_DIGITS = 30
_POINTS = 4


@lru_cache(maxsize=4096)
def parse(latex: str) -> Any:
    """The expression in ``latex``, evaluated.

    Raises:
        ValueError: where it is no expression; and whatever the parser raises.
    """
    import latex2sympy2  # with its tables, it takes longer to load than all else

    # The parser keeps assignments between calls; without this a verdict could depend on earlier ones.
    latex2sympy2.set_variances({})
    latex2sympy2.set_real(True)
    parsed = latex2sympy2.latex2sympy(latex)
    if not isinstance(parsed, sympy.Basic):
        raise ValueError("not an expression")
    return parsed.doit()


def build(tree: list[Any], whole: bool) -> Any:
    """The expression that :func:`bonbench.verifiers.reading.syntax.to_lists` wrote.

    Symbols are real, or positive whole numbers where ``whole`` says so.
    """
    kind, *parts = tree
    if kind == "Num":
        return sympy.Rational(*map(int, parts[0].split("/")))
    if kind == "Sym":
        return sympy.Symbol(parts[0], integer=True, positive=True) if whole else sympy.Symbol(parts[0], real=True)
    if kind == "Const":
        return build(to_lists(SIGNS[parts[0]]), whole) if parts[0] in SIGNS else _CONSTANTS[parts[0]]
    if kind == "Call":
        name = parts.pop(0)
        return _FUNCTIONS[name](*(build(p, whole) for p in parts))
    values = [build(p, whole) for p in parts]
    if kind == "Power":
        return _power(*values)
    return {"Sum": sympy.Add, "Product": sympy.Mul}[kind](*values)


def _power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    if base.is_negative and exponent.is_Rational and exponent.q % 2 and exponent.q > 1:
        return (-1) ** exponent.p * (-base) ** exponent  # the real root
    return base**exponent


_CONSTANTS = {
    "pi": sympy.pi,
    "e": sympy.E,
    "i": sympy.I,
    "infty": sympy.oo,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **trigonometric(sympy),
    "log": sympy.log,
    "abs": sympy.Abs,
    "floor": sympy.floor,
    "ceil": sympy.ceiling,
    "factorial": sympy.factorial,
    "factorial2": sympy.factorial2,
    "arg": sympy.arg,
    "sgn": sympy.sign,
    "zeta": sympy.zeta,
    "gamma": sympy.gamma,
    "binomial": sympy.binomial,
    "max": sympy.Max,
    "min": sympy.Min,
    "gcd": sympy.gcd,
    "lcm": sympy.lcm,
}


def equal(a: str | list[Any], b: str | list[Any], whole: bool) -> tuple[bool, str]:
    """Whether two leaves (LaTeX or trees) are equal, and why: symbolic, different, unproven, unparsable or memory.

    Trees have been compared in value, at points of all signs where both are real. So for them a proof with positive
    symbols is enough: ``\\ln a + \\ln b`` is ``\\ln(ab)``, since it is wherever both are real.
    """
    try:
        x, y = (parse(leaf) if isinstance(leaf, str) else build(leaf, whole) for leaf in (a, b))
    except MemoryError:
        return False, "memory"
    except Exception:
        return False, "unparsable"
    try:
        if any(side.has(sympy.nan, sympy.zoo) for side in (x, y)):
            return False, "different"  # no value equals none
        if x == y:
            return True, "symbolic"
        if not (isinstance(x, sympy.Expr) and isinstance(y, sympy.Expr)):
            return False, "different"
        if _refuted(x, y):
            return False, "different"
        if _vanishes(x - y):
            return True, "symbolic"
        second_look = (
            not whole and x.free_symbols | y.free_symbols and not isinstance(a, str) and not isinstance(b, str)
        )
        if second_look and _vanishes_where_real(_positive(x) - _positive(y)):
            return True, "symbolic"
        return False, "unproven"
    except MemoryError:
        return False, "memory"
    except Exception:
        return False, "unproven"


def _positive(expr: sympy.Expr) -> sympy.Expr:
    return expr.subs({s: sympy.Symbol(s.name, positive=True) for s in expr.free_symbols})


def warm_up() -> None:
    """Load what the first question would else wait for: sympy's parts that load late."""
    sympy.simplify(sympy.sqrt(sympy.Symbol("x") + 1) * sympy.cos(1) + sympy.gamma(sympy.Symbol("y")))


def load_parser() -> None:
    """Load what the first question with LaTeX would else wait for: the parser, its tables, integrals and sums."""
    parse(r"(\int_{0}^{1}\frac{1}{x} dx+(\sin(x))^{2}\cdot \log_{e}(x)+\sum_{k=1}^{n}k!)")


def _refuted(x: sympy.Expr, y: sympy.Expr) -> bool:
    """Whether the two differ in value at some rational point.

    Complex values count only where no tried point gives real ones.

    ``equivalence.numeric`` has asked this of trees already, without sympy. It cannot read LaTeX, and it gives up values
    that sympy finds.
    """
    names = sorted(x.free_symbols | y.free_symbols, key=str)
    generator = random.Random(str(names))
    complex_difference = real_seen = False
    for attempt in range(_POINTS if names else 1):
        below = (7, 13, 17, 19) if attempt % 2 == 0 else (101, 103)
        point = {n: sympy.Rational(generator.randint(11, 97), generator.choice(below)) for n in names}
        values = [e.subs(point).evalf(_DIGITS, maxn=200) for e in (x, y)]
        if not all(v.is_number and v.is_finite for v in values):
            continue
        differs = abs(values[0] - values[1]) > sympy.Float(10) ** -15 * (
            abs(values[0]) + abs(values[1]) + sympy.Float(10) ** -30
        )
        if all(v.is_real for v in values):
            real_seen = True
            if differs:
                return True
        complex_difference = complex_difference or bool(differs)
    return complex_difference and not real_seen


def _vanishes(difference: sympy.Expr) -> bool:
    for simplify in (
        sympy.expand,
        lambda e: sympy.expand(sympy.expand_trig(sympy.expand_log(sympy.expand_func(e)))),
        sympy.powsimp,
        sympy.radsimp,
        sympy.gammasimp,
        _algebraic,
        sympy.simplify,
        lambda e: sympy.simplify(e.rewrite(sympy.exp)),
    ):
        try:
            if simplify(difference) == 0:
                return True
        except _GIVEN_UP:
            continue
    return False


def _vanishes_where_real(difference: sympy.Expr) -> bool:
    """Whether a difference of positive symbols is 0; logarithms are taken apart as if all in them were positive."""
    logarithms = sympy.expand(sympy.expand_log(difference.rewrite(sympy.log), force=True))
    return logarithms == 0 or _vanishes(logarithms) or _vanishes(difference) or _is_constant_zero(difference)


def _is_constant_zero(difference: sympy.Expr) -> bool:
    """Whether all derivatives of ``difference`` vanish, and so does it where its symbols are small."""
    names = sorted(difference.free_symbols, key=str)
    if not names or not all(sympy.simplify(difference.diff(name)) == 0 for name in names):
        return False
    return any(_vanishes(difference.subs(dict.fromkeys(names, value))) for value in (sympy.S.One, sympy.S.Half))


def _algebraic(number: sympy.Expr) -> sympy.Expr:
    """0 where ``number`` is an algebraic number whose minimal polynomial is x; else ``number``."""
    x = sympy.Symbol("x")
    if number.free_symbols or sympy.minimal_polynomial(number, x) != x:
        return number
    return sympy.S.Zero
