"""Phrases that mean an operation: "square root of", "less than", "or more", "to the power of"."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token

# What a phrase means, by its place: before, between or after the values that it works on.
_COMPARED = {
    r"\ge": "at least|no less than|not less than|no fewer than|not fewer than|greater than or equal to|"
    "more than or equal to|larger than or equal to",
    r"\le": "at most|no more than|not more than|no greater than|less than or equal to|not exceeding|"
    "smaller than or equal to|fewer than or equal to|up to",
    ">": "more than|greater than|larger than|bigger than|higher than|exceeding|strictly greater than|above",
    "<": "less than|fewer than|smaller than|lower than|strictly less than|below",
}
_COMPARED_AFTER = {
    r"\ge": "or more|or greater|or above|or higher|or larger|and above|and up|or over",
    r"\le": "or less|or fewer|or below|or under|or smaller|or lower|and below",
}
_PREFIXES = {
    "-": "negative|minus|down|negative of|opposite of|additive inverse of",
    "+": "positive|plus|up",
    "2*": "twice|double",
    "3*": "triple|thrice",
    "sqrt": "square root of|root|square root|positive square root of",
    "cbrt": "cube root of|cubic root of|third root of",
    "1/": "reciprocal of|multiplicative inverse of",
    "^2": "square of",
    "^3": "cube of",
    "!": "factorial of",
    "||": "absolute value of|modulus of",
    r"\pm": "plus or minus|plus minus",
}
_INFIXES = {
    "+": "plus|added to|increased by",
    "-": "minus|decreased by|reduced by",
    "*": "times|multiplied by|of",
    "/": "divided by|out of|over",
    "choose": "choose",
    "^": "to the power of|to the power|raised to the power of|raised to the power|raised to",
    "^th": "to the",
    ":": "to",
    r"\pm": "plus or minus|plus minus",
    "root": "root of",
    "": "except for|other than",
}
_POSTFIXES = {"^2": "squared", "^3": "cubed", "!": "factorial", "%": "percent|per cent|percentage points|pct"}

_MERGED = "\u2063"  # joins the words of a phrase; no text that is read has it


def _table(*meanings: dict[str, str]) -> dict[str, str]:
    return {phrase: sign for table in meanings for sign, phrases in table.items() for phrase in phrases.split("|")}


BEFORE, BETWEEN, AFTER = _table(_PREFIXES), _table(_INFIXES), _table(_POSTFIXES)
RELATION, RELATION_AFTER = _table(_COMPARED), _table(_COMPARED_AFTER)
_PHRASES = {tuple(phrase.split()) for table in (BEFORE, BETWEEN, AFTER, RELATION, RELATION_AFTER) for phrase in table}
_LONGEST = max(map(len, _PHRASES))
_FIRST_WORDS = frozenset(phrase[0] for phrase in _PHRASES)
#: Words that are an operation, merged or alone.
OPERATIONS = frozenset(" ".join(phrase) for phrase in _PHRASES) - words("of to over root")


def merged(tokens: Sequence[Token]) -> list[Token]:
    """``tokens`` with one word for every phrase that means an operation, such as "or more"."""
    if not any(t.kind == "word" and t.text.lower() in _FIRST_WORDS for t in tokens):
        return list(tokens)
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        size = next((n for n in range(_LONGEST, 1, -1) if _spoken(tokens[position : position + n]) in _PHRASES), 1)
        text = _MERGED.join(_spoken(tokens[position : position + size])) if size > 1 else tokens[position].text
        result.append(Token("word", text) if size > 1 else tokens[position])
        position += size
    return result


def with_remainders(tokens: Sequence[Token]) -> list[Token]:
    """``7 R 3`` and "7 with a remainder of 3" as "7 remainder 3"."""
    result = _without_links(tokens)
    tokens = result[:]
    for index in range(1, len(tokens) - 1):
        if tokens[index].text in ("R", "r") and tokens[index - 1].kind == tokens[index + 1].kind == "num":
            result[index] = Token("word", "remainder")
    return result


def _without_links(tokens: Sequence[Token]) -> list[Token]:
    """``tokens`` with nothing but "remainder" left of "with a remainder of"."""
    result: list[Token] = []
    for index, token in enumerate(tokens):
        if token.text.lower() == "remainder" and index:
            while result and result[-1].text.lower() in ("with", "a", "and", "the"):
                result.pop()
        if not (token.text.lower() == "of" and result and result[-1].text.lower() == "remainder"):
            result.append(token)
    return result


def spelled(token: Token) -> str:
    """The text of a word as it was before it was merged, in lower case."""
    return token.text.replace(_MERGED, " ").lower()


def _spoken(tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(t.text.lower() if t.kind == "word" else "" for t in tokens)
