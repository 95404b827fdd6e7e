"""Functions by cases: equal where their values are, on every interval and at every point where their conditions change.

Conditions that are no intervals (remainders, words) are paired with equal conditions of the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.equivalence.regions import INFINITY, MINUS_INFINITY, REALS, Region
from bonbench.verifiers.equivalence.renaming import renamed, substituted, symbols
from bonbench.verifiers.equivalence.sets import as_set
from bonbench.verifiers.equivalence.signs import POSITIVE
from bonbench.verifiers.equivalence.verdict import DIFFERENT, Verdict, all_equal, any_equal, pair_up
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import Answer, Domain, Listing, Piecewise, Relation, Residue, Scalar
from bonbench.verifiers.reading.syntax import Expr, Num, Power, Product, Sum, Sym

Equal = Callable[[Answer, Answer], Verdict]
Branch = tuple[Answer, Answer | None]
#: Value, and the intervals where it holds.
_Part = tuple[Answer, list[Region]]
_MAX_CELLS = 60


def compare(a: Answer, b: Answer, equal: Equal) -> Verdict:
    """Whether two answers, one of them at least a function by cases, are the same function."""
    only_a, only_b = symbols(a) - symbols(b), symbols(b) - symbols(a)
    if len(only_a) == len(only_b) == 1:  # f(t) for f(x)
        b = renamed(b, {next(iter(only_b)): next(iter(only_a))})
    ours, theirs = (x.branches if isinstance(x, Piecewise) else ((x, None),) for x in (a, b))
    names = {name for branch in (*ours, *theirs) for name in _variables(branch[1])}
    left, right = _parts(ours), _parts(theirs)
    if left is not None and right is not None and len(names) == 1:
        return _on_cells(left, right, next(iter(names)), equal)
    if not isinstance(a, Piecewise) or not isinstance(b, Piecewise):
        return DIFFERENT
    return _paired(_spelled_out(ours), _spelled_out(theirs), equal)


# -- conditions on remainders, and others ------------------------------------------------------------------------------


def _paired(ours: Sequence[Branch], theirs: Sequence[Branch], equal: Equal) -> Verdict:
    return pair_up(ours, theirs, lambda x, y: all_equal((_same_condition(x[1], y[1], equal), equal(x[0], y[0]))))


def _same_condition(a: Answer | None, b: Answer | None, equal: Equal) -> Verdict:
    if a is None or b is None:
        return Verdict(a is b)
    if isinstance(a, Domain) or isinstance(b, Domain):
        return Verdict(a == b)
    return equal(a, b) if symbols(a) == symbols(b) else DIFFERENT


def _spelled_out(branches: Sequence[Branch]) -> list[Branch]:
    """``branches`` with "otherwise" replaced by what the other conditions leave, where that is known."""
    others = [condition for _, condition in branches if condition is not None]
    return [(value, _rest(others) if condition is None else condition) for value, condition in branches]


def _rest(conditions: Sequence[Answer]) -> Answer | None:
    """What holds where none of ``conditions`` does; None where that is not known."""
    match conditions:
        case [Domain(names, "Q")]:
            return Domain(names, "irrational")
        case [Relation((left, right), ("=",))]:
            return Relation((left, right), ("\\ne",))
        case [Relation((left, right), ("\\ne",))]:
            return Relation((left, right), ("=",))
        case [Relation((left, right), ("\\in",))]:
            return Relation((left, right), ("\\notin",))
    residues = [c for c in conditions if isinstance(c, Residue)]
    moduli = {exact.rational(c.modulus.expr) for c in residues}
    modulus = next(iter(moduli), None)
    if len(residues) < len(conditions) or len(moduli) != 1 or modulus is None or not 1 < modulus <= _MAX_CELLS:
        return None
    taken = {value % modulus for c in residues for r in c.remainders if (value := exact.rational(r.expr)) is not None}
    left_over = [Scalar(Num(Fraction(k))) for k in range(int(modulus)) if k not in taken]
    first = residues[0]
    return Residue(tuple(left_over), first.modulus, first.name) if left_over else None


# -- conditions on one real variable -----------------------------------------------------------------------------------


def _variables(condition: Answer | None) -> frozenset[str]:
    return frozenset() if condition is None else symbols(condition)


def _parts(branches: Sequence[Branch]) -> list[_Part] | None:
    """Values with the intervals of their conditions; None where a condition is something else.

    "Otherwise", and no condition at all, hold everywhere: what stands before has precedence.
    """
    parts = []
    for value, condition in sorted(branches, key=lambda branch: branch[1] is None):
        regions = [REALS] if condition is None else _regions(condition)
        if regions is None or not all(_is_bounded_rationally(region) for region in regions):
            return None
        parts.append((value, regions))
    return parts


def _regions(condition: Answer) -> list[Region] | None:
    if isinstance(condition, Relation | Listing):
        return as_set(condition)
    return None


def _is_bounded_rationally(region: Region) -> bool:
    return all(
        end in (INFINITY, MINUS_INFINITY) or exact.rational(end) is not None for end in (region.low, region.high)
    )


def _on_cells(left: list[_Part], right: list[_Part], name: str, equal: Equal) -> Verdict:
    ends = {
        value
        for _, regions in (*left, *right)
        for region in regions
        for end in (region.low, region.high)
        if end not in (INFINITY, MINUS_INFINITY) and (value := exact.rational(end)) is not None
    }
    if len(ends) > _MAX_CELLS:
        return DIFFERENT
    points = sorted(ends)
    cells: list[tuple[Fraction, Expr]] = [(point, Num(point)) for point in points]
    cells += [((low + high) / 2, _between(low, high)) for low, high in pairwise(points)]
    if points:
        cells += [(points[0] - 1, _beyond(points[0], -1)), (points[-1] + 1, _beyond(points[-1], 1))]
    else:
        cells = [(Fraction(1), Sym(name))]
    return all_equal(
        _same_value(_value_at(left, sample), _value_at(right, sample), name, spot, equal) for sample, spot in cells
    )


def _same_value(a: Answer | None, b: Answer | None, name: str, spot: Expr, equal: Equal) -> Verdict:
    if a is None or b is None:
        return Verdict(a is b)
    on_cell = substituted(a, name, spot), substituted(b, name, spot)
    return any_equal(equal(x, y) for x, y in ((a, b), on_cell))


def _value_at(parts: Sequence[_Part], sample: Fraction) -> Answer | None:
    return next((value for value, regions in parts if any(_holds(region, sample) for region in regions)), None)


def _holds(region: Region, sample: Fraction) -> bool:
    low, high = exact.rational(region.low), exact.rational(region.high)
    above = low is None or sample > low or (sample == low and region.low_closed)
    below = high is None or sample < high or (sample == high and region.high_closed)
    return above and below


def _beyond(end: Fraction, direction: int) -> Expr:
    """All numbers on one side of ``end``, in terms of a positive symbol."""
    return Sum((Num(end), Product((Num(Fraction(direction)), Sym(POSITIVE)))))


def _between(low: Fraction, high: Fraction) -> Expr:
    """All numbers between two, in terms of a positive symbol."""
    share = Power(Sum((syntax.ONE, Power(Sym(POSITIVE), syntax.MINUS_ONE))), syntax.MINUS_ONE)
    return Sum((Num(low), Product((Num(high - low), share))))
