"""Quotients of polynomials in atoms: their products, sums, powers and roots, within bounds."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from bonbench.verifiers.equivalence.polynomials import (
    MAX_BITS,
    ONE,
    UNIT,
    ZERO,
    Monomial,
    Polynomial,
    TooLarge,
    add_to,
    multiply,
    reduced,
    single,
    spell,
    subtract,
)

# Work stops, and the question is left open, beyond this size.
_MAX_POWER = 40


class Undefined(ArithmeticError):
    """A division by zero."""


class Quotient:
    """``above / below``; ``complete`` means that unequal forms have unequal values."""

    __slots__ = ("above", "below", "complete")

    def __init__(self, above: Polynomial, below: Polynomial = ONE, complete: bool = True) -> None:
        self.above = above
        self.below = below
        self.complete = complete

    def rational(self) -> Fraction | None:
        """The value, where it is a rational number."""
        if self.below != ONE:
            return None
        if not self.above:
            return ZERO
        return self.above.get(()) if len(self.above) == 1 else None

    def key(self) -> str:
        """A canonical spelling (up to common factors of numerator and denominator)."""
        return spell(self.above) if self.below == ONE else f"{spell(self.above)}/{spell(self.below)}"


def product(x: Quotient, y: Quotient) -> Quotient:
    """``x * y``."""
    return Quotient(multiply(x.above, y.above), multiply(x.below, y.below), x.complete and y.complete)


def total(parts: list[Quotient]) -> Quotient:
    """The sum of ``parts``."""
    above: Polynomial = {}
    below: Polynomial = ONE
    complete = True
    for part in parts:
        complete = complete and part.complete
        if part.below == below:
            above = dict(above)
            for monomial, coefficient in part.above.items():
                add_to(above, monomial, coefficient)
        else:
            scaled = multiply(above, part.below)
            above = subtract(scaled, {m: -c for m, c in multiply(part.above, below).items()})
            below = multiply(below, part.below)
    return Quotient(above, below, complete)


def inverse(x: Quotient) -> Quotient:
    """1 / x; a denominator of one term becomes a factor with negated exponents.

    Raises:
        Undefined: for 1 / 0.
    """
    if not x.above:
        raise Undefined
    if len(x.above) == 1:
        ((monomial, coefficient),) = x.above.items()
        result: Polynomial = {(): 1 / coefficient}
        for atom, exponent in monomial:
            result = multiply(result, reduced(atom, -exponent))
        return Quotient(multiply(result, x.below), ONE, x.complete)
    return Quotient(x.below, x.above, x.complete)


def power(base: Quotient, exponent: Quotient) -> Quotient:
    """``base ** exponent``; opaque where the base has several terms and the exponent is a fraction."""
    index = exponent.rational()
    if index is None:
        return _exponential(base, exponent)
    if index.denominator == 1:
        return _whole_power(base, index.numerator)
    value = base.rational()
    if value is not None:
        return _radical(value, index)
    if base.below == ONE and len(base.above) == 1:
        root = _monomial_root(base, index)
        if root is not None:
            return root
    if base.below != ONE and base.complete:
        top, bottom = Quotient(base.above), Quotient(base.below)
        if top.rational() is not None or bottom.rational() is not None:
            return product(power(top, exponent), inverse(power(bottom, exponent)))
    return Quotient(single(f"o:({base.key()})", index), complete=False)


def _whole_power(base: Quotient, power: int) -> Quotient:
    if power < 0:
        return _whole_power(inverse(base), -power)
    value = base.rational()
    if value is not None:
        if value in (0, 1, -1):
            power = min(power, 2 + power % 2)
        elif max(value.numerator.bit_length(), value.denominator.bit_length()) * power > MAX_BITS:
            raise TooLarge
        number = value**power
        return Quotient({(): number} if number else {})
    if len(base.above) == 1 and base.below == ONE:
        ((monomial, coefficient),) = base.above.items()
        if power > 10_000:
            raise TooLarge
        above = _whole_power(Quotient({(): coefficient}), power).above
        for atom, exponent in monomial:
            above = multiply(above, reduced(atom, exponent * power))
        return Quotient(above, ONE, base.complete)
    if power > _MAX_POWER:
        raise TooLarge
    result = Quotient(ONE)
    for _ in range(power):
        result = product(result, base)
    return result


def _monomial_root(base: Quotient, power: Fraction) -> Quotient | None:
    """(c x^a y^b …)^power term by term, where that is true for all admissible values; else None.

    A symbol with an odd power under an even root is positive, or the root would not be real.
    """
    ((monomial, coefficient),) = base.above.items()
    odd_root = power.denominator % 2 == 1
    if coefficient < 0 and not odd_root:
        return None
    for atom, exponent in monomial:
        positive = atom in ("c:pi", "c:e") or atom[0] in "p" or (atom[0] == "e" and atom[2] != "-")
        if atom == "c:i" or not (positive or odd_root or exponent.numerator % 2 or exponent * power % 2 == 0):
            return None
    result = _radical(coefficient, power)
    above = result.above
    for atom, exponent in monomial:
        above = multiply(above, reduced(atom, exponent * power))
    return Quotient(above, ONE, base.complete and result.complete)


def _radical(value: Fraction, power: Fraction) -> Quotient:
    """A rational number to a fractional power, as a product of fractional powers of primes."""
    if not value:
        if power < 0:
            raise Undefined
        return Quotient({})
    sign = Quotient(ONE)
    if value < 0:
        if power.denominator == 2:
            sign = Quotient(reduced("c:i", Fraction(power.numerator % 4)))
        elif power.denominator % 2:  # the real root, as \sqrt[3]{-8} means it
            sign = Quotient({(): Fraction(-1 if power.numerator % 2 else 1)})
        else:
            raise TooLarge
        value = -value
    result, complete = sign.above, True
    for part, direction in ((value.numerator, 1), (value.denominator, -1)):
        factors, all_prime = factor(part)
        complete = complete and all_prime
        for prime, multiplicity in factors:
            exponent = multiplicity * power * direction
            if abs(exponent) * prime.bit_length() > MAX_BITS:
                raise TooLarge
            result = multiply(result, reduced(f"p:{prime}", exponent))
    return Quotient(result, ONE, complete)


@lru_cache(maxsize=4096)
def factor(n: int) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Factors of n with multiplicity, and whether all are surely prime.

    Raises:
        TooLarge: for more than 512 bits.
    """
    if n.bit_length() > 512:
        raise TooLarge
    factors = []
    divisor = 2
    while divisor * divisor <= n and divisor < 20_000:
        multiplicity = 0
        while n % divisor == 0:
            n //= divisor
            multiplicity += 1
        if multiplicity:
            factors.append((divisor, multiplicity))
        divisor += 1 + (divisor > 2)
    if n > 1:
        root = math.isqrt(n)
        if root * root == n and n > 400_000_000:
            factors.append((root, 2))
        else:
            factors.append((n, 1))
    return tuple(factors), n < 400_000_000


def _exponential(base: Quotient, exponent: Quotient) -> Quotient:
    """base ** (sum of terms) as a product of atoms base**term, each to a rational power."""
    complete = base.complete and exponent.complete and exponent.below == ONE
    value = base.rational()
    bases: list[tuple[str, int]]
    if value is not None and value > 0:
        if value == 1:
            return Quotient(ONE)
        above, known_above = factor(value.numerator)
        below, known_below = factor(value.denominator)
        complete = complete and known_above and known_below
        bases = [(str(p), m) for p, m in above] + [(str(p), -m) for p, m in below]
    else:
        bases = [(base.key(), 1)]
        simple = base.above == single("c:e") or (
            base.below == ONE and len(base.above) == 1 and all(a[0] == "s" for m in base.above for a, _ in m)
        )
        complete = complete and simple and value is None
    terms: list[tuple[Monomial, Fraction]]
    if exponent.below == ONE:
        terms = list(exponent.above.items())
        complete = complete and not any(atom == "c:i" for m, _ in terms for atom, _ in m)
    else:
        return Quotient(single(f"o:({base.key()})^({exponent.key()})"), complete=False)
    result: Polynomial = ONE
    constant = Quotient(ONE)
    for monomial, coefficient in terms:
        if not monomial:
            constant = product(constant, power(base, Quotient({(): coefficient})))
            continue
        spelling = spell({monomial: UNIT})
        for name, multiplicity in bases:
            result = multiply(result, single(f"e:{name}|{spelling}", coefficient * multiplicity))
    return product(Quotient(result, ONE, complete), constant)
