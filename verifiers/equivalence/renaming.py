"""Symbols of whole answers, and answers with other letters for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import (
    Answer,
    Braced,
    Bracketed,
    Conditioned,
    Intersection,
    Listing,
    Matrix,
    Piecewise,
    Relation,
    Residue,
    Scalar,
    Union,
)
from bonbench.verifiers.reading.syntax import Expr, Sym


def symbols(answer: Answer) -> frozenset[str]:
    """Names of the symbols anywhere in ``answer``, the names of functions such as f in f(x) included."""
    seen: set[str] = set()

    def note(expr: Expr) -> Expr:
        seen.update(syntax.symbols(expr))
        return expr

    mapped(answer, note)
    return frozenset(seen)


def renamed(answer: Answer, names: Mapping[str, str]) -> Answer:
    """``answer`` with all symbols in ``names`` renamed at once."""

    return mapped(answer, lambda expr: syntax.renamed(expr, names))


def substituted(answer: Answer, name: str, value: Expr) -> Answer:
    """``answer`` with ``value`` for the symbol ``name``."""
    return mapped(answer, lambda expr: syntax.substitute(expr, Sym(name), value))


def mapped(answer: Answer, change: Callable[[Expr], Expr]) -> Answer:
    """``answer`` with every expression changed."""

    def of(items: tuple[Answer, ...]) -> tuple[Answer, ...]:
        return tuple(mapped(item, change) for item in items)

    match answer:
        case Scalar(expr, unit):
            return Scalar(change(expr), unit)
        case Listing(items):
            return Listing(of(items))
        case Braced(items):
            return Braced(of(items))
        case Bracketed(opening, items, closing):
            return Bracketed(opening, of(items), closing)
        case Matrix(rows):
            return Matrix(tuple(map(of, rows)))
        case Union(parts, without):
            return Union(of(parts), of(without))
        case Intersection(items):
            return Intersection(of(items))
        case Relation(items, ops):
            return Relation(of(items), ops)
        case Residue(remainders, modulus, name):
            changed = tuple(Scalar(change(r.expr), r.unit) for r in remainders)
            return Residue(changed, Scalar(change(modulus.expr)), None if name is None else mapped(name, change))
        case Conditioned(value, conditions):
            return Conditioned(mapped(value, change), of(conditions))
        case Piecewise(branches):
            return Piecewise(tuple((mapped(v, change), None if c is None else mapped(c, change)) for v, c in branches))
    return answer
