"""Lists whose items have names: ``x=1, y=2``, "15 chickens and 20 rabbits". Names, where there are any, pair the items.

Against a list without names, letters that follow each other in the alphabet are taken in that order, other letters as
they are written. Names in words leave such a list its freedom: it does not say whose the values are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bonbench.verifiers.equivalence.words import singular
from bonbench.verifiers.reading.answers import Answer, Relation, Scalar
from bonbench.verifiers.reading.measures import SIZES
from bonbench.verifiers.reading.syntax import Sym
from bonbench.verifiers.reading.units import SINGLE, UNITS


@dataclass(frozen=True, slots=True)
class Parts:
    """Values by name, in the order in which they are written. ``are_letters``: symbols and not words name them."""

    values: dict[str, Answer]
    are_letters: bool

    def in_order(self) -> list[Answer]:
        """The values as a list without names gives them."""
        names = sorted(self.values)
        follow = all(len(n) == 1 for n in names) and ord(names[-1]) - ord(names[0]) == len(names) - 1
        return [self.values[n] for n in names] if follow else list(self.values.values())


def named_parts(items: Sequence[Answer]) -> Parts | None:
    """The items by their names; None unless each has a name of its own."""
    values: dict[str, Answer] = {}
    for item in items:
        name, value = _name_and_value(item)
        if not name or name in values:
            return None
        values[name] = value
    stems = {name.partition("_")[0] for name in values}
    return Parts(values, all(isinstance(i, Relation) for i in items)) if len(stems) > 1 else None


def paired(a: Sequence[Answer], b: Sequence[Answer]) -> tuple[list[Answer], list[Answer]] | None:
    """The values of two lists in the order in which they are compared; None where names do not give one."""
    x, y = named_parts(a), named_parts(b)
    if x is not None and y is not None:
        if set(x.values) == set(y.values):
            return list(x.values.values()), [y.values[name] for name in x.values]
        return None if x.are_letters or y.are_letters else (x.in_order(), y.in_order())
    if x is not None and x.are_letters and not _has_names(b):
        return x.in_order(), list(b)
    if y is not None and y.are_letters and not _has_names(a):
        return list(a), y.in_order()
    return None


def _has_names(items: Sequence[Answer]) -> bool:
    return any(_name_and_value(item)[0] for item in items)


def _name_and_value(item: Answer) -> tuple[str, Answer]:
    match item:
        case Relation((Scalar(Sym(name)), value), ("=",)):
            return name, value
        case Scalar(expr, unit) if unit.isidentifier() or " " in unit:
            known = unit in SIZES or unit in UNITS or unit in SINGLE or not unit.replace(" ", "").isalpha()
            return ("", item) if known else (" ".join(singular(w) for w in unit.lower().split()), Scalar(expr))
    return "", item
