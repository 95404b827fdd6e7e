r"""Sums of inverse trigonometric values: ``\arctan 1 + \arctan 2 + \arctan 3`` is pi.

An angle t = c_1 arc_1 + … + q pi is 0 where its value is near 0 and, for a whole number n that makes all n c_j and n q
whole, e^(i n t) is 1: then n t is a multiple of 2 pi, and smaller than that. Each e^(i arc) is an algebraic number, so
that exact arithmetic decides.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.syntax import HALF, MINUS_ONE, ONE, Call, Const, Expr, Num, Power, Product, Sum

# Beyond these sizes the question is left open: the common denominator, and powers of one e^(i arc).
_MAX_DENOMINATOR = 24
_MAX_TURNS = 40
_I = Const("i")
_TWO = Num(Fraction(2))
#: Angle -> its coefficient: calls of inverse functions, and pi.
_Terms = dict[Expr, Fraction]


def equal_angles(a: Expr, b: Expr) -> bool:
    """Whether ``a`` and ``b`` are proved to be the same sum of inverse trigonometric values and multiples of pi."""
    terms = _linear(Sum((a, syntax.negate(b))))
    if terms is None or not any(isinstance(angle, Call) for angle in terms):
        return False
    multiple = lcm(*(c.denominator for c in terms.values()))
    if multiple > _MAX_DENOMINATOR:
        return False
    factors: list[Expr] = []
    for angle, coefficient in terms.items():
        turns = int(coefficient * multiple)
        if isinstance(angle, Call):
            if abs(turns) > _MAX_TURNS:
                return False
            factors.append(Power(_on_circle(angle.name, angle.args[0]), Num(Fraction(turns))))
        elif turns % 2:
            factors.append(MINUS_ONE)
    return exact.decide(Product(tuple(factors)), ONE) is True and _is_near(a, b, multiple)


def _is_near(a: Expr, b: Expr, multiple: int) -> bool:
    from bonbench.verifiers.equivalence import numeric  # loads mpmath

    distance = numeric.distance(a, b)
    return distance is not None and distance * multiple < 1


def _linear(expr: Expr) -> _Terms | None:
    """The terms of a sum of angles, with rational coefficients; None where it is another sum."""
    match expr:
        case Sum(parts):
            total: _Terms = {}
            for part in parts:
                terms = _linear(part)
                if terms is None:
                    return None
                for angle, coefficient in terms.items():
                    total[angle] = total.get(angle, Fraction(0)) + coefficient
            return total
        case Call("arcsin" | "arccos" | "arctan" | "arccot", (argument,)):
            return None if syntax.symbols(argument) else {expr: Fraction(1)}
        case Const("degree"):
            return {Const("pi"): Fraction(1, 180)}
        case Const("pi"):
            return {expr: Fraction(1)}
        case Product(factors):
            return _multiple(factors)
    return {} if expr == Num(Fraction(0)) else None


def _multiple(factors: tuple[Expr, ...]) -> _Terms | None:
    """One angle among factors that are rational numbers."""
    values = [exact.rational(factor) for factor in factors]
    angles = [factor for factor, value in zip(factors, values, strict=True) if value is None]
    terms = _linear(angles[0]) if len(angles) == 1 else None
    if terms is None:
        return None
    for value in values:
        if value is not None:
            terms = {angle: coefficient * value for angle, coefficient in terms.items()}
    return terms


def _on_circle(name: str, x: Expr) -> Expr:
    """e^(i t), where t is the inverse function's value at ``x``."""
    if name in ("arctan", "arccot"):
        straight, turned = (ONE, x) if name == "arctan" else (x, ONE)
        length = Power(Sum((ONE, Power(x, _TWO))), Product((MINUS_ONE, HALF)))
        return Product((Sum((straight, Product((_I, turned)))), length))
    other = Power(Sum((ONE, syntax.negate(Power(x, _TWO)))), HALF)
    return Sum((other, Product((_I, x)))) if name == "arcsin" else Sum((x, Product((_I, other))))
