"""Numerical refutation: two expressions that differ in value somewhere are different.

Values are taken at rational points to two precisions. A difference that is the same at both is real; one that shrinks
with the precision is rounding. Agreement proves nothing and is never taken for equality.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
from mpmath.libmp import NoConvergence  # type: ignore[import-untyped]

from bonbench.verifiers.equivalence.signs import positive_symbols
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.syntax import Call, Const, Expr, Num, Power, Product, Sum, Sym

_DIGITS = (50, 100)
_POINTS = 6
# From this attempt on, values are smaller than 1, where inverse functions are real.
_SMALL_FROM = 4
# Sizes beyond which a value is not computed: binary exponents of values, and of the arguments of functions.
_MAX_EXPONENT = 2**50
_MAX_ARGUMENT = 2**10
_MAX_FACTORIAL = 10**9
# What computing a value raises where there is none.
_NO_VALUE = (ArithmeticError, ValueError, TypeError, NoConvergence)


class NoValue(ArithmeticError):
    """An expression has no value at a point, or one beyond the bounds."""


def refuted(a: Expr, b: Expr) -> bool:
    """Whether ``a`` and ``b`` have different values at some point where both have one.

    Symbols take positive, negative and whole values, large and small ones; those that stand alone under a root or in a
    logarithm are positive. Complex values count only where no tried point gives real ones.
    """
    names = sorted(syntax.symbols(a) | syntax.symbols(b))
    whole = wants_whole(a) or wants_whole(b)
    positive = positive_symbols(a) | positive_symbols(b)
    generator = random.Random("|".join(names))
    complex_difference = real_seen = False
    for attempt in range(_POINTS if names else 1):
        point = {name: _coordinate(generator, attempt, whole, name in positive) for name in names}
        try:
            low, is_real = _difference(a, b, point, _DIGITS[0])
            high, _ = _difference(a, b, point, _DIGITS[1])
        except _NO_VALUE:
            continue
        differs = abs(high) > 0 and abs(low - high) < abs(high) * 1e-6
        if is_real:
            real_seen = True
            if differs:
                return True
        complex_difference = complex_difference or differs
    return complex_difference and not real_seen


def distance(a: Expr, b: Expr) -> float | None:
    """|a - b| for expressions without symbols, to many digits more than a float has; None where one has no value."""
    try:
        difference, _ = _difference(a, b, {}, _DIGITS[0])
    except _NO_VALUE:
        return None
    return float(abs(difference))


def real_value(expr: Expr) -> Any:
    """The value of an expression without symbols as a multi-precision number; None where it has no real value."""
    try:
        with mpmath.workdps(_DIGITS[0]):
            value = _value(expr, {})
    except _NO_VALUE:
        return None
    return mpmath.re(value) if mpmath.im(value) == 0 else None


def approximation(expr: Expr) -> Fraction | None:
    """The value of an expression without symbols to 50 digits; None where it has no real value."""
    value = real_value(expr)
    if value is None or abs(mpmath.mag(value)) > _MAX_ARGUMENT:
        return None
    sign, mantissa, exponent, _ = value._mpf_
    size = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -size if sign else size


def _coordinate(generator: random.Random, attempt: int, whole: bool, positive: bool) -> Any:
    if whole:
        return mpmath.mpf(generator.randint(3, 9))
    sign = 1 if positive or attempt % 2 == 0 or (attempt > 1 and generator.random() < 0.5) else -1
    below = generator.choice((7, 13, 32, 64)) if attempt < _SMALL_FROM else generator.choice((101, 128))
    return sign * mpmath.mpf(generator.randint(5, 97)) / below


def _difference(a: Expr, b: Expr, point: Mapping[str, Any], digits: int) -> tuple[Any, bool]:
    with mpmath.workdps(digits):
        x, y = _value(a, point), _value(b, point)
        return x - y, all(mpmath.im(v) == 0 for v in (x, y))


def wants_whole(expr: Expr) -> bool:
    """Whether ``expr`` makes sense for whole numbers only, as (-1)^n and n! do."""
    match expr:
        case Power(Num(value), exponent) if value < 0 and syntax.symbols(exponent):
            return True
        case Power(base, exponent):
            if syntax.symbols(exponent) and isinstance(base, Product) and base.factors[0] == syntax.MINUS_ONE:
                return True
            return wants_whole(base) or wants_whole(exponent)
        case Call("factorial" | "factorial2" | "binomial", args):
            return any(syntax.symbols(a) for a in args)
        case Sum(parts) | Product(parts) | Call(_, parts):
            return any(wants_whole(p) for p in parts)
    return False


_CONSTANTS = {
    "pi": lambda: mpmath.pi,
    "e": lambda: mpmath.e,
    "i": lambda: mpmath.mpc(0, 1),
}
_FUNCTIONS = {
    **syntax.trigonometric(mpmath),
    "abs": abs,
    "floor": mpmath.floor,
    "ceil": mpmath.ceil,
    "arg": mpmath.arg,
    "sgn": mpmath.sign,
    "zeta": mpmath.zeta,
    "gamma": mpmath.gamma,
}


def _value(expr: Expr, point: Mapping[str, Any]) -> Any:
    match expr:
        case Num(value):
            return _bounded(mpmath.mpf(value.numerator) / value.denominator)
        case Sym(name):
            return point[name]
        case Const(name):
            if name in syntax.SIGNS:
                return _value(syntax.SIGNS[name], point)
            if name not in _CONSTANTS:
                raise NoValue(name)
            return +_CONSTANTS[name]()
        case Sum(terms):
            return _bounded(sum((_value(t, point) for t in terms), mpmath.mpf(0)))
        case Product(factors):
            result = mpmath.mpf(1)
            for factor in factors:
                result = _bounded(result * _value(factor, point))
            return result
        case Power(base, exponent):
            return _power(_value(base, point), _value(exponent, point), _odd_root(exponent))
        case Call(name, args):
            return _bounded(_call(name, [_value(a, point) for a in args]))
    raise AssertionError(expr)


def _odd_root(exponent: Expr) -> bool:
    """Whether an exponent spells an odd root, whose value is real."""
    match exponent:
        case Power(Num(index), Num(minus)):
            return minus == -1 and index.denominator == 1 and index % 2 == 1
        case Num(value):
            return value.numerator == 1 and value.denominator % 2 == 1
    return False


def _power(base: Any, exponent: Any, odd_root: bool) -> Any:
    if base == 0:
        if mpmath.re(exponent) < 0:
            raise NoValue("1/0")
        return mpmath.mpf(exponent == 0)
    if abs(mpmath.log(abs(base), 2)) * abs(exponent) > _MAX_EXPONENT:
        raise NoValue("too large")
    if odd_root and mpmath.im(base) == 0 and base < 0:
        return -((-base) ** exponent)
    return base**exponent


def _call(name: str, args: list[Any]) -> Any:
    if any(a != 0 and abs(mpmath.mag(a)) > _MAX_ARGUMENT for a in args):
        raise NoValue("too large")
    if name == "log":
        return mpmath.log(args[0]) / mpmath.log(args[1])
    if name in ("factorial", "factorial2", "binomial"):
        if any(abs(a) > _MAX_FACTORIAL for a in args):
            raise NoValue("too large")
        return {"factorial": mpmath.factorial, "factorial2": mpmath.fac2, "binomial": mpmath.binomial}[name](*args)
    if name in ("max", "min"):
        return (max if name == "max" else min)(args)
    if name not in _FUNCTIONS:
        raise NoValue(name)
    return _FUNCTIONS[name](args[0])


def _bounded(value: Any) -> Any:
    if not mpmath.isfinite(value):
        raise NoValue("infinite")
    if value != 0 and abs(mpmath.mag(value)) > _MAX_EXPONENT:
        raise NoValue("too large")
    return value
