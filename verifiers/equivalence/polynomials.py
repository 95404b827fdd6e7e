"""Polynomials with rational coefficients in *atoms*, which are told by the beginning of their names.

``s:x`` is a symbol, ``c:pi`` a constant, ``p:2`` a prime (to a power between 0 and 1), ``e:2|…`` an exponential with
its base, ``o:…`` an opaque expression. Powers of i and of primes are reduced, so that equal polynomials have one form.
"""

from __future__ import annotations

import math
from fractions import Fraction

#: Powers of atoms, sorted: (atom, exponent).
Monomial = tuple[tuple[str, Fraction], ...]
#: Monomial -> its coefficient, which is not 0.
Polynomial = dict[Monomial, Fraction]

#: Beyond these sizes work stops: terms of a polynomial, bits of a coefficient.
MAX_TERMS = 400
MAX_BITS = 100_000
_MAX_NAME = 5_000
ZERO, UNIT = Fraction(0), Fraction(1)
ONE: Polynomial = {(): UNIT}


class TooLarge(ArithmeticError):
    """An exact value exceeds its bounds."""


def single(name: str, exponent: Fraction = UNIT) -> Polynomial:
    """The atom ``name`` to a power, as it stands (:func:`reduced` reduces it).

    Raises:
        TooLarge: for a name that is too long; names of nested powers can double at every level.
    """
    if len(name) > _MAX_NAME:
        raise TooLarge
    return {((name, exponent),): UNIT}


def spell(p: Polynomial) -> str:
    """A spelling that equal polynomials share."""
    return "+".join(
        f"{c}" + "".join(f"*{atom}^{e}" for atom, e in m) for m, c in sorted(p.items())
    ) or "0"  # fmt: skip


def add_to(target: Polynomial, monomial: Monomial, coefficient: Fraction) -> None:
    """Add one term to ``target``, in place.

    Raises:
        TooLarge: beyond ``MAX_TERMS`` terms.
    """
    value = target.get(monomial, ZERO) + coefficient
    if value:
        target[monomial] = value
    else:
        target.pop(monomial, None)
    if len(target) > MAX_TERMS:
        raise TooLarge


def subtract(p: Polynomial, q: Polynomial) -> Polynomial:
    """``p - q``."""
    result = dict(p)
    for monomial, coefficient in q.items():
        add_to(result, monomial, -coefficient)
    return result


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """``p * q``.

    Raises:
        TooLarge: where the product is beyond the bounds, or so many terms have to be multiplied that it may be.
    """
    if p is ONE:
        return q
    if q is ONE:
        return p
    if len(p) * len(q) > 16 * MAX_TERMS:
        raise TooLarge
    result: Polynomial = {}
    for left, c in p.items():
        for right, d in q.items():
            monomial, factor = _merge(left, right)
            coefficient = c * d * factor
            if coefficient.numerator.bit_length() + coefficient.denominator.bit_length() > MAX_BITS:
                raise TooLarge
            add_to(result, monomial, coefficient)
    return result


def _merge(left: Monomial, right: Monomial) -> tuple[Monomial, Fraction]:
    """Product of two monomials: i and the prime radicals are reduced, which may leave a rational factor."""
    if not left or not right:
        return left or right, UNIT
    exponents = dict(left)
    factor = UNIT
    for atom, exponent in right:
        total = exponents.get(atom, ZERO) + exponent
        if atom == "c:i":
            total %= 4
            if total >= 2:
                total -= 2
                factor = -factor
        elif atom[0] == "p":
            whole = math.floor(total)
            if whole:
                factor *= Fraction(int(atom[2:])) ** whole
                total -= whole
        if total:
            exponents[atom] = total
        else:
            exponents.pop(atom, None)
    return tuple(sorted(exponents.items())), factor


def reduced(atom: str, exponent: Fraction) -> Polynomial:
    """atom ** exponent as a polynomial in normal form."""
    if not exponent:
        return ONE
    if atom == "c:i":
        turns = int(exponent % 4)
        return {(() if turns % 2 == 0 else (("c:i", UNIT),)): Fraction(-1 if turns >= 2 else 1)}
    if atom[0] == "p":
        whole = math.floor(exponent)
        rest = exponent - whole
        return {(((atom, rest),) if rest else ()): Fraction(int(atom[2:])) ** whole}
    return single(atom, exponent)
