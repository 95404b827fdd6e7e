"""Times of day: a kind of their own, that only a ratio can be mistaken for."""

from __future__ import annotations

from fractions import Fraction

from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import Clock, Scalar
from bonbench.verifiers.reading.syntax import Num, Power, Product

_NOON = 12


def same_time(a: Clock, b: Clock) -> bool:
    """Whether two clocks show one time; where one of them leaves am or pm open, their faces decide."""
    if a.minute >= 60 or b.minute >= 60:
        return a == b
    if _is_definite(a) and _is_definite(b):
        return _minutes(a) == _minutes(b)
    if a.half or b.half:
        return _face(a) == _face(b)
    return (a.hour % 24, a.minute) == (b.hour % 24, b.minute)


def as_ratio(time: Clock) -> Scalar | None:
    """``10:15`` as a quotient; None for what can be a time of day only."""
    if time.half or not time.hour or not time.minute:
        return None
    hour, minute = Num(Fraction(time.hour)), Num(time.minute)
    return Scalar(Product((hour, Power(minute, syntax.MINUS_ONE))))


def _is_definite(time: Clock) -> bool:
    return bool(time.half) or not 1 <= time.hour <= _NOON


def _minutes(time: Clock) -> Fraction:
    """Minutes since midnight."""
    hour = time.hour % 24
    if time.half and hour <= _NOON:
        hour = hour % _NOON + _NOON * (time.half == "pm")
    return 60 * hour + time.minute


def _face(time: Clock) -> tuple[int, Fraction]:
    return time.hour % _NOON, time.minute
