"""Abbreviated units, and where letters can be one: after a number, not inside a formula."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bonbench.verifiers.reading.spelling import words

#: Units of one letter. Written in italics, as symbols are, they are units only apart from a plain number: "5 m".
SINGLE = words("m s g h l N V W J K C F A L T H")
_PREFIXED = {
    "m": "k c d m n p", "s": "m n p", "g": "k m", "L": "m c d", "l": "m c d", "N": "k M", "J": "k M G", "W": "k M G m",
    "V": "k M m", "A": "k m",
    "B": "k M G T", "M": "m", "Wb": "m", "Bq": "k M G", "cd": "k", "sr": "m",
    "Pa": "k M G h", "Hz": "k M G", "C": "m n", "F": "n p m", "T": "m", "mol": "m k",
    "cal": "k", "eV": "k M G", "bar": "m", "Wh": "k M", "Ohm": "k M", "ohm": "k M",
}  # fmt: skip
#: Units of more letters; words of four letters and more need no table.
UNITS = words(
    "ft yd mi lb lbs oz hr hrs min mins sec secs kph mph kmh rpm cc ha pts pt hp am pm AM PM mol amu USD usd EUR GBP "
    "INR cents sq in un us cu gal qt psi rad gm sqft th st nd rd Pa Hz cal eV bar atm Wh Ohm ohm dB yr yrs wk wks km/h "
    "Wb Bq cd sr lx lm AU ppm ppb Nm kNm"
) | {prefix + unit for unit, prefixes in _PREFIXED.items() for prefix in prefixes.split()}
# Two symbols as often as a unit where they touch a number: a weight of 2mg.
_NEVER_TOUCHING = words("mg ms as us in un ha pt")
_GAP = re.compile(r"(?:\s|~|\\[,;: ]|\\q?quad)\s*\Z")
_LONGEST_GAP = 12
_JOINING = frozenset({"/", r"\cdot", "*", "^", "{", "}", "-", "("})


def is_apart(text: str, position: int) -> bool:
    """Whether blank space stands before ``position``."""
    return _GAP.search(text[max(0, position - _LONGEST_GAP) : position]) is not None


def begins_unit(tokens: Sequence[tuple[str, str]], letters: str, apart: bool, upright: bool) -> bool:
    """Whether ``letters`` can be a unit after ``tokens`` (kind and text of each).

    ``apart``: blank space stands before them. ``upright``: they are set as text.
    """
    if letters not in SINGLE and letters not in UNITS and letters not in ("\\mu", "\\Omega"):
        return False
    if len(tokens) > 1 and tokens[-1][1] == "(":  # 5 (cm)
        tokens = tokens[:-1]
    if not tokens:
        return False
    if _continues_unit(tokens):
        return True
    kind, text = tokens[-1]
    if not (kind == "num" or text in ("}", ")", "\\pi", "%")):
        return False
    if upright or letters == "\\Omega":
        return True
    if letters in SINGLE or letters == "\\mu":
        return apart and _ends_plain_number(tokens)
    return apart or (kind == "num" and letters not in _NEVER_TOUCHING)


def _continues_unit(tokens: Sequence[tuple[str, str]]) -> bool:
    """Whether ``tokens`` end within a unit that goes on, as in "m / s", "kg \\cdot", "m^{2}"."""
    for kind, text in reversed(tokens[-8:]):
        if kind.startswith("unit") or (kind == "word" and text in UNITS):
            return True
        if text not in _JOINING and not (kind == "num" and text in ("1", "2", "3", "4")):
            return False
    return False


def _ends_plain_number(tokens: Sequence[tuple[str, str]]) -> bool:
    """Whether ``tokens`` end in a number in digits, or in a power of ten, without a symbol beside it."""
    end = len(tokens) - 1
    if tokens[end][1] == "}":
        while end and tokens[end][1] != "{":
            end -= 1
        end -= 1
    elif end and tokens[end - 1][1] in ("^", "_"):
        end -= 1
    elif tokens[end][0] != "num":
        return False
    if tokens[end][1] in ("^", "_"):
        if tokens[end][1] == "_" or tokens[end - 1] != ("num", "10"):
            return False
    elif tokens[end][0] != "num":
        return False
    for kind, text in reversed(tokens[:end]):
        if text in ("=", ",", ";", "\\approx", "(", "<", ">", "\\le", "\\ge", ":") or kind in ("word", "unit", "unit?"):
            return True
        if kind == "let" or text in ("\\sqrt", "\\pi", "\\frac"):
            return False
    return True
