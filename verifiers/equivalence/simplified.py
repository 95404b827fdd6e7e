"""Whether an answer is in simplest form: what ``unsimplified: reject`` asks of a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import gcd

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import Answer, Braced, Bracketed, Listing, Matrix, Relation, Scalar, Union
from bonbench.verifiers.reading.syntax import Call, Expr, Num, Power, Product, Sum


def is_simplified(answer: Answer, gold: Answer) -> bool:
    """No arithmetic between numbers is left undone, fractions are in lowest terms, and functions are named only where
    the gold answer names some."""
    allowed = any(syntax.calls(e) for e in _expressions(gold))
    return all(_is_done(e) and (allowed or not syntax.calls(e)) for e in _expressions(answer))


def _expressions(answer: Answer) -> Iterator[Expr]:
    match answer:
        case Scalar(expr):
            yield expr
        case Listing(items) | Braced(items) | Bracketed(_, items, _):
            for item in items:
                yield from _expressions(item)
        case Relation(items, _):
            yield from _expressions(items[-1])
        case Union(parts, without):
            for part in (*parts, *without):
                yield from _expressions(part)
        case Matrix(rows):
            for row in rows:
                for cell in row:
                    yield from _expressions(cell)


def _is_done(expr: Expr) -> bool:
    """Whether nothing in ``expr`` is left to compute with rational numbers."""
    match expr:
        case Sum(terms):
            return all(_is_done(t) for t in terms) and sum(_is_rational(t) for t in terms) <= 1
        case Product((Num(above), Power(Num(below), exponent))) if exponent == syntax.MINUS_ONE:
            return _is_lowest(above, below)
        case Product((Num(sign), rest)) if sign == -1:
            return _is_done(rest)
        case Product(factors):
            return all(_is_done(f) for f in factors) and sum(_is_rational(f) for f in factors) <= 1
        case Power(base, exponent):
            if exponent == syntax.MINUS_ONE:
                return _is_done(base)
            return _is_done(base) and not _is_rational(expr)
        case Call(_, args):
            return not _is_rational(expr) and all(_is_done(a) for a in args)
    return True


def _is_rational(expr: Expr) -> bool:
    return not syntax.constants(expr) and exact.rational(expr) is not None


def _is_lowest(above: Fraction, below: Fraction) -> bool:
    whole = above.denominator == below.denominator == 1
    return whole and below > 1 and gcd(above.numerator, below.numerator) == 1
