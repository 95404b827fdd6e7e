"""Names of quantities: which side of ``x = 5`` or ``f(x) = …`` is the name, and which names can mean one quantity."""

from __future__ import annotations

from fractions import Fraction

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.reading import syntax
from bonbench.verifiers.reading.answers import Answer, Bracketed, Opaque, Relation, Scalar, Text
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Call, Const, Expr, Num, Power, Product, Sum, Sym

#: Functions and operators whose value at a symbol is named by writing them: ``\log_2 x = 5``, ``\min f = 5``.
_FUNCTIONS = words("abs arg sin cos tan log floor ceil gcd lcm det max min factorial binomial")
_OPERATORS = frozenset("\\" + name for name in words("min max sup inf dim deg arg det Pr lim sum prod int gcd lcm"))
_COUNTED = words("a b c d k m n p q")
_FUNCTION_LETTERS = words("f g h F G H P Q p q T S a b u v")


def named(relation: Relation) -> tuple[Answer, Answer] | None:
    """(name, value) of ``x = 5``, ``f(x) = …``, ``x \\in S``; a chain of equations ends in its value."""
    items, ops = relation.items, relation.ops
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


def same_name(a: Answer, b: Answer) -> bool:
    """Whether two names can stand for one quantity: the same letter, or y and f(x)."""
    match a, b:
        case (Scalar(Sum() as left), Scalar(right)) | (Scalar(left), Scalar(Sum() as right)):
            return exact.decide(left, right) is True
    return a == b or _letter(a) == _letter(b) or {"y"} == {_letter(a), _letter(b)} - {"f", "g", "h"}


def rebound(name: Answer, value: Answer, model: Answer) -> Answer:
    """The value of ``f(t) = …`` with its variable spelled as in the name ``f(x)``, the ``model``."""
    match name, value, model:
        case Scalar(Product((_, Sym(old)))), Scalar(expr), Scalar(Product((_, Sym(new)))):
            return Scalar(syntax.substitute(expr, Sym(old), Sym(new)))
    return value


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
            called = tokens[0].kind in ("let", "cmd") and len(tokens) > 2 and texts[1] == "(" and texts[-1] == ")"
            return called or texts[0] in _OPERATORS
    return False


def _names(expr: Expr) -> bool:
    """Whether an expression can only name a quantity: ``x``, ``f(x)``, ``AB/CD``, ``\\angle ABC``, ``x + y``."""
    match expr:
        case Sym() | Const("e" | "i"):
            return True
        case Call(name, args):
            return name in _FUNCTIONS and all(syntax.symbols(a) for a in args[:1])
        case Product((Sym(letter), _)) if letter.rstrip("'") in _FUNCTION_LETTERS:
            return True
        case Product(factors):
            return all(_names(f) and not isinstance(f, Sum) for f in factors)
        case Power(base, Num(Fraction() as exponent)):
            return exponent == -1 and _names(base)
        case Sum(terms):
            return all(isinstance(t, Sym) or _is_digit_of_sum(t) for t in terms)
    return False


def _is_digit_of_sum(term: Expr) -> bool:
    """Whether ``term`` is of a sum that a contest asks for, as ``100m + n``; x and y make a curve."""
    match term:
        case Product((Num(), Sym(letter))) | Power(Sym(letter), Num()):
            return letter in _COUNTED
    return False


def _is_closed(answer: Answer) -> bool:
    return isinstance(answer, Scalar) and not syntax.symbols(answer.expr)


def _letter(name: Answer) -> str:
    match name:
        case Scalar(Sym(letter)):
            return letter.partition("_")[0].lower()
        case Scalar(Product((Sym(letter), *_))):
            return letter.rstrip("'").lower()
    return "?"
