"""What a pair of expressions may mean: percent signs, degree signs, and the letter of a parameter."""

from __future__ import annotations

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.equivalence.constants import renamings
from bonbench.verifiers.equivalence.policy import Policy
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Const, Expr, Power, Product, Sum, Sym

_PARAMETERS = words("k m n l j")
Pair = tuple[Expr, Expr]


def meanings(a: Expr, b: Expr, policy: Policy) -> list[Pair]:
    """The pairs of expressions that ``a`` and ``b`` may stand for; the two are equal where one of the pairs is."""
    signs = (syntax.constants(a), syntax.constants(b))
    pairs = [(a, b)]
    if ("percent" in signs[0]) != ("percent" in signs[1]) and policy.percent != "value":
        unsigned = (_without(a, "percent"), _without(b, "percent"))
        pairs = [unsigned] if policy.percent == "ignore" else [unsigned, *pairs]
    if ("degree" in signs[0]) != ("degree" in signs[1]) and policy.units == "ignore":
        unsigned_pairs = [(_without(x, "degree"), _without(y, "degree")) for x, y in pairs]
        # The value in radians is meant only where the other side speaks of pi, or is an inverse function's value.
        called = syntax.calls(a) | syntax.calls(b)
        in_radians = "pi" in signs[0] | signs[1] or any(name.startswith("arc") for name in called)
        pairs = unsigned_pairs + (pairs if in_radians else [])
    runs_on = "pi" in signs[0] & signs[1] or (_is_progression(a) and _is_progression(b))
    return [*(_with_one_parameter(a, b, pairs) if runs_on else pairs), *_with_other_constants(a, b)]


def _with_one_parameter(a: Expr, b: Expr, pairs: list[Pair]) -> list[Pair]:
    """``pairs`` with n for k in ``k\\pi`` against ``n\\pi``: the letter that runs over the integers is free."""
    only_a, only_b = syntax.symbols(a) - syntax.symbols(b), syntax.symbols(b) - syntax.symbols(a)
    if len(only_a) != 1 or len(only_b) != 1 or not only_a | only_b <= _PARAMETERS:
        return pairs
    (new,), (old,) = only_a, only_b
    return [(x, syntax.substitute(y, Sym(old), Sym(new))) for x, y in pairs]


def _is_progression(expr: Expr) -> bool:
    """``2k + 1``: numbers with a remainder, rather than a formula in k."""
    try:
        line = exact.linear(exact.canonical(expr))
    except ArithmeticError:
        return False
    if line is None or line[0] not in _PARAMETERS:
        return False
    _, slope, offset = line
    remainder = offset.rational()
    return slope.denominator == 1 and slope > 1 and remainder is not None and 0 < abs(remainder) < slope


def _with_other_constants(a: Expr, b: Expr) -> list[Pair]:
    """``a`` against ``b`` with its constants of integration in the letters of ``a``."""
    return [(a, syntax.renamed(b, names)) for names in renamings(a, b)]


def _without(expr: Expr, name: str) -> Expr:
    """``expr`` with a percent or degree sign dropped, except inside functions, where it has its value."""
    match expr:
        case Const(n) if n == name:
            return syntax.ONE
        case Sum() | Product():
            return syntax.with_parts(expr, lambda part: _without(part, name))
        case Power(base, exponent):
            return Power(_without(base, name), exponent)
    return expr
