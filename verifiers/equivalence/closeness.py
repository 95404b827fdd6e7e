"""Whether two values are equal but for rounding: what ``rounding: gold`` and ``rounding: REL`` accept."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.rounded import Rounded
from bonbench.verifiers.reading.syntax import MINUS_ONE, Call, Expr, Num, Product, Sum


def are_close(a: Expr, b: Expr, rounding: Literal["reject", "gold"] | float) -> bool:
    """Whether two expressions without symbols are equal but for rounding.

    gold: they differ by no more than the rounding of the decimals that are :class:`Rounded`. A number: they differ by
    no more than this share of the larger one.
    """
    if rounding == "reject" or syntax.symbols(a) or syntax.symbols(b):
        return False
    difference = Sum((a, Product((MINUS_ONE, b))))
    if rounding == "gold":
        # The signs of the difference where the decimals are at the ends of the range that rounds to them.
        signs = {_sign(_moved(difference, end)) for end in (-1, 1)} if _has_rounded(difference) else {None}
        return None not in signs and signs not in ({-1}, {1})
    share = Num(Fraction(str(rounding)))
    absolute = [Call("abs", (e,)) for e in (a, b)]
    excess = Sum((Call("abs", (difference,)), Product((MINUS_ONE, share, Call("max", tuple(absolute))))))
    return _sign(excess) in (-1, 0)


def _sign(expr: Expr) -> int | None:
    """-1, 0 or 1; None for what has no real value."""
    value = exact.rational(expr)
    if value is None:
        from bonbench.verifiers.equivalence import numeric  # loads mpmath

        value = numeric.real_value(expr)
    return None if value is None else int(value > 0) - int(value < 0)


def _has_rounded(expr: Expr) -> bool:
    return any(isinstance(part, Rounded) for part in syntax.parts_of(expr))


def _moved(expr: Expr, sign: int) -> Expr:
    """``expr`` with its rounded decimals at one end of their range."""
    if isinstance(expr, Rounded):
        return Num(expr.value + sign * expr.half)
    return syntax.with_parts(expr, lambda part: _moved(part, sign))
