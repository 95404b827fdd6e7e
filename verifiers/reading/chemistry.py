"""Chemical formulas: ``H_2O``, ``NaCl``. Their letters are no product, so that their order counts."""

from __future__ import annotations

import re

from bonbench.verifiers.reading.answers import Text
from bonbench.verifiers.reading.spelling import words

_ELEMENTS = words("H He Li Be B C N O F Na Mg Al Si P S Cl K Ca Cr Mn Fe Ni Cu Zn Br Ag Sn I Ba Hg Pb")
# Also two symbols side by side, as in the potential energy MgH.
_DOUBTFUL = words("Mg Be He")
_WRAPPING = re.compile(r"\\(?:mathrm|text|ce|operatorname)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_ATOM = r"[A-Z][a-z]?"
_FORMULA = re.compile(rf"(?:{_ATOM}(?:_?\d{{1,2}}|_\{{\d{{1,2}}\}})?)+")
_PART = re.compile(rf"({_ATOM})(?:_?\{{?(\d+)\}}?)?")


def formula(text: str) -> Text | None:
    """The formula of two elements and more that ``text`` is; None for other texts.

    >>> formula("H_2O") == formula(r"\\mathrm{H2O}"), formula("P_1V_1"), formula("GM")
    (True, None, None)
    """
    bare = _WRAPPING.sub(r"\1", text).strip()
    if _FORMULA.fullmatch(bare) is None:
        return None
    parts = [(m[1], m[2] or "") for m in _PART.finditer(bare)]
    symbols = {symbol for symbol, _ in parts}
    counts = [count for _, count in parts if count]
    shown = bool(counts) or any(len(symbol) == 2 and symbol not in _DOUBTFUL for symbol in symbols)
    if len(symbols) < 2 or not symbols <= _ELEMENTS or not shown or any(count in ("0", "1") for count in counts):
        return None
    return Text(("formula", "".join(symbol + count for symbol, count in parts)))
