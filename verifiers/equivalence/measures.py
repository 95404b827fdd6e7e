"""Amounts in several units, and values whose units are multiples of each other."""

from __future__ import annotations

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading.answers import Answer, Measure, Scalar
from bonbench.verifiers.reading.measures import SIZES
from bonbench.verifiers.reading.syntax import Num, Product


def same_amount(measure: Measure, other: Answer) -> bool:
    """Whether ``other`` is the amount in any unit of its kind, or its number in the largest or smallest unit named."""
    if isinstance(other, Measure):
        return (measure.kind, measure.amount) == (other.kind, other.amount)
    if not isinstance(other, Scalar):
        return False
    value = exact.rational(other.expr)
    if value is None:
        return False
    if not other.unit:
        return measure.amount in (value * measure.largest, value * measure.smallest)
    if other.unit not in SIZES:
        return False
    kind, size = SIZES[other.unit]
    return kind == measure.kind and value * size == measure.amount


def converted(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """The two values in one unit, where their units are of one kind."""
    if a.unit not in SIZES or b.unit not in SIZES:
        return a, b
    (kind, size), (other_kind, other_size) = SIZES[a.unit], SIZES[b.unit]
    if kind != other_kind or size == other_size:
        return a, b
    return Scalar(Product((Num(size), a.expr))), Scalar(Product((Num(other_size), b.expr)))
