"""The types of answers: what was written, before anything is compared."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bonbench.verifiers.reading.syntax import Expr
from bonbench.verifiers.reading.tokens import Token


@dataclass(frozen=True, slots=True)
class Scalar:
    """An expression, with the unit written after it ("" without one)."""

    expr: Expr
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Based:
    """A numeral with a base subscript, as in ``4210_{5}``."""

    digits: str
    base: str


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day, as written. ``half`` is am, pm or "". Without it and with two-digit minutes it may be a ratio."""

    hour: int
    minute: Fraction
    half: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """An amount in several units, "2 hours 30 minutes": in the unit of its kind that is 1, with the sizes of the
    largest and the smallest unit that are named."""

    kind: str
    amount: Fraction
    largest: Fraction
    smallest: Fraction


@dataclass(frozen=True, slots=True)
class Text:
    """An answer in words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words with values among them, of which no single value can be made: "all multiples of 5"."""

    parts: tuple[str | Answer, ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """Maths that the parser of expressions does not know (integrals, sums, …), as tokens."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Items without brackets: alternatives, or values in some order."""

    items: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Braced:
    """A set ``\\{…\\}``."""

    items: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Bracketed:
    """Two or more items in round or square brackets: a tuple, a vector, or (two items) an interval.

    With colons for brackets it is a ratio ``1 : 2 : 3``.
    """

    opening: str
    items: tuple[Answer, ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Answer, ...], ...]


@dataclass(frozen=True, slots=True)
class Union:
    """A union of sets; ``without`` are the parts taken away from it."""

    parts: tuple[Answer, ...]
    without: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Intersection:
    """What several sets have in common."""

    parts: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain ``items[0] ops[0] items[1] …`` with operators = < > \\le \\ge \\ne \\in and the like."""

    items: tuple[Answer, ...]
    ops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Residue:
    """Whole numbers that leave one of some remainders: ``x \\equiv 1, 3 \\pmod{4}``; ``name`` is x, where given."""

    remainders: tuple[Scalar, ...]
    modulus: Scalar
    name: Answer | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """``k \\in \\mathbb{Z}``, ``for all real x``, ``C is a constant``.

    ``kind`` is Z, N, N0, Q, R, C, prime, constant, or all.
    """

    names: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Conditioned:
    """A value with remarks on where it holds: domains of its letters, or conditions."""

    value: Answer
    conditions: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Piecewise:
    """A function by cases: (value, condition) pairs. The condition None is "otherwise"."""

    branches: tuple[tuple[Answer, Answer | None], ...]


Answer = (
    Scalar
    | Based
    | Clock
    | Measure
    | Text
    | Phrase
    | Opaque
    | Listing
    | Braced
    | Bracketed
    | Matrix
    | Union
    | Intersection
    | Relation
    | Residue
    | Domain
    | Conditioned
    | Piecewise
)
