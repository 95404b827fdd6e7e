"""Whether two answers mean the same.

Structures are compared part by part; leaves by exact arithmetic, and what that leaves open by a symbolic
oracle (a worker process, see ``oracle``). Only the meaning of what is written counts, by the choices of ``Policy``.
"""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.equivalence import conditions, exact, families, piecewise
from bonbench.verifiers.equivalence.angles import equal_angles
from bonbench.verifiers.equivalence.clocks import as_ratio, same_time
from bonbench.verifiers.equivalence.closeness import are_close
from bonbench.verifiers.equivalence.meanings import meanings
from bonbench.verifiers.equivalence.measures import converted, same_amount
from bonbench.verifiers.equivalence.names import named, rebound, same_name
from bonbench.verifiers.equivalence.parts import named_parts, paired
from bonbench.verifiers.equivalence.policy import Policy
from bonbench.verifiers.equivalence.precision import is_written_out, with_constants
from bonbench.verifiers.equivalence.questions import Questions
from bonbench.verifiers.equivalence.regions import Region
from bonbench.verifiers.equivalence.roots_of_unity import equal_constants
from bonbench.verifiers.equivalence.sets import MIRRORED, as_set
from bonbench.verifiers.equivalence.verdict import (
    DIFFERENT,
    MAX_ITEMS,
    SAME,
    Means,
    Verdict,
    all_equal,
    any_equal,
    combined,
    pair_up,
)
from bonbench.verifiers.equivalence.words import same_words
from bonbench.verifiers.oracle.isolated import Leaf, Oracle
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import (
    Answer,
    Based,
    Braced,
    Bracketed,
    Clock,
    Conditioned,
    Intersection,
    Listing,
    Matrix,
    Measure,
    Opaque,
    Phrase,
    Piecewise,
    Relation,
    Residue,
    Scalar,
    Text,
    Union,
)
from bonbench.verifiers.reading.brackets import are_paired
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Const, Expr, Num, Power, Product, Sum, Sym

_MATHS_OPERATORS = frozenset("+-*/^_=<>()[]{}|!,:.")
_DOTS = frozenset(("\\ldots", "\\cdots", "\\vdots", "\\ddots"))
#: Words that only state what the others say.
_STATING = words("set of there is are has have the exists exist equation system")
_SYNONYMS: dict[tuple[str, ...], Answer] = {
    tuple(phrase.split()): answer
    for answer, phrases in (
        (Scalar(Const("infty")), "infinitely many|infinite|infinity|infinitely many solutions"),
        (Scalar(Sym("mathbb(R)")), "all real numbers|all reals|real numbers|all real number|all real x"),
        (Scalar(Sym("mathbb(Z)")), "all integers|integers"),
        (
            Braced(()),
            "no solution|no solutions|no real solution|no real solutions|no real roots|empty set|none",
        ),
    )
    for phrase in phrases.split("|")
}


class Comparison:
    """Comparisons of answers under one policy. The questions that they leave open share one time limit."""

    def __init__(self, policy: Policy, oracle: Oracle) -> None:
        self.policy = policy
        self._questions = Questions(oracle)

    def equal(self, a: Answer, b: Answer) -> Verdict:
        """Whether ``a`` and ``b`` mean the same."""
        if a == b:
            return SAME
        a, b = _resolved(a), _resolved(b)
        if isinstance(a, Conditioned) or isinstance(b, Conditioned):
            return conditions.compare(a, b, self.equal)
        if isinstance(a, Relation) or isinstance(b, Relation):
            return self._relations(a, b)
        if isinstance(a, Piecewise) or isinstance(b, Piecewise):
            return piecewise.compare(a, b, self.equal)
        if isinstance(a, Residue) or isinstance(b, Residue):
            return _by_arithmetic(families.same_sets(a, b) or families.is_least_remainder(a, b))
        if _is_region(a) or _is_region(b):
            return self._regions(a, b)
        if (_is_inequalities(a) or _is_inequalities(b)) and (same := self._same_sets(a, b)).equal:
            return same
        match a, b:
            case (Listing((Scalar() as x, Scalar() as y)), Scalar() as z) | (
                Scalar() as z,
                Listing((Scalar() as x, Scalar() as y)),
            ) if x.expr != y.expr and exact.decide(x.expr, y.expr):
                return self.equal(x, z)  # 1/2 or 0.5
            case ((Scalar() | Listing()), (Scalar() | Listing())) if families.same_sets(a, b):
                return _by_arithmetic(True)
            case Scalar(), Scalar():
                return self._scalars(a, b)
            case Text(text), Text(other_text):
                return Verdict(same_words(text, other_text))
            case Clock(), Clock():
                return Verdict(same_time(a, b))
            case (Clock() as time, other) | (other, Clock() as time):
                ratio = as_ratio(time)
                return DIFFERENT if ratio is None else self.equal(ratio, other)
            case (Measure() as measure, other) | (other, Measure() as measure):
                return Verdict(same_amount(measure, other), Means.ARITHMETIC)
            case Phrase(parts), Phrase(other_parts):
                return self._phrases(parts, other_parts)
            case (Phrase(parts), Scalar(expr, unit)) | (Scalar(expr, unit), Phrase(parts)) if unit:
                return self._phrases(parts, (Scalar(expr), *unit.split()))
            case Based(), Based():
                return Verdict(self._same_numerals(a, b))
            case (Based() as numeral, Scalar(Num(value))) | (Scalar(Num(value)), Based() as numeral):
                return Verdict(self.policy.base == "accept" and numeral.digits == str(value))
            case (Opaque(), (Opaque() | Scalar())) | (Scalar(), Opaque()):
                return self._questions.ask(_raw(a), _raw(b)) if _is_maths(a) and _is_maths(b) else DIFFERENT
        return self._collections(a, b)

    def _same_numerals(self, a: Based, b: Based) -> bool:
        """Whether two numerals have one value; a base that is left open is the other's."""
        if a.base and b.base:
            return int(a.digits, int(a.base)) == int(b.digits, int(b.base))
        return a.digits == b.digits and self.policy.base == "accept"

    def _phrases(self, a: Sequence[str | Answer], b: Sequence[str | Answer]) -> Verdict:
        """Whether the same words stand around equal values."""
        values = [[part for part in side if not isinstance(part, str)] for side in (a, b)]
        shapes = [[part if isinstance(part, str) else "#" for part in side] for side in (a, b)]
        if not same_words(*shapes) or len(values[0]) != len(values[1]):
            return DIFFERENT
        return self._in_order(*values)

    # -- leaves ------------------------------------------------------------------------------------------

    def _scalars(self, a: Scalar, b: Scalar) -> Verdict:
        units = {a.unit.lower(), b.unit.lower()}
        if len(units - {""}) == 2 and self.policy.units == "match":
            return DIFFERENT
        a, b = converted(a, b)
        if isinstance(a.expr, Num) and isinstance(b.expr, Num) and self.policy.rounding == "reject":
            equal = a.expr.value == b.expr.value or is_written_out(a.expr, b.expr)
            return Verdict(equal, Means.ARITHMETIC)
        return any_equal(self._leaves(x, y) for x, y in meanings(a.expr, b.expr, self.policy))

    def _leaves(self, a: Expr, b: Expr) -> Verdict:
        """Whether two expressions have the same value."""
        if a == b:
            return SAME
        equal = exact.decide(a, b)
        if equal is None and equal_angles(a, b):
            equal = True
        if not equal and is_written_out(a, b):
            equal = True
        if not equal and are_close(a, b, self.policy.rounding):
            return Verdict(True, Means.ROUNDED)
        return self._open_question(a, b) if equal is None else _by_arithmetic(equal)

    def _open_question(self, a: Expr, b: Expr) -> Verdict:
        from bonbench.verifiers.equivalence import numeric  # loads mpmath, only for what exact arithmetic leaves open

        exact_a, exact_b = with_constants(a), with_constants(b)
        if (exact_a, exact_b) != (a, b):
            return self._leaves(exact_a, exact_b)
        if numeric.refuted(a, b):
            return DIFFERENT
        constants = equal_constants(a, b)
        if constants is not None:
            return _by_arithmetic(constants)
        whole = numeric.wants_whole(a) or numeric.wants_whole(b)
        return self._questions.ask(syntax.to_lists(a), syntax.to_lists(b), whole)

    # -- sequences and sets ------------------------------------------------------------------------------

    def _collections(self, a: Answer, b: Answer) -> Verdict:
        match a, b:
            case Bracketed(":"), Bracketed(":"):
                return self._in_order(_relative(a.items), _relative(b.items))
            case Bracketed(), Bracketed():
                same_brackets = (a.opening, a.closing) == (b.opening, b.closing)
                if not same_brackets and len(a.items) <= 2:
                    return DIFFERENT
                return self._in_order(a.items, _renamed(b.items, a.items))
            case (Bracketed() as rows, Matrix() as matrix) | (Matrix() as matrix, Bracketed() as rows) if _is_rows(
                rows
            ):
                return self._in_order(rows.items, [Bracketed(rows.opening, r, rows.closing) for r in matrix.rows])
            case (Bracketed() as vector, Matrix() as matrix) | (Matrix() as matrix, Bracketed() as vector):
                entries = _vector(matrix)
                return DIFFERENT if entries is None else self._in_order(vector.items, entries)
            case (Bracketed() as point, Listing() as listing) | (Listing() as listing, Bracketed() as point):
                if self.policy.brackets == "reject":
                    return DIFFERENT
                parts = named_parts(listing.items)
                return self._in_order(point.items, listing.items if parts is None else parts.in_order())
            case Matrix(rows), Matrix(others):
                if len(rows) != len(others):
                    return DIFFERENT
                return all_equal(self._in_order(row, other) for row, other in zip(rows, others, strict=True))
            case Listing(items), Listing(others) if (pairs := paired(items, others)) is not None:
                return self._in_order(*pairs)
            case Listing(items), Listing(others) if self.policy.order == "fixed":
                return self._in_order(items, others)
            case Listing(items), Listing(others):
                return self._in_any_order(items, others)
            case ((Listing() | Braced()), (Listing() | Braced())):
                return self._as_sets(a.items, b.items)
            case (Braced((item,)), other) | (other, Braced((item,))):
                return self.equal(item, other)
        return DIFFERENT

    def _in_order(self, a: Sequence[Answer], b: Sequence[Answer]) -> Verdict:
        return all_equal(map(self._component, a, b)) if len(a) == len(b) else DIFFERENT

    def _component(self, a: Answer, b: Answer) -> Verdict:
        """A parameter runs through all parts of a tuple at once: they are no families of numbers of their own."""
        return self._scalars(a, b) if isinstance(a, Scalar) and isinstance(b, Scalar) else self.equal(a, b)

    def _in_any_order(self, a: Sequence[Answer], b: Sequence[Answer]) -> Verdict:
        return pair_up(a, b, self.equal)

    def _as_sets(self, a: Sequence[Answer], b: Sequence[Answer]) -> Verdict:
        """Whether ``a`` and ``b`` have the same members, repetitions aside."""
        members: tuple[list[Answer], list[Answer]] = ([], [])
        repetitions = []
        for items, distinct in zip((a, b), members, strict=True):
            for item in items[:MAX_ITEMS]:
                repetitions.append(any_equal(self.equal(item, member) for member in distinct))
                if not repetitions[-1].equal:
                    distinct.append(item)
        same = self._in_any_order(*members)
        return combined((*repetitions, same), same.equal)

    def _regions(self, a: Answer, b: Answer) -> Verdict:
        x, y = (as_set(_as_braced(side)) for side in (a, b))
        if x is not None and y is not None:
            return self._same_regions(x, y)
        if isinstance(a, Intersection) and isinstance(b, Intersection):
            return self._in_any_order(a.parts, b.parts)
        if isinstance(a, Union) and isinstance(b, Union):
            return all_equal(self._in_any_order(*parts) for parts in ((a.parts, b.parts), (a.without, b.without)))
        return DIFFERENT

    def _same_regions(self, x: Sequence[Region], y: Sequence[Region]) -> Verdict:
        return pair_up(x, y, self._same_region)

    def _same_region(self, x: Region, y: Region) -> Verdict:
        if (x.low_closed, x.high_closed) != (y.low_closed, y.high_closed):
            return DIFFERENT
        return all_equal(self._scalars(Scalar(e), Scalar(f)) for e, f in ((x.low, y.low), (x.high, y.high)))

    # -- equations and inequalities ----------------------------------------------------------------------

    def _relations(self, a: Answer, b: Answer) -> Verdict:
        """Two answers, one of them at least a relation."""
        if isinstance(a, Relation) and isinstance(b, Relation):
            return self._two_relations(a, b)
        a, b = _identity(a), _identity(b)
        if isinstance(a, Relation):
            return self._relation_and_value(a, b, a, b)
        if isinstance(b, Relation):
            return self._relation_and_value(a, b, b, a)
        return self.equal(a, b)

    def _two_relations(self, a: Relation, b: Relation) -> Verdict:
        x, y = named(a), named(b)
        if set(a.ops) == set(b.ops) == {"="}:
            if x is None or y is None or not same_name(x[0], y[0]):
                return self._equations(a, b)
            return self.equal(x[1], rebound(*y, model=x[0])).or_else(lambda: self._equations(a, b))
        if x is not None and y is not None:
            return self.equal(x[1], y[1])
        regions = as_set(a), as_set(b)
        if regions[0] is not None and regions[1] is not None:
            return self._same_regions(regions[0], regions[1])
        mirrored = Relation(b.items[::-1], tuple(MIRRORED.get(op, op) for op in b.ops[::-1]))
        return any_equal(self._in_order(a.items, other.items) for other in (b, mirrored) if a.ops == other.ops)

    def _relation_and_value(self, a: Answer, b: Answer, relation: Relation, value: Answer) -> Verdict:
        """``x = 5`` and 5, an equation and its solution, an inequality and its interval.

        ``relation`` and ``value`` are ``a`` and ``b`` in one order or the other.
        """
        name_and_value = named(relation)
        if name_and_value is not None:
            a, b = (name_and_value[1] if side is relation else side for side in (a, b))
            return self.equal(a, b).or_else(lambda: self._solves(value, relation))
        return self._solves(value, relation).or_else(lambda: self._same_sets(relation, value))

    def _same_sets(self, a: Answer, b: Answer) -> Verdict:
        x, y = as_set(a), as_set(b)
        return DIFFERENT if x is None or y is None else self._same_regions(x, y)

    def _solves(self, answer: Answer, relation: Relation) -> Verdict:
        """Whether an expression is the missing symbol of an equation, or a list is a chain of ``<`` in its order."""
        items, ops = relation.items, relation.ops
        if isinstance(answer, Listing) and len(set(ops)) == 1 and ops[0] in MIRRORED and len(items) > 2:
            return self._in_order(answer.items, items)
        match answer, relation:
            case Scalar(expr), Relation((Scalar(left), Scalar(right)), ("=",)):
                missing = (syntax.symbols(left) | syntax.symbols(right)) - syntax.symbols(expr)
                if len(missing) != 1 or not syntax.symbols(expr):
                    return DIFFERENT
                symbol = Sym(*missing)
                return self._leaves(syntax.substitute(left, symbol, expr), syntax.substitute(right, symbol, expr))
        return DIFFERENT

    def _equations(self, a: Relation, b: Relation) -> Verdict:
        """Two equations with the same solutions, as far as a constant factor shows."""
        sides = [i.expr for r in (a, b) for i in (r.items[0], r.items[-1]) if isinstance(i, Scalar)]
        if len(sides) != 4 or len(a.items) != 2 or len(b.items) != 2:
            return self._in_order(a.items, b.items) if a.ops == b.ops else DIFFERENT
        x = Sum((sides[0], syntax.negate(sides[1])))
        y = Sum((sides[2], syntax.negate(sides[3])))
        try:
            equal = exact.proportional(exact.canonical(x), exact.canonical(y))
        except ArithmeticError:
            equal = None
        if equal is not None:
            return _by_arithmetic(equal)
        return self._leaves(x, y).or_else(lambda: self._leaves(x, syntax.negate(y)))


def _by_arithmetic(equal: bool) -> Verdict:
    return Verdict(True, Means.ARITHMETIC) if equal else DIFFERENT


def _identity(answer: Answer) -> Answer:
    """The value of an equation that holds whatever its symbols are, such as ``(a+1)(a-1) = a^2-1``."""
    match answer:
        case Relation((Scalar(left), *_, Scalar(right)), ops) if set(ops) == {"="} and exact.decide(left, right):
            return Scalar(right)
    return answer


def _resolved(answer: Answer) -> Answer:
    if isinstance(answer, Text):
        return _SYNONYMS.get(tuple(word for word in answer.words if word not in _STATING), answer)
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
    return isinstance(answer, Union | Intersection) or answer == Scalar(Sym("mathbb(R)"))


def _is_inequalities(answer: Answer) -> bool:
    """Whether ``answer`` lists conditions on numbers, such as ``x > 1, x < 3``."""
    return isinstance(answer, Listing) and isinstance(answer.items[0], Relation) and answer.items[0].ops[0] != "="


def _vector(matrix: Matrix) -> tuple[Answer, ...] | None:
    """Entries of a row or column."""
    if len(matrix.rows) == 1:
        return matrix.rows[0]
    return tuple(row[0] for row in matrix.rows) if all(len(row) == 1 for row in matrix.rows) else None


def _as_braced(answer: Answer) -> Answer:
    """A list of numbers as the set that it is beside a union."""
    is_list = isinstance(answer, Listing) and all(isinstance(item, Scalar) for item in answer.items)
    return Braced(answer.items) if isinstance(answer, Listing) and is_list else answer


def _is_rows(answer: Bracketed) -> bool:
    """Whether ``answer`` may be a matrix as programs write it: ``[[1, 2], [3, 4]]``."""
    brackets = (answer.opening, answer.closing)
    return all(isinstance(item, Bracketed) and (item.opening, item.closing) == brackets for item in answer.items)


def _is_maths(answer: Answer) -> bool:
    """Whether a leaf can be LaTeX maths at all: no words, known operators, brackets in pairs."""
    if not isinstance(answer, Opaque):
        return True
    has_maths_only = all(
        t.kind != "word" and (t.kind != "op" or t.text in _MATHS_OPERATORS) and t.text not in _DOTS
        for t in answer.tokens
    )
    return has_maths_only and are_paired(answer.tokens)


def _raw(answer: Answer) -> Leaf:
    """A leaf for the oracle. LaTeX stands in brackets, since its parser ignores an end that it does not understand."""
    if isinstance(answer, Scalar):
        return syntax.to_lists(answer.expr)
    assert isinstance(answer, Opaque)
    return f"({' '.join(t.text for t in answer.tokens)})"
