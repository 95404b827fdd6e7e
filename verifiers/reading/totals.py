"""Sums, products, differences and quotients in words: "the sum of 3 and 7"."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.brackets import split, trim
from bonbench.verifiers.reading.tokens import Token

_OPERATORS = {"sum": "+", "product": "*", "difference": "-", "quotient": "/"}
_MAX_VALUES = 20


def with_totals(tokens: list[Token]) -> list[Token]:
    """``the sum of 3 and 7`` as ``(3) + (7)``; other tokens as they are.

    >>> from bonbench.verifiers.reading.tokens import tokenize
    >>> " ".join(t.text for t in with_totals(tokenize("the product of 3, x and 7")))
    '( 3 ) * ( x ) * ( 7 )'
    """
    spoken = [t.text.lower() for t in tokens[:4]]
    start = int(spoken[:1] == ["the"])
    operator = _OPERATORS.get("".join(spoken[start : start + 1]))
    if operator is None or spoken[start + 1 : start + 2] not in (["of"], ["between"]):
        return tokens
    values = [trim(part) for part in split(tokens[start + 2 :], (",", "and"))]
    values = [value for value in values if value]
    is_pair = operator in "+*" or len(values) == 2
    if not 2 <= len(values) <= _MAX_VALUES or not is_pair or any(map(_has_words, values)):
        return tokens
    result: list[Token] = []
    for value in values:
        result += [*([Token("op", operator)] if result else []), Token("op", "("), *value, Token("op", ")")]
    return result


def _has_words(tokens: Sequence[Token]) -> bool:
    return any(t.kind == "word" or t.text in "=<>" for t in tokens)
