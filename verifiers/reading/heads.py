"""The values that a text begins with: "about 5 or 7 cars" begins with 5 and 7."""

from __future__ import annotations

import re
from fractions import Fraction

from bonbench.verifiers.reading.formulas import MATHS, inner_maths, is_money

#: A number with its currency or percent sign.
NUMBER_TEXT = r"[-−]?(?:\\?\$\s?)?-?(?:\d+\s(?=\d+/\d))?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?(?:\s?\\?%)?"
_LEAD = re.compile(
    r"(?:[\s*_#>\"“”‘’`:=→]|(?:only|exactly|precisely|approximately|approx|about|around|roughly|simply|just|thus|therefore|then|"
    r"equal\s+to|given\s+by|namely|actually|indeed|clearly|now|also|but|rather|the\s+(?:number|value|set|point|pair|interval|fraction|"
    r"expression|integer|function))(?![A-Za-z])\.?|\\approx|≈|≃)*",
    re.IGNORECASE,
)
_NUMBER = re.compile(rf"{NUMBER_TEXT}(?![A-Za-z0-9_^!²³½⅓⅔¼¾]|\.\d)")
_MARKUP = re.compile(r"[*_`\"”’]*")
_SEPARATOR = re.compile(r"\s*(?:,\s*(?:and\b|or\b)?|;|\band\b|\bor\b|&|∨|\\lor\b)\s*(?=[^\s.])", re.IGNORECASE)
# Another spelling of the value before it: "3/4, or about 0.75".
_ALSO = re.compile(
    r"\s*,?\s*(?:or|i\.e\.,?|that is,?)\s+(?:approximately|about|roughly|equivalently|around|simply|≈|\\approx)\s*",
    re.IGNORECASE,
)
_FRACTION = re.compile(
    r"\s*(-?)(?:\\[dt]?frac\s*\{?(\d{1,9})\}?\s*\{?(\d{1,9})\}?|(\d{1,9})\s*/\s*(\d{1,9})|(\d{0,9}\.?\d{1,15}))\s*(%?)\s*"
)


def leading_values(sentence: str) -> tuple[list[str], str]:
    """(the values at the head of ``sentence``, which has delimited formulas, the rest).

    >>> leading_values("about 5 or 7 cars")
    (['5', '7'], ' cars')
    """
    values: list[str] = []
    position = 0
    while True:
        lead = _LEAD.match(sentence, position)
        assert lead is not None
        value = _value_at(sentence, lead.end())
        if value is None:
            return values, sentence[position:] if values else sentence
        values.append(value[0])
        markup = _MARKUP.match(sentence, value[1])
        assert markup is not None
        rest = end = markup.end()
        also = _ALSO.match(sentence, end)
        if also is not None and (other := _value_at(sentence, also.end())) is not None:
            return values, sentence[other[1] :]
        separator = _SEPARATOR.match(sentence, end)
        if separator is None or _value_after(sentence, separator.end()) is None:
            return _distinct(values), sentence[rest:]
        position = separator.end()


def _value_after(sentence: str, position: int) -> tuple[str, int] | None:
    lead = _LEAD.match(sentence, position)
    assert lead is not None
    return _value_at(sentence, lead.end())


def _value_at(sentence: str, position: int) -> tuple[str, int] | None:
    """(value, end) of the formula or number at ``position``."""
    maths = MATHS.match(sentence, position)
    if maths is not None and not is_money(maths):
        return inner_maths(maths), maths.end()
    number = _NUMBER.match(sentence, position)
    return (number[0], number.end()) if number is not None else None


def _distinct(values: list[str]) -> list[str]:
    """``values`` without those that only spell the first one in another way."""
    first = _fraction(values[0])
    if first is None:
        return values
    return [values[0], *(v for v in values[1:] if (other := _fraction(v)) is None or not _same(first, other))]


def _fraction(value: str) -> Fraction | None:
    match = _FRACTION.fullmatch(value.replace("\\%", "%"))
    if match is None:
        return None
    sign, top, bottom, upper, lower, decimal, percent = match.groups()
    if decimal is None and int(bottom or lower) == 0:
        return None
    size = Fraction(decimal) if decimal else Fraction(int(top or upper), int(bottom or lower))
    return (-size if sign else size) / (100 if percent else 1)


def _same(a: Fraction, b: Fraction) -> bool:
    return abs(a - b) <= abs(a) / 500
