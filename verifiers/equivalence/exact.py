"""Exact arithmetic: most pairs of expressions are decided here, in microseconds, without a computer algebra system.

An expression becomes a quotient of two polynomials with rational coefficients in *atoms*: symbols, pi, i,
fractional powers of primes, exponentials, and anything else (a sine, a nested root) as an opaque atom under
its canonical spelling. Two expressions whose cross-multiplied difference vanishes are equal. Where no opaque atom
occurs the atoms are independent (real radicals of distinct classes are linearly independent over the
rationals, Besicovitch 1940), so that a difference which does not vanish proves them unequal; else the question is open.
"""

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
from bonbench.verifiers.reading.syntax import SIGNS, Call, Const, Expr, Num, Power, Product, Sum, Sym

# Work stops, and the question is left open, beyond these sizes.
_MAX_POWER = 40
_MAX_FACTORIAL = 2000


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


def decide(a: Expr, b: Expr) -> bool | None:
    """Whether two expressions are equal; None where exact arithmetic leaves it open."""
    try:
        return equal(canonical(a), canonical(b))
    except ArithmeticError:
        return True if a == b else None


def equal(x: Quotient, y: Quotient) -> bool | None:
    """Whether two quotients are equal; None where that is open."""
    if subtract(multiply(x.above, y.below), multiply(y.above, x.below)):
        return False if x.complete and y.complete else None
    return True


def proportional(x: Quotient, y: Quotient) -> bool | None:
    """Whether x = c y with a rational constant c other than 0: equations with one solution set."""
    left, right = multiply(x.above, y.below), multiply(y.above, x.below)
    if not left or not right:
        return not left and not right
    ratio = next(iter(left.values())) / right[first] if (first := next(iter(left))) in right else None
    if ratio is not None and left == {m: c * ratio for m, c in right.items()}:
        return True
    return False if x.complete and y.complete else None


def linear(x: Quotient) -> tuple[str, Fraction, Quotient] | None:
    """(symbol, slope, constant part) where ``x`` is slope * symbol + a part without symbols."""
    if x.below != ONE:
        return None
    term: tuple[str, Fraction] | None = None
    rest: Polynomial = {}
    for monomial, coefficient in x.above.items():
        names = [atom for atom, _ in monomial if atom.startswith("s:")]
        if not names:
            rest[monomial] = coefficient
        elif term is None and len(monomial) == 1 and monomial[0][1] == 1:
            term = (names[0][2:], coefficient)
        else:
            return None
    return None if term is None else (*term, Quotient(rest, complete=x.complete))


@lru_cache(maxsize=65536)
def rational(expr: Expr) -> Fraction | None:
    """The value of ``expr`` where it is a rational number that exact arithmetic finds."""
    try:
        return canonical(expr).rational()
    except ArithmeticError:
        return None


@lru_cache(maxsize=65536)
def canonical(expr: Expr) -> Quotient:
    """``expr`` as a quotient of polynomials.

    Raises:
        TooLarge, Undefined: where it has no form within bounds, or no value.
    """
    match expr:
        case Num(value):
            return Quotient({(): value} if value else {})
        case Sym(name):
            return Quotient(single("s:" + name))
        case Const("i"):
            return Quotient(single("c:i"))
        case Const(name):
            return canonical(SIGNS[name]) if name in SIGNS else Quotient(single("c:" + name))
        case Sum(terms):
            return _total([canonical(t) for t in terms])
        case Product(factors):
            result = Quotient(ONE)
            for factor in factors:
                result = _product(result, canonical(factor))
            return result
        case Power(base, exponent):
            return _power(canonical(base), canonical(exponent))
        case Call(name, args):
            return _call(name, [canonical(a) for a in args])
    raise AssertionError(expr)


# -- quotients -----------------------------------------------------------------------------------------------


def _product(x: Quotient, y: Quotient) -> Quotient:
    return Quotient(multiply(x.above, y.above), multiply(x.below, y.below), x.complete and y.complete)


def _total(parts: list[Quotient]) -> Quotient:
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


def _inverse(x: Quotient) -> Quotient:
    """1 / x; a denominator of one term becomes a factor with negated exponents."""
    if not x.above:
        raise Undefined
    if len(x.above) == 1:
        ((monomial, coefficient),) = x.above.items()
        result: Polynomial = {(): 1 / coefficient}
        for atom, exponent in monomial:
            result = multiply(result, reduced(atom, -exponent))
        return Quotient(multiply(result, x.below), ONE, x.complete)
    return Quotient(x.below, x.above, x.complete)


def _power(base: Quotient, exponent: Quotient) -> Quotient:
    power = exponent.rational()
    if power is None:
        return _exponential(base, exponent)
    if power.denominator == 1:
        return _whole_power(base, power.numerator)
    value = base.rational()
    if value is not None:
        return _radical(value, power)
    if base.below == ONE and len(base.above) == 1:
        root = _monomial_root(base, power)
        if root is not None:
            return root
    if base.below != ONE and base.complete:
        top, bottom = Quotient(base.above), Quotient(base.below)
        if top.rational() is not None or bottom.rational() is not None:
            return _product(_power(top, exponent), _inverse(_power(bottom, exponent)))
    return Quotient(single(f"o:({base.key()})", power), complete=False)


def _whole_power(base: Quotient, power: int) -> Quotient:
    if power < 0:
        return _whole_power(_inverse(base), -power)
    value = base.rational()
    if value is not None:
        if value in (0, 1, -1):
            power = min(power, 2 + power % 2)
        elif max(value.numerator.bit_length(), value.denominator.bit_length()) * power > MAX_BITS:
            raise TooLarge
        result = value**power
        return Quotient({(): result} if result else {})
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
    product = Quotient(ONE)
    for _ in range(power):
        product = _product(product, base)
    return product


def _monomial_root(base: Quotient, power: Fraction) -> Quotient | None:
    """(c x^a y^b …)^power term by term, where that is true for all admissible values; else None."""
    ((monomial, coefficient),) = base.above.items()
    if coefficient < 0:
        return None
    for atom, exponent in monomial:
        positive = atom in ("c:pi", "c:e") or atom[0] == "p" or (atom[0] == "e" and atom[2] != "-")
        if atom == "c:i" or not (positive or exponent == 1):
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
        factors, all_prime = _factor(part)
        complete = complete and all_prime
        for prime, multiplicity in factors:
            exponent = multiplicity * power * direction
            if abs(exponent) * prime.bit_length() > MAX_BITS:
                raise TooLarge
            result = multiply(result, reduced(f"p:{prime}", exponent))
    return Quotient(result, ONE, complete)


@lru_cache(maxsize=4096)
def _factor(n: int) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Factors of n with multiplicity, and whether all are surely prime."""
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
        above, known_above = _factor(value.numerator)
        below, known_below = _factor(value.denominator)
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
    factor = Quotient(ONE)
    for monomial, coefficient in terms:
        if not monomial:
            factor = _product(factor, _power(base, Quotient({(): coefficient})))
            continue
        spelling = spell({monomial: UNIT})
        for name, multiplicity in bases:
            result = multiply(result, single(f"e:{name}|{spelling}", coefficient * multiplicity))
    return _product(Quotient(result, ONE, complete), factor)


def _call(name: str, args: list[Quotient]) -> Quotient:
    values = [a.rational() for a in args]
    first = values[0] if values else None
    if name == "abs" and first is not None:
        return Quotient({(): abs(first)} if first else {})
    if name in ("floor", "ceil") and first is not None:
        whole = math.floor(first) if name == "floor" else math.ceil(first)
        return Quotient({(): Fraction(whole)} if whole else {})
    if name == "factorial" and first is not None and first.denominator == 1 and 0 <= first <= _MAX_FACTORIAL:
        return Quotient({(): Fraction(math.factorial(int(first)))})
    if name == "binomial" and all(v is not None and v.denominator == 1 and 0 <= v <= 1000 for v in values):
        n, k = (int(v) for v in values if v is not None)
        return Quotient({(): Fraction(c)} if (c := math.comb(n, k)) else {})
    if name in ("gcd", "lcm") and all(v is not None and v.denominator == 1 for v in values):
        function = math.gcd if name == "gcd" else math.lcm
        return Quotient({(): Fraction(function(*(int(v) for v in values if v is not None)))})
    if name in ("max", "min") and values and all(v is not None for v in values):
        best = (max if name == "max" else min)(v for v in values if v is not None)
        return Quotient({(): best} if best else {})
    return Quotient(single(f"o:{name}({','.join(a.key() for a in args)})"), complete=False)
