"""Decimals of so many digits that they can only mean an exact value: 3.14159265358979 is pi.

Shorter decimals are roundings, which equal nothing but themselves.
"""

from __future__ import annotations

from fractions import Fraction

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.syntax import Const, Expr, Num, Product

#: Significant digits of a decimal that stands for an exact value.
_MIN_DIGITS = 15
_MAX_DIGITS = 40
_CONSTANTS = (Const("pi"), Const("e"))


def is_written_out(a: Expr, b: Expr) -> bool:
    """Whether one side is a long decimal that agrees with the other, an exact value, in all its digits."""
    return _agrees(a, b) or _agrees(b, a)


def with_constants(expr: Expr) -> Expr:
    """``expr`` with pi and e for the long decimals that stand for them."""
    for number in sorted(_numbers(expr), key=str):
        constant = next((c for c in _CONSTANTS if _agrees(number, c)), None)
        if constant is not None:
            expr = syntax.substitute(expr, number, constant)
    return expr


def _numbers(expr: Expr) -> set[Num]:
    return {part for part in syntax.parts_of(expr) if isinstance(part, Num) and _last_place(part.value) is not None}


def _agrees(decimal: Expr, value: Expr) -> bool:
    match decimal:
        case Product((Num(minus), Num(number))) if minus == -1:
            number = -number
        case Num(number):
            pass
        case _:
            return False
    unit = _last_place(number)
    if unit is None or syntax.symbols(value) or (isinstance(value, Num) and _last_place(value.value) is not None):
        return False
    precise = exact.rational(value)
    if precise is None:
        from bonbench.verifiers.equivalence import numeric  # loads mpmath

        precise = numeric.approximation(value)
    return precise is not None and abs(precise - number) < unit


def _last_place(number: Fraction) -> Fraction | None:
    """The unit of the last digit of a decimal with enough digits; None for any other number."""
    places = _exponent(number.denominator, 2), _exponent(number.denominator, 5)
    if number.denominator != 2 ** places[0] * 5 ** places[1] or not 0 < max(places) <= _MAX_DIGITS:
        return None
    scale = 10 ** max(places)
    digits = len(str(abs(int(number * scale))))
    return Fraction(1, scale) if _MIN_DIGITS <= digits <= _MAX_DIGITS else None


def _exponent(n: int, prime: int) -> int:
    """How often ``prime`` divides ``n``, at most one more than decimals have digits."""
    exponent = 0
    while n % prime == 0 and exponent <= _MAX_DIGITS:
        n //= prime
        exponent += 1
    return exponent
