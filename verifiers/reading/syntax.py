"""Expressions: what a leaf of an answer says, as a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, assert_never

from bonbench.verifiers.reading.spelling import words


@dataclass(frozen=True, slots=True)
class Num:
    """An exact rational number."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Sym:
    """A symbol, with its subscript and accents in its name: ``x``, ``a_37``, ``overline(AB)``."""

    name: str


@dataclass(frozen=True, slots=True)
class Const:
    """``pi``, ``e``, ``i``, ``infty``; ``percent`` (1/100) and ``degree`` (pi/180), whose reading is a policy."""

    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms added up; a difference has the negative of a term."""

    terms: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """Factors multiplied; a quotient has the power -1 of a factor."""

    factors: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """A power; an n-th root has the exponent 1/n."""

    base: Expr
    exponent: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """A function by name; ``log`` has the arguments (x, base)."""

    name: str
    args: tuple[Expr, ...]


Expr = Num | Sym | Const | Sum | Product | Power | Call

ONE = Num(Fraction(1))
MINUS_ONE = Num(Fraction(-1))
HALF = Num(Fraction(1, 2))

#: The values of the constants ``percent`` and ``degree``.
SIGNS: dict[str, Expr] = {"percent": Num(Fraction(1, 100)), "degree": Product((Num(Fraction(1, 180)), Const("pi")))}

#: Functions whose inverse is spelled with `arc`.
TRIGONOMETRIC = words("sin cos tan cot sec csc sinh cosh tanh coth")


def trigonometric(library: Any) -> dict[str, Any]:
    """Name -> function of ``library`` (mpmath, sympy), which spells the inverses with ``a``."""
    functions = {name: getattr(library, name) for name in TRIGONOMETRIC}
    inverses = {"arc" + name: getattr(library, "a" + name) for name in TRIGONOMETRIC}
    return functions | inverses


def negate(expr: Expr) -> Expr:
    """``-expr``; the negative of a number is a number."""
    if isinstance(expr, Num):
        return Num(-expr.value)
    return Product((MINUS_ONE, expr))


def depth(expr: Expr) -> int:
    """Levels of the tree, counted without recursion."""
    level, nodes = 0, [expr]
    while nodes:
        level += 1
        nodes = [part for node in nodes for part in _parts(node)]
    return level


def parts_of(expr: Expr) -> Iterator[Expr]:
    """All expressions in ``expr``, itself included."""
    nodes = [expr]
    while nodes:
        node = nodes.pop()
        yield node
        nodes.extend(_parts(node))


def _parts(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Sum(parts) | Product(parts) | Call(_, parts):
            return parts
        case Power(base, exponent):
            return base, exponent
    return ()


def symbols(expr: Expr) -> frozenset[str]:
    """Names of the symbols in ``expr``."""
    return frozenset(part.name for part in parts_of(expr) if isinstance(part, Sym))


def constants(expr: Expr) -> frozenset[str]:
    """Names of the constants in ``expr``."""
    return frozenset(part.name for part in parts_of(expr) if isinstance(part, Const))


def calls(expr: Expr) -> frozenset[str]:
    """Names of the functions in ``expr``."""
    return frozenset(part.name for part in parts_of(expr) if isinstance(part, Call))


def with_parts(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """``expr`` with ``change`` made to each of its direct parts; what has no parts is itself."""
    match expr:
        case Sum(parts):
            return Sum(tuple(map(change, parts)))
        case Product(parts):
            return Product(tuple(map(change, parts)))
        case Call(name, parts):
            return Call(name, tuple(map(change, parts)))
        case Power(base, exponent):
            return Power(change(base), change(exponent))
    return expr


def substitute(expr: Expr, old: Expr, new: Expr) -> Expr:
    """``expr`` with ``old`` (a symbol or constant) replaced by ``new``."""
    return new if expr == old else with_parts(expr, lambda part: substitute(part, old, new))


def renamed(expr: Expr, names: Mapping[str, str]) -> Expr:
    """``expr`` with all symbols in ``names`` renamed at once."""
    for old in names:
        expr = substitute(expr, Sym(old), Sym(f"once {old}"))
    for old, new in names.items():
        expr = substitute(expr, Sym(f"once {old}"), Sym(new))
    return expr


def to_lists(expr: Expr) -> list[Any]:
    """``expr`` as nested lists of strings, to be sent as JSON: the type's name, then its parts."""
    match expr:
        case Num(value):
            return ["Num", str(value)]
        case Sym(name) | Const(name):
            return [type(expr).__name__, name]
        case Sum(parts) | Product(parts):
            return [type(expr).__name__, *map(to_lists, parts)]
        case Power(base, exponent):
            return ["Power", to_lists(base), to_lists(exponent)]
        case Call(name, args):
            return ["Call", name, *map(to_lists, args)]
    assert_never(expr)
