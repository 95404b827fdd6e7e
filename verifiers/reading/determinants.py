"""Determinants of small matrices, as expressions."""

from __future__ import annotations

from fractions import Fraction

from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.syntax import Expr, Num, Product, Sum

#: Larger determinants are not worked out: their expressions grow with the factorial of the size.
_MAX_SIZE = 4
_MAX_NUMERICAL_SIZE = 12


def determinant(rows: list[list[Expr]]) -> Expr | None:
    """The determinant of a square matrix; None where it is too large."""
    numbers = [[entry.value for entry in row if isinstance(entry, Num)] for row in map(_evaluated, rows)]
    if all(len(row) == len(rows) for row in numbers):
        return Num(_eliminated(numbers)) if len(rows) <= _MAX_NUMERICAL_SIZE else None
    return _expanded(rows) if len(rows) <= _MAX_SIZE else None


def _evaluated(row: list[Expr]) -> list[Expr]:
    """``row`` with the negatives of numbers as numbers."""
    return [
        Num(-e.factors[1].value)
        if isinstance(e, Product)
        and len(e.factors) == 2
        and e.factors[0] == syntax.MINUS_ONE
        and isinstance(e.factors[1], Num)
        else e
        for e in row
    ]


def _eliminated(rows: list[list[Fraction]]) -> Fraction:
    """By elimination, exactly."""
    result = Fraction(1)
    rows = [list(row) for row in rows]
    while rows:
        pivot = next((index for index, row in enumerate(rows) if row[0]), None)
        if pivot is None:
            return Fraction(0)
        first = rows.pop(pivot)
        result *= first[0] * (-1 if pivot % 2 else 1)
        rows = [[x - row[0] / first[0] * y for x, y in zip(row[1:], first[1:], strict=True)] for row in rows]
    return result


def _expanded(rows: list[list[Expr]]) -> Expr:
    """By expansion along the first row."""
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for column, entry in enumerate(rows[0]):
        minor = _expanded([row[:column] + row[column + 1 :] for row in rows[1:]])
        term = Product((entry, minor))
        terms.append(syntax.negate(term) if column % 2 else term)
    return Sum(tuple(terms))
