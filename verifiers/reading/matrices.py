"""LaTeX environments with rows: a matrix alone, transposed, scaled or in a sum, and a list of cases."""

from __future__ import annotations

from collections.abc import Callable

from bonbench.verifiers.reading import expressions, syntax
from bonbench.verifiers.reading.answers import Answer, Listing, Matrix, Scalar
from bonbench.verifiers.reading.brackets import CLOSING, OPENING, split, trim
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Expr
from bonbench.verifiers.reading.tokens import Token, Unreadable

_MATRICES = words("matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array")
_LISTS = words("cases aligned align gathered")
_BEGIN = "\\begin{"

ParseCell = Callable[[list[Token]], Answer]


def has_environment(tokens: list[Token]) -> bool:
    """Whether an environment begins anywhere in ``tokens``."""
    return any(t.text.startswith(_BEGIN) for t in tokens)


def parse_environment(tokens: list[Token], parse_cell: ParseCell) -> Matrix | Listing | None:
    """The matrix or list that ``tokens``, which have an environment, spell as a whole; None where they do not."""
    start = next(i for i, t in enumerate(tokens) if t.text.startswith(_BEGIN))
    name = tokens[start].text.removeprefix(_BEGIN).removesuffix("}")
    end = next((i for i in range(start, len(tokens)) if tokens[i].text == f"\\end{{{name}}}"), None)
    if end is None or name not in _MATRICES | _LISTS:
        return None
    rows = tuple(
        tuple(parse_cell(cell) for cell in split(row, ("&",)))
        for row in split(tokens[start + 1 : end], ("\\\\",))
        if trim(row)
    )
    before, after = tokens[:start], tokens[end + 1 :]
    if name in _LISTS:
        return None if before or after else Listing(tuple(cell for row in rows for cell in row))
    if len({len(row) for row in rows}) > 1:
        return None
    if before and after and before[-1].text in OPENING and after[0].text in CLOSING:
        before, after = before[:-1], after[1:]
    matrix = Matrix(rows)
    if _is_transposition(after):
        matrix, after = Matrix(tuple(zip(*rows, strict=True))), []
    if after and after[0].text not in ("+", "-"):
        return None
    return _in_sum(_scaled(before, matrix), after, parse_cell)


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
    factor, used = expressions.parse([*factor_tokens, Token("num", "1")])
    if used != len(factor_tokens) + 1:
        return None
    return Matrix(tuple(tuple(_product(factor, cell) for cell in row) for row in matrix.rows))


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
