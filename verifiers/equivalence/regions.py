"""Unions of intervals of real numbers: put in order, joined, cut and taken from each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.syntax import Const, Expr

INFINITY: Expr = Const("infty")
MINUS_INFINITY: Expr = syntax.negate(INFINITY)
_MAX_ENDS = 500


@dataclass(frozen=True, slots=True)
class Region:
    """An interval; a point is one whose ends are the same."""

    low: Expr
    high: Expr
    low_closed: bool
    high_closed: bool


REALS = Region(MINUS_INFINITY, INFINITY, False, False)
_Regions = Sequence[Region]


def joined(parts: _Regions) -> list[Region] | None:
    """The union of ``parts`` as disjoint intervals in order; None where their ends cannot be put in order."""
    return _combined([parts], lambda members: members[0])


def common(sets: Sequence[_Regions]) -> list[Region] | None:
    """The intersection of ``sets``; None where their ends cannot be put in order."""
    return _combined(sets, all)


def difference(whole: _Regions, removed: _Regions) -> list[Region] | None:
    """``whole`` without ``removed``; None where their ends cannot be put in order."""
    return _combined([whole, removed], lambda members: members[0] and not members[1])


def _combined(sets: Sequence[_Regions], holds: Callable[[Sequence[bool]], bool]) -> list[Region] | None:
    """The numbers for which ``holds`` is true of their membership in each of ``sets``.

    The ends cut the line into points (odd places) and the open intervals around them (even places).
    """
    ends = _ordered({end for regions in sets for region in regions for end in (region.low, region.high)})
    if ends is None:
        return None
    place = {expr: 2 * index + 1 for index, (_, same) in enumerate(ends) for expr in same}
    place |= {MINUS_INFINITY: -1, INFINITY: 2 * len(ends) + 1}
    spans = [[_span(region, place) for region in regions] for regions in sets]
    inside = [
        holds([any(low <= cell <= high for low, high in of_set) for of_set in spans])
        for cell in range(2 * len(ends) + 1)
    ]
    return _runs(inside, [same[0] for _, same in ends])


def _span(region: Region, place: dict[Expr, int]) -> tuple[int, int]:
    low, high = place[region.low], place[region.high]
    return low + (not region.low_closed), high - (not region.high_closed)


def _runs(inside: Sequence[bool], ends: Sequence[Expr]) -> list[Region]:
    regions: list[Region] = []
    start: int | None = None
    for cell, member in enumerate([*inside, False]):
        if member and start is None:
            start = cell
        elif not member and start is not None:
            regions.append(_region(start, cell - 1, ends))
            start = None
    return regions


def _region(first: int, last: int, ends: Sequence[Expr]) -> Region:
    low = ends[first // 2] if first % 2 else (ends[first // 2 - 1] if first else MINUS_INFINITY)
    high = ends[last // 2] if last % 2 or last // 2 < len(ends) else INFINITY
    return Region(low, high, bool(first % 2), bool(last % 2))


def _ordered(ends: set[Expr]) -> list[tuple[Fraction, list[Expr]]] | None:
    """(value, expressions of that value) in ascending order; None where an end has no known value."""
    if len(ends) > _MAX_ENDS:
        return None
    values: list[tuple[Fraction, Expr]] = []
    for end in ends - {INFINITY, MINUS_INFINITY}:
        value = _value(end)
        if value is None:
            return None
        values.append((value, end))
    groups: list[tuple[Fraction, list[Expr]]] = []
    for value, end in sorted(values, key=lambda pair: pair[0]):
        if groups and exact.decide(groups[-1][1][0], end):
            groups[-1][1].append(end)
        else:
            groups.append((value, [end]))
    return groups


def _value(end: Expr) -> Fraction | None:
    value = exact.rational(end)
    if value is not None or syntax.symbols(end) or "infty" in syntax.constants(end):
        return value
    from bonbench.verifiers.equivalence import numeric  # loads mpmath

    return numeric.approximation(end)
