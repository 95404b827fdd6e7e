"""LaTeX environments with rows: a matrix alone, transposed, scaled or in a sum, and determinants."""

from __future__ import annotations

from collections.abc import Callable

from bonbench.verifiers.reading import expressions, syntax
from bonbench.verifiers.reading.answers import Answer, Matrix, Scalar
from bonbench.verifiers.reading.brackets import CLOSING, OPENING, split, trim
from bonbench.verifiers.reading.cases import parse_cases
from bonbench.verifiers.reading.determinants import determinant
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Expr
from bonbench.verifiers.reading.tokens import Token, Unreadable

_MATRICES = words("matrix pmatrix bmatrix Bmatrix smallmatrix array")
_CASES = words("cases dcases rcases aligned align gathered split alignedat eqnarray")
_BEGIN = "\\begin{"

ParseCell = Callable[[list[Token]], Answer]


def has_environment(tokens: list[Token]) -> bool:
    """Whether an environment begins anywhere in ``tokens``."""
    return any(t.text.startswith(_BEGIN) for t in tokens)


def parse_environment(tokens: list[Token], parse_cell: ParseCell) -> Answer | None:
    """The matrix, determinant, function by cases or list of equations that ``tokens`` spell as a whole, else None."""
    start = next(i for i, t in enumerate(tokens) if t.text.startswith(_BEGIN))
    name = tokens[start].text.removeprefix(_BEGIN).removesuffix("}")
    end = next((i for i in range(start, len(tokens)) if tokens[i].text == f"\\end{{{name}}}"), None)
    if end is None:
        return None
    rows = [split(row, ("&",)) for row in split(tokens[start + 1 : end], ("\\\\",)) if trim(row)]
    before, after = tokens[:start], tokens[end + 1 :]
    if name in _CASES or (name in _MATRICES and [t.text for t in before] == ["\\{"] and not after):
        return None if [t for t in before if t.text != "\\{"] or after else parse_cases(rows, parse_cell)
    bars = name == "vmatrix" or (name in _MATRICES and _last(before) == "|" and after and after[0].text == "|")
    if (name not in _MATRICES and not bars) or len({len(row) for row in rows}) > 1:
        return None
    matrix = Matrix(tuple(tuple(parse_cell(cell) for cell in row) for row in rows))
    if bars:
        if name != "vmatrix":
            before, after = before[:-1], after[1:]
        return _determinant(before, matrix) if not after else None
    if before and after and before[-1].text in OPENING and after[0].text in CLOSING:
        before, after = before[:-1], after[1:]
    if _is_transposition(after):
        matrix, after = Matrix(tuple(zip(*matrix.rows, strict=True))), []
    if after and after[0].text not in ("+", "-"):
        return None
    if _last(before) == "\\det":
        return _determinant(before[:-1], matrix) if not after else None
    return _in_sum(_scaled(before, matrix), after, parse_cell)


def _last(tokens: list[Token]) -> str:
    return tokens[-1].text if tokens else ""


def _determinant(factor_tokens: list[Token], matrix: Matrix) -> Scalar | None:
    """The value of a determinant with the factor before it; None where it has none, or is too large."""
    rows = [[cell.expr for cell in row if isinstance(cell, Scalar)] for row in matrix.rows]
    if any(len(row) != len(matrix.rows) for row in rows) or any(len(row) != len(matrix.rows) for row in matrix.rows):
        return None
    value = determinant(rows)
    factor = _factor(factor_tokens)
    if value is None or factor is None:
        return None
    return Scalar(syntax.Product((factor, value)) if factor_tokens else value)


def _is_transposition(tokens: list[Token]) -> bool:
    return (
        bool(tokens)
        and tokens[0].text == "^"
        and [t.text for t in tokens[1:] if t.text not in "{}"]
        in (
            ["T"],
            ["\\top"],
        )
    )


def _scaled(factor_tokens: list[Token], matrix: Matrix) -> Matrix | None:
    """``matrix`` with the factor that stands before it; None where that is no factor."""
    if not factor_tokens:
        return matrix
    factor = _factor(factor_tokens)
    if factor is None:
        return None
    return Matrix(tuple(tuple(_product(factor, cell) for cell in row) for row in matrix.rows))


def _factor(tokens: list[Token]) -> Expr | None:
    """The product that ``tokens`` begin; None where they are no factor."""
    factor, used = expressions.parse([*tokens, Token("num", "1")])
    return factor if used == len(tokens) + 1 else None


def _in_sum(matrix: Matrix | None, tokens: list[Token], parse_cell: ParseCell) -> Matrix | None:
    """``matrix`` plus or minus the matrix of equal shape that ``tokens`` spell after their sign."""
    if matrix is None or not tokens:
        return matrix
    other = parse_environment(tokens[1:], parse_cell) if has_environment(tokens) else None
    if not isinstance(other, Matrix) or list(map(len, other.rows)) != list(map(len, matrix.rows)):
        return None
    sign = syntax.ONE if tokens[0].text == "+" else syntax.MINUS_ONE
    pairs = (zip(a, b, strict=True) for a, b in zip(matrix.rows, other.rows, strict=True))
    return Matrix(tuple(tuple(_sum(a, _product(sign, b)) for a, b in row) for row in pairs))


def _product(factor: Expr, cell: Answer) -> Answer:
    if not isinstance(cell, Scalar):
        raise Unreadable("scaled matrix of structures")
    return Scalar(syntax.Product((factor, cell.expr)), cell.unit)


def _sum(a: Answer, b: Answer) -> Answer:
    if not (isinstance(a, Scalar) and isinstance(b, Scalar)):
        raise Unreadable("sum of structures")
    return Scalar(syntax.Sum((a.expr, b.expr)), a.unit)
