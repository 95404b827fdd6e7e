r"""Where a text has formulas: ``\(…\)``, ``\[…\]``, ``$…$``, ``$$…$$`` and environments such as ``align``.

Two dollars are a formula only where they cannot be money: there are spaces inside both of them or inside neither, no
digit follows, and no other dollar is between them. Besides, what begins with a digit or a space has no words, and
nothing ends like a sum that goes on (``$3+$5``). Code is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_FORMULA = 1_000  # characters, delimiters aside; a longer one stays source

_ENVIRONMENTS = r"(?:align|equation|gather|multline|eqnarray)\*?|aligned|gathered|split|cases|array|[pbBvV]?matrix"
_OPENING = re.compile(
    rf"(?P<fence>```)|(?P<code>(?<!`)`[^`\n]+`(?!`))|(?P<pair>\\[\\$])|(?P<open>\\[(\[]|\$\$|\$|\\begin\{{(?P<name>{_ENVIRONMENTS})\}})"
)
# Backslashes go with what they escape. No formula holds its own opening again, so that none of the searches starts over
# what another has read.
_CLOSINGS = {
    r"\(": re.compile(r"((?:[^\\]|\\[^()])+?)\\\)", re.DOTALL),
    r"\[": re.compile(r"((?:[^\\]|\\[^\[\]])+?)\\\]", re.DOTALL),
    "$$": re.compile(r"((?:[^\\$]|\\.|\$(?!\$))+?)\$\$", re.DOTALL),
    "$": re.compile(r"((?:[^\\$]|\\.)+?)\$", re.DOTALL),
}
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_WORDS = re.compile(
    r"\\(?:text\w*|mbox|mathrm|operatorname)\s*\{[^{}]*\}|\\[a-zA-Z]+|\b([a-zA-Z]{3,}|to|or|of|in|at|is)\b"
)
_LATEX = re.compile(r"\\[a-zA-Z%]|\^|_[{\d]")


class Formula(NamedTuple):
    """LaTeX without its delimiters, which ``start`` and ``end`` (offsets in characters) include."""

    start: int
    end: int
    latex: str
    display: bool


def find_formulas(text: str) -> Iterator[Formula]:
    """The formulas of a text, in order; they do not overlap."""
    at = 0
    while opening := _OPENING.search(text, at):
        at = opening.end()
        if opening["fence"]:
            closing = text.find("```", at)
            at = len(text) if closing < 0 else closing + 3
        elif opening["open"] and (formula := _formula(text, opening)):
            at = formula.end
            yield formula


def find_in_answer(text: str) -> list[Formula]:
    """The formulas of an answer. One without delimiters that has LaTeX and no words is a formula as a whole."""
    found = list(find_formulas(text))
    if not found and len(text) <= LONGEST_FORMULA and _LATEX.search(text) and not _has_words(text):
        return [Formula(0, len(text), text, False)]
    return found


def _formula(text: str, opening: re.Match[str]) -> Formula | None:
    start, at = opening.span()
    if name := opening["name"]:
        closing = rf"\end{{{name}}}"
        stop = text.find(closing, at, at + LONGEST_FORMULA)
        if stop < 0 or text.find(opening[0], at, stop) >= 0:
            return None
        end = stop + len(closing)
        return Formula(start, end, text[start:end], True)
    delimiter = opening["open"]
    found = _CLOSINGS[delimiter].match(text, at, at + LONGEST_FORMULA + len(delimiter))
    if not found or not found[1].strip():
        return None
    if delimiter in (r"\(", "$") and _BLANK_LINE.search(found[1]):
        return None
    if delimiter == "$" and not _is_no_money(found[1], text[found.end() : found.end() + 1]):
        return None
    return Formula(start, found.end(), found[1].strip(), delimiter in ("$$", r"\["))


def _is_no_money(between: str, following: str) -> bool:
    """Whether what stands between two dollars is a formula."""
    spaced, last = between[0].isspace(), between.rstrip()[-1]
    if following.isdigit() or spaced != between[-1].isspace() or last in "=+-*/(":
        return False
    return not ((spaced or between[0].isdigit()) and (last == "," or _has_words(between)))


def _has_words(latex: str) -> bool:
    """Whether there are words of a language, other than in a ``\\text``."""
    return any(found[1] for found in _WORDS.finditer(latex))
