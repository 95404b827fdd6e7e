"""Rows with a brace before them: a function by cases, or a system of equations."""

from __future__ import annotations

from collections.abc import Callable

from bonbench.verifiers.reading.answers import Answer, Listing, Piecewise, Text
from bonbench.verifiers.reading.brackets import find, trim
from bonbench.verifiers.reading.conditions import OPENERS, is_otherwise, parse_condition
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token, Unreadable

Parse = Callable[[list[Token]], Answer]

_SIGNS = words("= < > \\le \\ge \\ne \\equiv \\in")


def parse_cases(rows: list[list[list[Token]]], parse: Parse) -> Answer:
    """``rows`` of cells as a function by cases, or as the list of what stands in them.

    Raises:
        Unreadable: where there is nothing in them.
    """
    branches = [_branch(row, parse) for row in rows]
    if len(branches) > 1 and None not in branches:
        return Piecewise(tuple(branch for branch in branches if branch is not None))
    lines = [trim([token for cell in row for token in cell]) for row in rows]
    items = [parse(line) for line in lines if line]
    if not items:
        raise Unreadable("no rows")
    return Listing(tuple(items))


def _branch(row: list[list[Token]], parse: Parse) -> tuple[Answer, Answer | None] | None:
    """(value, condition) of one row; None where it is no value with a condition."""
    value, *others = row
    condition = [token for cell in others for token in cell]
    if not trim(condition):
        cut = find(value, (",", *OPENERS, "otherwise"))
        if cut is None:
            return None
        value, condition = value[:cut], value[cut:]
    value, condition = trim(value), trim(condition)
    if not value or not condition or condition[0].text in _SIGNS or find(value, tuple(_SIGNS)) is not None:
        return None
    if is_otherwise(condition):
        return parse(value), None
    meaning = parse_condition(condition, parse)
    if meaning is None:
        meaning = _in_words(condition)
    return None if meaning is None else (parse(value), meaning)


def _in_words(condition: list[Token]) -> Answer | None:
    if not any(token.kind == "word" for token in condition):
        return None
    return Text(tuple(t.text.lower() for t in condition if t.text.lower() not in OPENERS))
