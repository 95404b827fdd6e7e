"""Constants of integration, whose letters are free: ``x^2 + C`` and ``x^2 + c``, ``C_1 e^x + C_2 e^{-x}``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Const, Expr, Power, Product, Sum, Sym

_NUMBERED = re.compile(r"[cCkKA]_[1-4]")
_LETTERS = words("C c K k A C_1 c_1 C_0 c_0 C' const")
_CAPITALS = words("A B C D c d")
_MAX_CONSTANTS = 3


def renamings(a: Expr, b: Expr) -> Iterator[Mapping[str, str]]:
    """Old name -> new name: the ways in which the constants of ``b`` may be those of ``a``."""
    names_a, names_b = syntax.symbols(a), syntax.symbols(b)
    ours, theirs = _numbered(names_a), _numbered(names_b)
    only_a, only_b = sorted(names_a - names_b), sorted(names_b - names_a)
    if len(only_a) == len(only_b) == 1:
        if {*only_a, *only_b} <= _LETTERS and _stands_free(a, only_a[0]) and _stands_free(b, only_b[0]):
            yield {only_b[0]: only_a[0]}
    elif len(ours) == len(theirs) > 1 and names_a - {*ours} == names_b - {*theirs}:
        yield from _assignments(theirs, ours)
    elif (ours == only_a and _CAPITALS.issuperset(only_b)) or (theirs == only_b and _CAPITALS.issuperset(only_a)):
        yield from _assignments(only_b, only_a)


def _numbered(names: frozenset[str]) -> list[str]:
    return sorted(name for name in names if _NUMBERED.fullmatch(name))


def _assignments(old: Sequence[str], new: Sequence[str]) -> Iterator[Mapping[str, str]]:
    if 1 < len(old) == len(new) <= _MAX_CONSTANTS:
        for order in permutations(new):
            yield dict(zip(old, order, strict=True))


def _stands_free(expr: Expr, name: str) -> bool:
    """Whether a symbol is a term of its own, or a factor of an exponential function."""
    match expr:
        case Sum(terms):
            of_it = [term for term in terms if name in syntax.symbols(term)]
            return len(of_it) == 1 and (of_it[0] == Sym(name) or _stands_free(of_it[0], name))
        case Product(factors):
            return Sym(name) in factors and any(isinstance(f, Power) and f.base == Const("e") for f in factors)
    return False
