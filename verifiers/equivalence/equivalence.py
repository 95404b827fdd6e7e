"""Whether two answers mean the same.

Structures are compared part by part; leaves by exact arithmetic, and what that leaves open by a symbolic
oracle (a worker process, see ``isolated``). Only the meaning of what is written counts, by the choices of ``Policy``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.equivalence.policy import Policy
from bonbench.verifiers.equivalence.sets import Region, as_set
from bonbench.verifiers.oracle.isolated import Leaf, Oracle
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import (
    Answer,
    Based,
    Braced,
    Bracketed,
    Listing,
    Matrix,
    Opaque,
    Relation,
    Scalar,
    Text,
    Union,
)
from bonbench.verifiers.reading.brackets import are_paired
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Call, Const, Expr, Num, Power, Product, Sum, Sym

#: Reasons that stand for a comparison that exceeded its limits.
FAILURES = frozenset({"timeout", "memory", "crash"})
_FUNCTION_LETTERS = words("f g h F G H P Q p q T S a b u v")
_PARAMETERS = words("k m n l j")
_MAX_ITEMS = 200

T = TypeVar("T")
_MATHS_OPERATORS = frozenset("+-*/^_=<>()[]{}|!,:.'")
_SYNONYMS: dict[tuple[str, ...], Answer] = {
    tuple(phrase.split()): answer
    for answer, phrases in (
        (Scalar(Const("infty")), "infinitely many|infinite|infinity|infinitely many solutions"),
        (Scalar(Sym("mathbb(R)")), "all real numbers|all reals|real numbers|all real number"),
        (
            Braced(()),
            "no solution|no solutions|no real solution|no real solutions|no solution exists|no real roots|empty set",
        ),
    )
    for phrase in phrases.split("|")
}


@dataclass
class Comparison:
    """One comparison of two answers; afterwards ``reason`` says how it was decided."""

    policy: Policy
    oracle: Oracle
    method: str = "exact"
    failure: str = ""
    _open: dict[str, bool] = field(default_factory=dict)

    def equal(self, a: Answer, b: Answer) -> bool:
        """Whether ``a`` and ``b`` mean the same."""
        if a == b:
            return True
        a, b = _resolved(a), _resolved(b)
        if isinstance(a, Relation) or isinstance(b, Relation):
            return self._relations(a, b)
        if _is_region(a) or _is_region(b):
            return self._regions(a, b)
        match a, b:
            case Scalar(), Scalar():
                return self._scalars(a, b)
            case Text(text), Text(other_text):
                return text == other_text
            case Based(digits, base), Based(others, other_base):
                return digits == others and base == other_base
            case (Based() as numeral, Scalar(Num(value))) | (Scalar(Num(value)), Based() as numeral):
                return self.policy.base == "accept" and numeral.digits == str(value)
            case Bracketed(":"), Bracketed(":"):
                return self._in_order(_relative(a.items), _relative(b.items))
            case Bracketed(), Bracketed():
                same_brackets = (a.opening, a.closing) == (b.opening, b.closing)
                return (same_brackets or len(a.items) > 2) and self._in_order(a.items, _renamed(b.items, a.items))
            case (Bracketed() as vector, Matrix() as matrix) | (Matrix() as matrix, Bracketed() as vector):
                entries = _vector(matrix)
                return entries is not None and self._in_order(vector.items, entries)
            case (Bracketed() as point, Listing() as listing) | (Listing() as listing, Bracketed() as point):
                return self.policy.brackets == "accept" and self._in_order(point.items, listing.items)
            case Matrix(rows), Matrix(others):
                return len(rows) == len(others) and all(self._in_order(r, o) for r, o in zip(rows, others, strict=True))
            case Listing(items), Listing(others) if self.policy.order == "fixed":
                return self._in_order(items, others)
            case Listing(items), Listing(others):
                return self._in_any_order(items, others)
            case ((Listing() | Braced()), (Listing() | Braced())):
                return self._in_any_order(self._distinct(a.items), self._distinct(b.items))
            case (Braced((item,)), other) | (other, Braced((item,))):
                return self.equal(item, other)
            case (Opaque(), (Opaque() | Scalar())) | (Scalar(), Opaque()):
                return _is_maths(a) and _is_maths(b) and self._ask(_raw(a), _raw(b))
        return False

    # -- leaves ------------------------------------------------------------------------------------------

    def _scalars(self, a: Scalar, b: Scalar) -> bool:
        units = {a.unit.lower(), b.unit.lower()}
        if len(units - {""}) == 2 and (self.policy.units == "match" or units == {"am", "pm"}):
            return False
        if isinstance(a.expr, Num) and isinstance(b.expr, Num):
            if self.method == "exact":
                self.method = "arithmetic"
            return a.expr.value == b.expr.value
        return any(self.leaves(x, y) for x, y in self._readings(a.expr, b.expr))

    def _readings(self, a: Expr, b: Expr) -> list[tuple[Expr, Expr]]:
        """What two expressions may mean, given how percent and degree signs may be read."""
        signs = (syntax.constants(a), syntax.constants(b))
        readings = [(a, b)]
        if "percent" in signs[0] | signs[1]:
            both = "percent" in signs[0] and "percent" in signs[1]
            if not both and self.policy.percent != "value":
                unsigned = (_without(a, "percent"), _without(b, "percent"))
                readings = [unsigned] if self.policy.percent == "ignore" else [unsigned, *readings]
        if "degree" in signs[0] | signs[1] and not ("degree" in signs[0] and "degree" in signs[1]):
            bare = [(_without(x, "degree"), _without(y, "degree")) for x, y in readings]
            if self.policy.units == "ignore":
                # The value in radians is meant only where the other side speaks of pi.
                readings = bare + (readings if "pi" in signs[0] | signs[1] else [])
        names = (syntax.symbols(a) - syntax.symbols(b), syntax.symbols(b) - syntax.symbols(a))
        if len(names[0]) == len(names[1]) == 1 and names[0] | names[1] <= _PARAMETERS and all("pi" in s for s in signs):
            # k pi and n pi: the letter that runs over the integers is free.
            (old,), (new,) = names[1], names[0]
            readings = [(x, syntax.substitute(y, Sym(old), Sym(new))) for x, y in readings]
        return readings

    def leaves(self, a: Expr, b: Expr) -> bool:
        """Whether two expressions have the same value."""
        if a == b:
            return True
        verdict = exact.decide(a, b)
        if verdict is None:
            return self._open_question(a, b)
        if verdict and self.method == "exact":
            self.method = "arithmetic"
        return verdict

    def _open_question(self, a: Expr, b: Expr) -> bool:
        from bonbench.verifiers.equivalence import numeric  # loads mpmath, only for what exact arithmetic leaves open

        if numeric.refuted(a, b):
            return False
        whole = numeric.wants_whole(a) or numeric.wants_whole(b)
        return self._ask(syntax.to_lists(a), syntax.to_lists(b), whole)

    def _ask(self, a: Leaf, b: Leaf, whole: bool = False) -> bool:
        if a == b:
            return True
        key = repr((a, b, whole))
        if key not in self._open:
            verdict, reason = self.oracle(a, b, whole) if not self.failure else (False, self.failure)
            if reason in FAILURES:
                self.failure = reason
            elif verdict:
                self.method = "symbolic"
            self._open[key] = verdict
        return self._open[key]

    # -- sequences and sets ------------------------------------------------------------------------------

    def _in_order(self, a: Sequence[Answer], b: Sequence[Answer]) -> bool:
        return len(a) == len(b) and all(self.equal(x, y) for x, y in zip(a, b, strict=True))

    def _in_any_order(self, a: Sequence[Answer], b: Sequence[Answer]) -> bool:
        return _pair_up(a, b, self.equal)

    def _distinct(self, items: Sequence[Answer]) -> list[Answer]:
        """``items`` without repetitions, as the members of a set."""
        members: list[Answer] = []
        for item in items[:_MAX_ITEMS]:
            if not any(self.equal(item, member) for member in members):
                members.append(item)
        return members

    def _regions(self, a: Answer, b: Answer) -> bool:
        x, y = as_set(a), as_set(b)
        if x is None or y is None:
            if isinstance(a, Union) and isinstance(b, Union):
                return self._in_any_order(a.parts, b.parts) and self._in_any_order(a.without, b.without)
            return False
        return self._same_regions(x, y)

    def _same_regions(self, x: Sequence[Region], y: Sequence[Region]) -> bool:
        return _pair_up(x, y, self._same_region)

    def _same_region(self, x: Region, y: Region) -> bool:
        return (
            (x.low_closed, x.high_closed) == (y.low_closed, y.high_closed)
            and self._scalars(Scalar(x.low), Scalar(y.low))
            and self._scalars(Scalar(x.high), Scalar(y.high))
        )

    # -- equations and inequalities ----------------------------------------------------------------------

    def _relations(self, a: Answer, b: Answer) -> bool:
        if not (isinstance(a, Relation) and isinstance(b, Relation)):
            a, b = self._identity(a), self._identity(b)
            if not (isinstance(a, Relation) or isinstance(b, Relation)):
                return self.equal(a, b)
        x, y = _named(a), _named(b)
        if isinstance(a, Relation) and isinstance(b, Relation):
            if set(a.ops) == set(b.ops) == {"="}:
                if x is not None and y is not None and _same_name(x[0], y[0]):
                    return self.equal(x[1], _rebound(y, x[0])) or self._equations(a, b)
                return self._equations(a, b)
            if x is not None and y is not None:
                return self.equal(x[1], y[1])
            regions = as_set(a), as_set(b)
            if regions[0] is not None and regions[1] is not None:
                return self._same_regions(regions[0], regions[1])
            flipped = Relation(b.items[::-1], tuple(_FLIP.get(op, op) for op in b.ops[::-1]))
            return any(a.ops == other.ops and self._in_order(a.items, other.items) for other in (b, flipped))
        if isinstance(a, Relation):
            if x is not None:
                return self.equal(x[1], b) or self._solves(b, a)
            if self._solves(b, a):
                return True
        elif isinstance(b, Relation):
            if y is not None:
                return self.equal(a, y[1]) or self._solves(a, b)
            if self._solves(a, b):
                return True
        first, second = as_set(a), as_set(b)
        return first is not None and second is not None and self._same_regions(first, second)

    def _solves(self, answer: Answer, relation: Relation) -> bool:
        """Whether an expression is the missing symbol of an equation, or a list is a chain of ``<`` in its order."""
        items = relation.items
        if isinstance(answer, Listing) and len(set(relation.ops)) == 1 and relation.ops[0] in _FLIP and len(items) > 2:
            return self._in_order(answer.items, items)
        match answer, relation:
            case Scalar(expr), Relation((Scalar(left), Scalar(right)), ("=",)):
                missing = (syntax.symbols(left) | syntax.symbols(right)) - syntax.symbols(expr)
                if len(missing) != 1 or not syntax.symbols(expr):
                    return False
                symbol = Sym(*missing)
                return self.leaves(syntax.substitute(left, symbol, expr), syntax.substitute(right, symbol, expr))
        return False

    def _identity(self, answer: Answer) -> Answer:
        """The value of an equation that holds whatever its symbols are, such as ``(a+1)(a-1) = a^2-1``."""
        match answer:
            case Relation((Scalar(left), *_, Scalar(right)), ops) if set(ops) == {"="} and exact.decide(left, right):
                return Scalar(right)
        return answer

    def _equations(self, a: Relation, b: Relation) -> bool:
        """Two equations with the same solutions, as far as a constant factor shows."""
        sides = [i.expr for r in (a, b) for i in (r.items[0], r.items[-1]) if isinstance(i, Scalar)]
        if len(sides) != 4 or len(a.items) != 2 or len(b.items) != 2:
            return a.ops == b.ops and self._in_order(a.items, b.items)
        x = Sum((sides[0], syntax.negate(sides[1])))
        y = Sum((sides[2], syntax.negate(sides[3])))
        try:
            verdict = exact.proportional(exact.canonical(x), exact.canonical(y))
        except ArithmeticError:
            verdict = None
        if verdict is None:
            return self.leaves(x, y) or self.leaves(x, syntax.negate(y))
        if verdict and self.method == "exact":
            self.method = "arithmetic"
        return verdict


_FLIP = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}


def _pair_up(a: Sequence[T], b: Sequence[T], same: Callable[[T, T], bool]) -> bool:
    """Whether every item of ``a`` finds an item of ``b`` of its own that is the same."""
    if len(a) != len(b) or len(a) > _MAX_ITEMS:
        return False
    left = list(b)
    for item in a:
        found = next((i for i, other in enumerate(left) if same(item, other)), None)
        if found is None:
            return False
        del left[found]
    return True


def _resolved(answer: Answer) -> Answer:
    if isinstance(answer, Text):
        return _SYNONYMS.get(answer.words, answer)
    if answer == Scalar(Sym("emptyset")):
        return Braced(())
    return answer


def _relative(items: tuple[Answer, ...]) -> list[Answer]:
    """The terms of a ratio as multiples of the first."""
    exprs = [i.expr for i in items if isinstance(i, Scalar)]
    if len(exprs) < len(items):
        return list(items)
    return [Scalar(Product((e, Power(exprs[0], syntax.MINUS_ONE)))) for e in exprs]


def _renamed(items: tuple[Answer, ...], model: tuple[Answer, ...]) -> tuple[Answer, ...]:
    """``items`` with the parameter of ``(1 + 2t, t)`` spelled as in ``model``, where just one symbol differs."""
    ours, theirs = (
        frozenset().union(*(syntax.symbols(i.expr) for i in part if isinstance(i, Scalar))) for part in (items, model)
    )
    old, new = ours - theirs, theirs - ours
    if len(old) != 1 or len(new) != 1:
        return items
    (before,), (after,) = old, new
    return tuple(
        Scalar(syntax.substitute(i.expr, Sym(before), Sym(after)), i.unit) if isinstance(i, Scalar) else i
        for i in items
    )


def _is_region(answer: Answer) -> bool:
    return isinstance(answer, Union) or answer == Scalar(Sym("mathbb(R)"))


def _vector(matrix: Matrix) -> tuple[Answer, ...] | None:
    """Entries of a row or column."""
    if len(matrix.rows) == 1:
        return matrix.rows[0]
    return tuple(row[0] for row in matrix.rows) if all(len(row) == 1 for row in matrix.rows) else None


def _is_maths(answer: Answer) -> bool:
    """Whether a leaf can be LaTeX maths at all: no words, known operators, brackets in pairs."""
    if not isinstance(answer, Opaque):
        return True
    known = all(t.kind != "word" and (t.kind != "op" or t.text in _MATHS_OPERATORS) for t in answer.tokens)
    return known and are_paired(answer.tokens)


def _raw(answer: Answer) -> Leaf:
    """A leaf for the oracle. LaTeX stands in brackets, since its parser ignores an end that it does not understand."""
    if isinstance(answer, Scalar):
        return syntax.to_lists(answer.expr)
    assert isinstance(answer, Opaque)
    return f"({' '.join(t.text for t in answer.tokens)})"


def _without(expr: Expr, name: str) -> Expr:
    """``expr`` with a percent or degree sign dropped, except inside functions, where it has its value."""
    match expr:
        case Const(n) if n == name:
            return syntax.ONE
        case Sum(parts):
            return Sum(tuple(_without(p, name) for p in parts))
        case Product(parts):
            return Product(tuple(_without(p, name) for p in parts))
        case Power(base, exponent):
            return Power(_without(base, name), exponent)
    return expr


# -- names -------------------------------------------------------------------------------------------------


def _named(answer: Answer) -> tuple[Answer, Answer] | None:
    """(name, value) of ``x = 5``, ``f(x) = …``, ``x \\in S``; chains end in their value."""
    if not isinstance(answer, Relation):
        return None
    items, ops = answer.items, answer.ops
    if ops in (("\\in",), ("\\rightarrow",)) and _is_name(items[0]):
        return items[0], items[1]
    if set(ops) != {"="}:
        if ops[-1] == "\\in" and set(ops[:-1]) == {"="}:
            return items[0], items[1]
        return None
    name = next((item for item in items[:-1] if _is_name(item)), None)
    if name is not None:
        return name, items[-1]
    if all(_is_closed(item) for item in items):
        return items[-1], items[-1]
    if len(items) == 2 and _is_name(items[1]) and _is_closed(items[0]):
        return items[1], items[0]
    return None


def _is_name(answer: Answer) -> bool:
    match answer:
        case Text():
            return True
        case Scalar(expr):
            return _names(expr)
        case Bracketed(_, items, _):
            return all(_is_name(item) for item in items)
        case Opaque(tokens):
            texts = [t.text for t in tokens]
            return tokens[0].kind in ("let", "cmd") and len(tokens) > 2 and texts[1] == "(" and texts[-1] == ")"
    return False


def _names(expr: Expr) -> bool:
    """Whether an expression can only name a quantity: ``x``, ``f(x)``, ``AB/CD``, ``\\angle ABC``, ``x + y``."""
    match expr:
        case Sym() | Const("e" | "i"):
            return True
        case Call(name, args):
            return name in ("abs", "sin", "cos", "tan") and all(syntax.symbols(a) for a in args)
        case Product((Sym(letter), _)) if letter.rstrip("'") in _FUNCTION_LETTERS:
            return True
        case Product(factors):
            return all(_names(f) and not isinstance(f, Sum) for f in factors)
        case Power(base, Num(Fraction() as exponent)):
            return exponent == -1 and _names(base)
        case Sum(terms):
            return all(isinstance(t, Sym) for t in terms)
    return False


def _is_closed(answer: Answer) -> bool:
    return isinstance(answer, Scalar) and not syntax.symbols(answer.expr)


def _rebound(named: tuple[Answer, Answer], model: Answer) -> Answer:
    """The value of ``f(t) = …`` with its variable spelled as in the name ``f(x)``."""
    match named, model:
        case (Scalar(Product((_, Sym(old)))), Scalar(value)), Scalar(Product((_, Sym(new)))):
            return Scalar(syntax.substitute(value, Sym(old), Sym(new)))
    return named[1]


def _same_name(a: Answer, b: Answer) -> bool:
    """Whether two names can stand for one quantity: the same letter, or y and f(x)."""
    return a == b or _letter(a) == _letter(b) or {"y"} == {_letter(a), _letter(b)} - {"f", "g", "h"}


def _letter(name: Answer) -> str:
    match name:
        case Scalar(Sym(letter)):
            return letter.partition("_")[0].lower()
        case Scalar(Product((Sym(letter), *_))):
            return letter.rstrip("'").lower()
    return "?"
