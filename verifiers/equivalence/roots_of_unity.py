r"""Trigonometric constants: ``4\sin 80^\circ - \tan 80^\circ`` is ``-\sqrt{3}``.

The sine and cosine of a rational multiple of pi, and the square root of a rational number (a Gauss sum), are sums of
N-th roots of unity with rational coefficients. Such a sum is a polynomial in the root exp(2 pi i / N); it is 0 where
the N-th cyclotomic polynomial divides it.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import isqrt, lcm

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import MINUS_ONE, Call, Const, Expr, Num, Power, Product, Sum

# Beyond these sizes the question is left open.
_MAX_ORDER = 720
_MAX_PRIME = 50
_MAX_POWER = 12
_MAX_TERMS = 100_000  # products of two terms in one question

_TRIGONOMETRIC = words("sin cos tan cot sec csc")

#: Exponent of the root of unity -> coefficient.
_Ring = dict[int, Fraction]
#: Numerator and denominator.
_Value = tuple[_Ring, _Ring]


class _Open(Exception):
    """The question is left open."""


def equal_constants(a: Expr, b: Expr) -> bool | None:
    """Whether two constants are equal; None where they have other parts than these, or are too large."""
    difference = Sum((a, Product((MINUS_ONE, b))))
    if not syntax.calls(difference) & _TRIGONOMETRIC:
        return None
    try:
        order = _order(difference)
        if order > _MAX_ORDER:
            return None
        above, below = _Field(order).value(difference)
        return None if _vanishes(below, order) else _vanishes(above, order)
    except _Open:
        return None


def _order(expr: Expr) -> int:
    """A multiple N of 4 such that all parts of ``expr`` are sums of N-th roots of unity."""
    match expr:
        case Num() | Const("i" | "percent"):
            return 4
        case Sum(parts) | Product(parts):
            return lcm(4, *map(_order, parts))
        case Call(name, (angle,)) if name in _TRIGONOMETRIC:
            return lcm(4, 2 * _turns(angle).denominator)
        case Power(base, exponent):
            power = exact.rational(exponent)
            if power is not None and power.denominator == 1:
                return _order(base)
            if power is not None and power.denominator == 2:
                return lcm(4, *(8 if p == 2 else 4 * p for p in _square_root(base)[1]))
    raise _Open


def _turns(angle: Expr) -> Fraction:
    """An angle as a multiple of pi."""
    degrees_read = syntax.substitute(angle, Const("degree"), syntax.SIGNS["degree"])
    turns = exact.rational(Product((degrees_read, Power(Const("pi"), MINUS_ONE))))
    if turns is None:
        raise _Open
    return turns


def _square_root(base: Expr) -> tuple[Fraction, list[int]]:
    """The square root of a positive rational number as a rational number times the roots of different primes."""
    value = exact.rational(base)
    if value is None or value <= 0:
        raise _Open
    rest = value.numerator * value.denominator
    outside, primes = Fraction(1, value.denominator), []
    for p in range(2, _MAX_PRIME):
        while rest % (p * p) == 0:
            rest //= p * p
            outside *= p
        if rest % p == 0:
            rest //= p
            primes.append(p)
    root = isqrt(rest)
    if root * root != rest:
        raise _Open
    return outside * root, primes


class _Field:
    """Sums of the ``order``-th roots of unity."""

    def __init__(self, order: int) -> None:
        self.order = order
        self._terms = 0  # multiplied so far

    def value(self, expr: Expr) -> _Value:
        one: _Ring = {0: Fraction(1)}
        match expr:
            case Num(number):
                return {0: number}, one
            case Const("percent"):
                return {0: Fraction(1, 100)}, one
            case Const("i"):
                return {self.order // 4: Fraction(1)}, one
            case Sum(parts):
                total: _Value = {}, one
                for above, below in map(self.value, parts):
                    total = (
                        _added(self._times(total[0], below), self._times(above, total[1])),
                        self._times(total[1], below),
                    )
                return total
            case Product(parts):
                product: _Value = one, one
                for above, below in map(self.value, parts):
                    product = self._times(product[0], above), self._times(product[1], below)
                return product
            case Call(name, (angle,)):
                return self._trigonometric(name, _turns(angle))
            case Power(base, exponent):
                power = exact.rational(exponent)
                assert power is not None
                if power.denominator == 1:
                    return self._power(self.value(base), power.numerator)
                return self._power((self._square_root(base), one), power.numerator)
        raise _Open

    def _times(self, a: _Ring, b: _Ring) -> _Ring:
        self._terms += len(a) * len(b)
        if self._terms > _MAX_TERMS:
            raise _Open
        product: _Ring = {}
        for i, x in a.items():
            for j, y in b.items():
                k = (i + j) % self.order
                product[k] = product.get(k, Fraction(0)) + x * y
        return {k: c for k, c in product.items() if c}

    def _power(self, value: _Value, power: int) -> _Value:
        if abs(power) > _MAX_POWER:
            raise _Open
        above, below = value if power >= 0 else value[::-1]
        result: _Value = {0: Fraction(1)}, {0: Fraction(1)}
        for _ in range(abs(power)):
            result = self._times(result[0], above), self._times(result[1], below)
        return result

    def _trigonometric(self, name: str, turns: Fraction) -> _Value:
        place = int(turns * self.order / 2) % self.order
        # The cosine as (z + 1/z) / 2, the sine as (z - 1/z) / 2i, where z turns by the angle.
        cosine = _added({place: Fraction(1, 2)}, {-place % self.order: Fraction(1, 2)})
        quarter = self.order // 4
        sine = _added(
            {(place - quarter) % self.order: Fraction(1, 2)}, {(-place - quarter) % self.order: Fraction(-1, 2)}
        )
        one: _Ring = {0: Fraction(1)}
        return {
            "cos": (cosine, one),
            "sin": (sine, one),
            "tan": (sine, cosine),
            "cot": (cosine, sine),
            "sec": (one, cosine),
            "csc": (one, sine),
        }[name]

    def _square_root(self, base: Expr) -> _Ring:
        outside, primes = _square_root(base)
        result: _Ring = {0: outside}
        for p in primes:
            result = self._times(result, self._prime_root(p))
        return result

    def _prime_root(self, p: int) -> _Ring:
        """The square root of a prime, by the sum of Gauss."""
        if p == 2:
            return {self.order // 8: Fraction(1), -self.order // 8 % self.order: Fraction(1)}
        # The sum is the root itself, or i times the root where p is 3 modulo 4.
        back = self.order // 4 if p % 4 == 3 else 0
        squares = {k * k % p for k in range(1, p)}
        step = self.order // p
        return {(k * step - back) % self.order: Fraction(1 if k in squares else -1) for k in range(1, p)}


def _added(a: _Ring, b: _Ring) -> _Ring:
    total = dict(a)
    for k, c in b.items():
        total[k] = total.get(k, Fraction(0)) + c
    return {k: c for k, c in total.items() if c}


def _vanishes(ring: _Ring, order: int) -> bool:
    """Whether the cyclotomic polynomial divides the polynomial with these coefficients."""
    scale = lcm(*(c.denominator for c in ring.values())) if ring else 1
    rest = [0] * order
    for k, c in ring.items():
        rest[k] = int(c * scale)
    divisor = _cyclotomic(order)
    _divide(rest, divisor)
    return not any(rest[: len(divisor) - 1])


@lru_cache(maxsize=64)
def _cyclotomic(order: int) -> tuple[int, ...]:
    """The coefficients of the cyclotomic polynomial, from the constant one on: x^N - 1 without its proper divisors."""
    rest = [-1] + [0] * (order - 1) + [1]
    for d in range(1, order):
        if order % d == 0:
            rest = _divide(rest, _cyclotomic(d))
    return tuple(rest)


def _divide(rest: list[int], divisor: tuple[int, ...]) -> list[int]:
    """The quotient by a polynomial with leading coefficient 1; ``rest`` becomes the remainder."""
    size = len(divisor) - 1
    quotient = [0] * max(len(rest) - size, 0)
    for place in range(len(quotient) - 1, -1, -1):
        factor = quotient[place] = rest[place + size]
        if factor:
            for k, c in enumerate(divisor):
                if c:
                    rest[place + k] -= factor * c
    return quotient
