"""Sets of real numbers, from intervals, unions, inequalities and set differences."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.equivalence.regions import INFINITY, MINUS_INFINITY, REALS, Region, common, difference, joined
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import Answer, Braced, Bracketed, Intersection, Listing, Relation, Scalar, Union
from bonbench.verifiers.reading.syntax import Call, Expr, Num, Sum, Sym

#: The sign of an inequality read from right to left.
MIRRORED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}

_LESS = ("<", "\\le")
_CLOSED = ("\\le", "\\ge")


def as_set(answer: Answer) -> list[Region] | None:
    """The disjoint intervals and points that ``answer`` stands for; None where it is no set of real numbers."""
    match answer:
        case Bracketed("(" | "[" as opening, (Scalar(low), Scalar(high)), ")" | "]" as closing):
            return [Region(low, high, opening == "[", closing == "]")]
        case Braced(items):
            points = [_point(item) for item in items]
            return None if None in points else [p for p in points if p is not None]
        case Scalar(Sym("mathbb(R)")):
            return [REALS]
        case Listing(items):
            return _either_or_both(items)
        case Union((whole,), removed) if removed:
            return _difference(_reals(whole), removed)
        case Union(items, removed):
            parts = [as_set(item) for item in items]
            regions = None if None in parts else [region for part in parts for region in part or []]
            union = None if regions is None else joined(regions) or regions
            return _difference(union, removed) if removed else union
        case Intersection(items):
            sets = [as_set(item) for item in items]
            return None if None in sets else common([regions for regions in sets if regions is not None])
        case Relation():
            return _inequality(answer)
    return None


def _point(item: Answer) -> Region | None:
    return Region(item.expr, item.expr, True, True) if isinstance(item, Scalar) else None


def _either_or_both(items: tuple[Answer, ...]) -> list[Region] | None:
    """Alternatives; but inequalities that leave no number out between them hold together: ``x > 1, x < 3``."""
    match items:
        case (Relation((Scalar(Sym()), first), ("\\ne",)), *others) if all(isinstance(o, Scalar) for o in others):
            return _difference([REALS], (first, *others))  # x \\ne 0, 1
    sets = [as_set(item) for item in items]
    if None in sets:
        return None
    known = [regions for regions in sets if regions is not None]
    regions = [region for part in known for region in part]
    union = joined(regions)
    if len(items) > 1 and union == [REALS] and all(isinstance(item, Relation) for item in items):
        return common(known)
    return regions if union is None else union


def _reals(answer: Answer) -> list[Region] | None:
    """``answer`` as a set, with the letter R for the real numbers."""
    return [REALS] if answer == Scalar(Sym("R")) else as_set(answer)


def _difference(whole: list[Region] | None, removed: tuple[Answer, ...]) -> list[Region] | None:
    """``whole`` without numbers or sets."""
    sets = [[point] if (point := _point(item)) else as_set(item) for item in removed]
    if whole is None or None in sets:
        return None
    return difference(whole, [region for regions in sets for region in regions or []])


def _inequality(relation: Relation) -> list[Region] | None:
    """Solutions of ``a < x``, ``a \\le x < b``, ``|x| < b``, ``x \\ne a``, ``x = a``, linear in one symbol."""
    items, ops = relation.items, relation.ops
    if ops == ("\\ne",) and isinstance(items[0], Scalar) and isinstance(items[1], Listing | Braced):
        return _difference([REALS], items[1].items) if isinstance(items[0].expr, Sym) else None
    if not all(isinstance(item, Scalar) for item in items):
        return _membership(items, ops)
    exprs = [item.expr for item in items if isinstance(item, Scalar)]
    if ops == ("\\in",) and exprs[1] == Sym("mathbb(R)"):
        return [REALS]
    if len(ops) == 1:
        return _single(exprs[0], ops[0], exprs[1])
    return _chain(exprs, ops) if len(ops) == 2 else None


def _chain(exprs: Sequence[Expr], ops: Sequence[str]) -> list[Region] | None:
    """Solutions of ``a < f(x) \\le b``, read in the direction in which it ascends."""
    if not all(op in MIRRORED for op in ops) or (ops[0] in _LESS) != (ops[1] in _LESS):
        return None
    if ops[0] not in _LESS:
        exprs, ops = exprs[::-1], ops[::-1]
    low, middle, high = exprs
    low_closed, high_closed = (op in _CLOSED for op in ops)
    if isinstance(middle, Call) and middle.name == "abs" and isinstance(middle.args[0], Sym):
        return [
            Region(syntax.negate(high), syntax.negate(low), high_closed, low_closed),
            Region(low, high, low_closed, high_closed),
        ]
    if not syntax.symbols(middle) or syntax.symbols(low) & syntax.symbols(middle):
        return None
    solved = _solved(middle)
    if solved is None:
        return [Region(low, high, low_closed, high_closed)] if _is_application(middle) else None
    slope, offset = solved
    ends = [_scale(e, offset, slope) for e in (low, high)]
    if slope < 0:
        return [Region(ends[1], ends[0], high_closed, low_closed)]
    return [Region(ends[0], ends[1], low_closed, high_closed)]


def _membership(items: tuple[Answer, ...], ops: tuple[str, ...]) -> list[Region] | None:
    if len(items) == 2 and ops == ("\\in",) and isinstance(items[0], Scalar):
        return as_set(items[1])
    return None


def _single(left: Expr, op: str, right: Expr) -> list[Region] | None:
    """Solutions of one equation or inequality."""
    if op in ("=", "\\ne"):
        point = right if isinstance(left, Sym) else left if isinstance(right, Sym) else None
        if point is None:
            return None
        if op == "=":
            return [Region(point, point, True, True)]
        return [Region(MINUS_INFINITY, point, False, False), Region(point, INFINITY, False, False)]
    if op not in MIRRORED:
        return None
    if not syntax.symbols(left):
        left, right, op = right, left, MIRRORED[op]
    if isinstance(left, Call) and left.name == "abs" and isinstance(left.args[0], Sym) and not syntax.symbols(right):
        closed = op in _CLOSED
        if op in _LESS:
            return [Region(syntax.negate(right), right, closed, closed)]
        return [
            Region(MINUS_INFINITY, syntax.negate(right), False, closed),
            Region(right, INFINITY, closed, False),
        ]
    solved = _solved(Sum((left, syntax.negate(right))) if syntax.symbols(right) and not isinstance(left, Sym) else left)
    if solved is None:
        return None
    slope, offset = solved
    bound = _scale(right if isinstance(left, Sym) or not syntax.symbols(right) else Num(Fraction(0)), offset, slope)
    op = MIRRORED[op] if slope < 0 else op
    closed = op in _CLOSED
    if op in _LESS:
        return [Region(MINUS_INFINITY, bound, False, closed)]
    return [Region(bound, INFINITY, closed, False)]


def _is_application(expr: Expr) -> bool:
    """``f(x)`` as it is read: a product of two symbols."""
    return isinstance(expr, syntax.Product) and all(isinstance(f, Sym) for f in expr.factors)


def _solved(expr: Expr) -> tuple[Fraction, Expr] | None:
    """(slope, offset) of an expression linear in its only symbol."""
    if isinstance(expr, Sym):
        return Fraction(1), Num(Fraction(0))
    try:
        line = exact.linear(exact.canonical(expr))
    except ArithmeticError:
        return None
    if line is None:
        return None
    _, slope, rest = line
    offset = rest.rational()
    return None if offset is None else (slope, Num(offset))


def _scale(end: Expr, offset: Expr, slope: Fraction) -> Expr:
    """(end - offset) / slope, with infinities kept as they are."""
    if end in (INFINITY, MINUS_INFINITY):
        return end
    if offset == Num(Fraction(0)) and slope == 1:
        return end
    return syntax.Product((Sum((end, syntax.negate(offset))), Num(1 / slope)))
