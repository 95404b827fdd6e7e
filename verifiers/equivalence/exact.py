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
    ONE,
    UNIT,
    Monomial,
    Polynomial,
    add_to,
    multiply,
    single,
    subtract,
)
from bonbench.verifiers.equivalence.quotients import Quotient, Undefined, factor, inverse, power, product, total
from bonbench.verifiers.reading.syntax import SIGNS, Call, Const, Expr, Num, Power, Product, Sum, Sym, constants

# Work stops, and the question is left open, beyond this size.
_MAX_FACTORIAL = 2000


def decide(a: Expr, b: Expr) -> bool | None:
    """Whether two expressions are equal; None where exact arithmetic leaves it open.

    What has no value (1/0) equals nothing. Infinity is no number to calculate with: only its sign is read here.
    """
    if a == b:
        return True
    infinities = (_infinity(a), _infinity(b))
    if infinities != (0, 0):
        return None if None in infinities else infinities[0] == infinities[1]
    try:
        return equal(canonical(a), canonical(b))
    except Undefined:
        return False
    except ArithmeticError:
        return None


def _infinity(expr: Expr) -> int | None:
    """1 and -1 for the two infinities, 0 for what has no infinity in it, None for calculations with infinity."""
    match expr:
        case Const("infty"):
            return 1
        case Product((Num(sign), Const("infty"))) if sign:
            return 1 if sign > 0 else -1
    return None if "infty" in constants(expr) else 0


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
            return total([canonical(t) for t in terms])
        case Product(factors):
            result = Quotient(ONE)
            for part in factors:
                result = product(result, canonical(part))
            return result
        case Power(base, exponent):
            return power(canonical(base), canonical(exponent))
        case Call(name, args):
            return _call(name, [canonical(a) for a in args])
    raise AssertionError(expr)


def _call(name: str, args: list[Quotient]) -> Quotient:
    values = [a.rational() for a in args]
    first = values[0] if values else None
    if name == "abs" and first is not None:
        return Quotient({(): abs(first)} if first else {})
    if name == "abs" and (size := _size(args[0])) is not None:
        return size
    if name in ("floor", "ceil") and first is not None:
        whole = math.floor(first) if name == "floor" else math.ceil(first)
        return Quotient({(): Fraction(whole)} if whole else {})
    if name == "factorial" and first is not None and first.denominator == 1 and 0 <= first <= _MAX_FACTORIAL:
        return Quotient({(): Fraction(math.factorial(int(first)))})
    if name == "factorial2" and first is not None and first.denominator == 1 and 0 <= first <= _MAX_FACTORIAL:
        return Quotient({(): Fraction(math.prod(range(int(first), 0, -2)))})
    if name == "binomial" and all(v is not None and v.denominator == 1 and 0 <= v <= 1000 for v in values):
        n, k = (int(v) for v in values if v is not None)
        return Quotient({(): Fraction(c)} if (c := math.comb(n, k)) else {})
    if name in ("gcd", "lcm") and all(v is not None and v.denominator == 1 for v in values):
        function = math.gcd if name == "gcd" else math.lcm
        return Quotient({(): Fraction(function(*(int(v) for v in values if v is not None)))})
    if name in ("max", "min") and values and all(v is not None for v in values):
        best = (max if name == "max" else min)(v for v in values if v is not None)
        return Quotient({(): best} if best else {})
    if name == "log":
        return _ratio(_log(args[0]), _log(args[1]))
    return Quotient(single(f"o:{name}({','.join(a.key() for a in args)})"), complete=False)


def _size(x: Quotient) -> Quotient | None:
    """The absolute value of a quotient all of whose terms have one known sign; else None."""
    signs = {_sign(x.above), _sign(x.below)}
    if 0 in signs:
        return None
    return x if signs == {1} else product(x, Quotient({(): Fraction(-1)}))


def _sign(polynomial: Polynomial) -> int:
    """1 or -1 where all terms have that sign, 0 where it is not known."""
    signs = {coefficient > 0 for coefficient in polynomial.values()}
    atoms = {atom for monomial in polynomial for atom, _ in monomial}
    if len(signs) != 1 or not all(a in ("s:positive", "c:pi", "c:e") or a[0] == "p" for a in atoms):
        return 0
    return 1 if signs == {True} else -1


def _log(x: Quotient) -> Quotient:
    """The natural logarithm of a product, as the sum of its factors' logarithms: symbols in it are positive.

    ``l:2`` is the logarithm of 2, ``l:s:x`` that of the symbol x.
    """
    if x.below != ONE:
        return total([_log(Quotient(x.above)), product(_log(Quotient(x.below)), Quotient({(): -UNIT}))])
    if not x.above:
        raise Undefined
    ((monomial, coefficient), *rest) = x.above.items()
    if rest or coefficient < 0 or any(atom == "c:i" or atom[0] in "eo" for atom, _ in monomial):
        return Quotient(single(f"o:log({x.key()})"), complete=False)
    result: Polynomial = {}
    for part, sign in ((coefficient.numerator, 1), (coefficient.denominator, -1)):
        for prime, multiplicity in factor(part)[0]:
            add_to(result, ((f"l:{prime}", UNIT),), Fraction(sign * multiplicity))
    for atom, exponent in monomial:
        logarithm: Monomial = () if atom == "c:e" else ((f"l:{atom.removeprefix('p:')}", UNIT),)
        add_to(result, logarithm, exponent)
    return Quotient(result, complete=False)


def _ratio(x: Quotient, y: Quotient) -> Quotient:
    """``x / y``, which is a number where ``x`` is a rational multiple of ``y``."""
    if x.above and x.below == y.below and x.above.keys() == y.above.keys():
        ratios = {coefficient / y.above[monomial] for monomial, coefficient in x.above.items()}
        if len(ratios) == 1:
            return Quotient({(): ratios.pop()})
    return product(x, inverse(y))
