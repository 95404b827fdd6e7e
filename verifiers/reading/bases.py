"""Numerals with their base: ``4210_5``, ``(1A)_{16}``, ``1011 (base 2)``, ``0x1A``, and ``1AF`` without it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bonbench.verifiers.reading.answers import Based
from bonbench.verifiers.reading.tokens import Token

_PREFIXED = re.compile(r"\s*(-?)0([xXbBoO])([0-9A-Fa-f]+)\s*")
_PREFIXES = {"x": 16, "b": 2, "o": 8}
_NAMES = {
    "binary": "2", "ternary": "3", "octal": "8", "decimal": "10", "hexadecimal": "16", "hex": "16", "two": "2",
    "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
    "twelve": "12", "sixteen": "16",
}  # fmt: skip
# Digits with letters among them, which no product is: a one before letters, or digits after them.
_DIGITS = re.compile(r"\s*(?:[01][A-F0-9]*[A-F][A-F0-9]*|[A-F0-9]*[A-F]\d[A-F0-9]*)\s*")


def prefixed(text: str) -> Based | None:
    """``0x1A``, ``0b101``, ``0o17``, and digits whose base is left open."""
    match = _PREFIXED.fullmatch(text)
    if match is not None:
        return _based(match[1], match[3].upper(), str(_PREFIXES[match[2].lower()]))
    if len(text.strip()) > 2 and _DIGITS.fullmatch(text):
        return Based(text.strip(), "")
    return None


def numeral(tokens: Sequence[Token]) -> Based | None:
    """The numeral with its base that ``tokens`` spell; None where they spell none."""
    texts = [t.text for t in tokens if t.text not in "{}()" and t.text not in ("base", "in", "\\", "number")]
    sign = "-" if texts[:1] == ["-"] else ""
    texts = texts[len(sign) :]
    if len(texts) < 2:
        return None
    base = _NAMES.get(texts[-1].lower(), texts[-1])
    subscript = texts[-2] == "_"
    named = any(t.text == "base" for t in tokens) or texts[-1].lower() in ("binary", "octal", "hexadecimal", "hex")
    if not (subscript or named) or re.fullmatch(r"\d{1,2}", base) is None:
        return None
    digits = "".join(texts[: -2 if subscript else -1])
    return _based(sign, digits.upper(), base)


def _based(sign: str, digits: str, base: str) -> Based | None:
    valid = re.fullmatch(r"[\dA-Z]+", digits) is not None and 2 <= int(base) <= 36
    if not valid or any(int(digit, 36) >= int(base) for digit in digits):
        return None
    return Based(sign + (digits.lstrip("0") or "0"), str(int(base)))
