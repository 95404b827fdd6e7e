"""Families of numbers with whole-number parameters: ``\\frac{\\pi}{4} + k\\pi``, ``7k + 3``, ``x \\equiv 3 \\pmod{7}``.

Two lists of families are the same set of numbers where, repeated up to a common period, they have the same offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import Answer, Listing, Residue, Scalar
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Expr, Num, Power, Product, Sum, Sym

#: How the name of a parameter that is known to run through all whole numbers begins.
WHOLE = "whole "
_LETTERS = words("k m n l j t")
_MAX_OFFSETS = 60
_ZERO = Num(Fraction(0))


@dataclass(frozen=True, slots=True)
class Family:
    """The numbers ``offset + k * period``, for all whole k."""

    offset: Expr
    period: Expr


def families(answer: Answer) -> list[Family] | None:
    """The families of which ``answer`` is the union; None where it is something else."""
    match answer:
        case Residue(remainders, modulus):
            return [Family(remainder.expr, modulus.expr) for remainder in remainders]
        case Listing(items):
            parts = [families(item) for item in items]
            return None if None in parts else [family for part in parts for family in part or []]
        case Scalar(expr):
            family = _family(expr)
            return None if family is None else [family]
    return None


def same_sets(a: Answer, b: Answer) -> bool:
    """Whether two answers are shown to be the same set of numbers with whole-number parameters."""
    match a, b:
        case Residue(name=Scalar() as x), Residue(name=Scalar() as y) if x != y:
            return False
    if not (_is_declared(a) or _is_declared(b)) and not (_is_angle(a) and _is_angle(b)):
        return False
    ours, theirs = families(a), families(b)
    return bool(ours) and bool(theirs) and _same(ours or [], theirs or [])


def is_least_remainder(a: Answer, b: Answer) -> bool:
    r"""Whether one answer gives a named number's residue, ``N \equiv 5 \pmod 7``, and the other is the least one, 5."""
    match a, b:
        case (Residue((Scalar(Num(left)),), Scalar(Num(modulus)), Scalar()), Scalar(Num(number))) | (
            Scalar(Num(number)),
            Residue((Scalar(Num(left)),), Scalar(Num(modulus)), Scalar()),
        ):
            return number == left and 0 <= number < modulus
    return False


def _is_declared(answer: Answer) -> bool:
    """Whether a parameter in ``answer`` is known to run through the whole numbers."""
    match answer:
        case Residue():
            return True
        case Listing(items):
            return bool(items) and all(map(_is_declared, items))
        case Scalar(expr):
            return any(name.startswith(WHOLE) for name in syntax.symbols(expr))
    return False


def _is_angle(answer: Answer) -> bool:
    r"""Whether ``answer`` can only be solutions of a trigonometric equation, such as ``\frac{\pi}{4} + k\pi``.

    ``(n - 2)\pi`` is a formula in n.
    """
    match answer:
        case Listing(items):
            return bool(items) and all(map(_is_angle, items))
        case Scalar(expr) if {"pi", "degree"} & syntax.constants(expr):
            family = _family(expr)
            if family is None:
                return False
            offset = _ratio(family.offset, family.period)
            return syntax.symbols(expr) == {"k"} or offset is None or offset.denominator > 2
    return False


def _same(a: Sequence[Family], b: Sequence[Family]) -> bool:
    """Whether two unions of families are shown to be the same set."""
    unit = a[0].period
    ratios = [_ratio(family.period, unit) for family in (*a, *b)]
    if any(not ratio for ratio in ratios):
        return False
    periods = [abs(ratio) for ratio in ratios if ratio is not None]
    scale = lcm(*(p.denominator for p in periods))
    common = Fraction(lcm(*(int(p * scale) for p in periods)), scale)
    if sum(common / period for period in periods) > _MAX_OFFSETS:
        return False
    offsets = [
        Sum((family.offset, Product((Num(period * turn), unit))))
        for family, period in zip((*a, *b), periods, strict=True)
        for turn in range(int(common / period))
    ]
    count = int(sum(common / period for period in periods[: len(a)]))
    whole_period = Product((Num(common), unit))
    ours, theirs = offsets[:count], offsets[count:]
    return all(any(_congruent(x, y, whole_period) for y in theirs) for x in ours) and all(
        any(_congruent(x, y, whole_period) for x in ours) for y in theirs
    )


def _family(expr: Expr) -> Family | None:
    """A sum that is linear in its only symbol, a letter for whole numbers."""
    names = syntax.symbols(expr)
    parameters = [n for n in names if n.startswith(WHOLE)] or (list(names) if names <= _LETTERS else [])
    if len(parameters) != 1:
        return None
    parameter = Sym(parameters[0])
    offset, after, later = (syntax.substitute(expr, parameter, Num(Fraction(k))) for k in range(3))
    period = Sum((after, syntax.negate(offset)))
    if not exact.decide(period, Sum((later, syntax.negate(after)))) or exact.decide(period, _ZERO) is not False:
        return None
    in_between = syntax.substitute(expr, parameter, syntax.HALF)
    if not exact.decide(Product((Num(Fraction(2)), Sum((in_between, syntax.negate(offset))))), period):
        return None
    return Family(offset, period)


def _ratio(x: Expr, y: Expr) -> Fraction | None:
    return exact.rational(Product((x, Power(y, syntax.MINUS_ONE))))


def _congruent(x: Expr, y: Expr, period: Expr) -> bool:
    ratio = _ratio(Sum((x, syntax.negate(y))), period)
    return ratio is not None and ratio.denominator == 1
