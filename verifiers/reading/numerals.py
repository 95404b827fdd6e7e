"""How numbers are written: grouped digits of several countries, decimal commas, dots for digits that go on, circles."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CIRCLED = re.compile("[①-⑳](?:[\\s,，、]*[①-⑳]){0,40}")
_APOSTROPHES = re.compile(r"(?<![\d.])\d{1,3}(?:['’_]\d{3})+(?![\d'’_])")
_POINTS_AND_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d.,])")
_POINTS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?![\d.,])")
_INDIAN = re.compile(r"(?<![\d.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])")
_TIMES = re.compile(r"(?<=\d)(?:\s*[xX]\s*(?=10\s*(?:\^|\*\*))|\s+[xX]\s+(?=\d))")
_CURRENCY = re.compile(r"(?<![A-Za-z])(?:Rs\.?|INR|USD|EUR|GBP|(?:US|HK|NT|A|C)(?=\s*\\?\$))\s*(?=\\?\$?\s*\d)")
_SIUNITX = re.compile(r"\\(?:num|SI|qty)\s*\{([^{}]*)\}(?:\s*\{([^{}\\]*)\})?")
_ELLIPSIS = re.compile(r"(?<![\d.])(\d*\.)(\d+)\s*(?:\.\.\.+|\\[lc]?dots(?![A-Za-z]))")
_AND_FRACTION = re.compile(r"\s*(-?\d+)\s+and\s+(\d+\s*/\s*\d+|\\frac\s*\{\d+\}\s*\{\d+\})\s*")
_MAX_ELLIPSIS = 60
_GROUPED = re.compile(r"\s*\d{1,3}(?:,\d{3})+\s*")
# The rest may be a unit or a power of ten.
_DECIMAL_COMMA = re.compile(
    r"(\s*[-+]?(?:\\?\$\s*)?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+)(?!\d))((?:(?!\b(?:and|or)\b)[^,;()\[\]=<>])*)"
)
_PERIOD_IN_BRACKETS = re.compile(r"(?<![\d.])(\d+\.)\((\d{1,30})\)")
_DECIMALS_AND_PERIOD = re.compile(r"(\s*-?\d*\.\d+)\((\d{1,30})\)\s*")


def separate_circled(text: str) -> str:
    """Circled digits that stand together as a list: they number statements."""
    return _CIRCLED.sub(lambda m: ", ".join(str(ord(c) - ord("①") + 1) for c in m[0] if "①" <= c <= "⑳"), text)


def plain_numbers(text: str) -> str:
    r"""``text`` with its numbers in plain digits.

    >>> plain_numbers("1.234,56"), plain_numbers("12,34,567"), plain_numbers("1'000'000"), plain_numbers("3.2 x 10^5")
    ('1234.56', '1234567', '1000000', '3.2\\times 10^5')
    >>> plain_numbers("0.1666..."), plain_numbers("3.14159...")
    ('0.1\\overline{6}', '3.14159\\ldots ')
    """
    text = _POINTS_AND_COMMA.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", text)
    text = _POINTS.sub(lambda m: m[0].replace(".", ""), text)
    text = _INDIAN.sub(lambda m: m[0].replace(",", ""), text)
    text = _APOSTROPHES.sub(lambda m: re.sub("['’_]", "", m[0]), text)
    text = _PERIOD_IN_BRACKETS.sub(r"\1\\overline{\2}", text)
    text = _TIMES.sub(r"\\times ", text)
    text = _CURRENCY.sub("", text)
    if "\\" in text:
        text = _SIUNITX.sub(lambda m: m[1] + (rf"\,\mathrm{{{m[2]}}}" if m[2] else ""), text)
    return _ELLIPSIS.sub(_repeating, text)


def other_readings(text: str) -> Iterator[str]:
    """What else the whole of ``text`` may be where commas stand in it: a list for a number, a decimal for a list."""
    if _GROUPED.fullmatch(text) or _INDIAN.fullmatch(text.strip()):
        yield text.replace(",", ", ")
    mixed = _AND_FRACTION.fullmatch(text)
    if mixed is not None:
        yield f"{mixed[1]} {mixed[2]}"
    if _DECIMAL_COMMA.fullmatch(text):
        yield text.replace(",", ".")
    period = _DECIMALS_AND_PERIOD.fullmatch(text)
    if period is not None:
        yield rf"{period[1]}\overline{{{period[2]}}}"


def _repeating(match: re.Match[str]) -> str:
    """``0.1666...`` with its period marked, where the digits written show one."""
    digits = match[2]
    for size in range(1, min(len(digits), _MAX_ELLIPSIS) // 2 + 1):
        period = digits[-size:]
        times = 1
        while digits.endswith(period * (times + 1)):
            times += 1
        if times >= (3 if size == 1 and len(digits) > 2 else 2):
            return rf"{match[1]}{digits[: len(digits) - size * times]}\overline{{{period}}}"
    return rf"{match[1]}{digits}\ldots "
