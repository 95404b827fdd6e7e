"""Measures: units that are multiples of each other, amounts in several of them, and minutes and seconds of arc."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from bonbench.verifiers.reading.answers import Measure
from bonbench.verifiers.reading.number_words import written
from bonbench.verifiers.reading.tokens import Token

_KINDS: dict[str, dict[str, str]] = {
    "time": {
        "1": "second seconds sec secs s",
        "60": "minute minutes min mins",
        "3600": "hour hours hr hrs h",
        "86400": "day days",
        "604800": "week weeks wk wks",
        "1/1000": "ms millisecond milliseconds",
    },
    "months": {"1": "month months", "12": "year years yr yrs"},
    "length": {
        "1": "m meter meters metre metres",
        "1000": "km kilometer kilometers kilometre kilometres",
        "1/100": "cm centimeter centimeters centimetre centimetres",
        "1/10": "dm",
        "1/1000": "mm millimeter millimeters millimetre millimetres",
        "127/5000": "in inch inches",
        "381/1250": "ft foot feet",
        "1143/1250": "yd yard yards",
        "201168/125": "mi mile miles",
    },
    "mass": {"1": "g gram grams", "1000": "kg kilogram kilograms", "1/1000": "mg milligram milligrams"},
    "weight": {"1": "oz ounce ounces", "16": "lb lbs pound pounds"},
    "volume": {
        "1": "l L liter liters litre litres",
        "1/1000": "ml mL milliliter milliliters millilitre millilitres",
        "1/100": "cl cL",
    },
    "measure": {"1": "cup cups", "2": "pint pints pt", "4": "quart quarts qt", "16": "gallon gallons gal"},
    "money": {"1": "cent cents", "100": "dollar dollars USD usd"},
}
#: Unit -> (kind, size in the unit of the kind that is 1).
SIZES: dict[str, tuple[str, Fraction]] = {
    name: (kind, Fraction(size))
    for kind, sizes in _KINDS.items()
    for size, names in sizes.items()
    for name in names.split()
}


def amount(tokens: Sequence[Token]) -> Measure | None:
    """``2 hours 30 minutes`` and ``5 dollars and 25 cents`` as one amount; None for anything else."""
    parts: list[tuple[Fraction, str]] = []
    position = 0
    while position < len(tokens):
        if parts and (tokens[position].text in (",", "and") or tokens[position].text == "-"):
            position += 1
            continue
        if position + 1 >= len(tokens) or tokens[position].kind != "num" or tokens[position + 1].kind != "word":
            return None
        parts.append((Fraction(tokens[position].text), tokens[position + 1].text))
        position += 2
    if len(parts) < 2 or any(unit not in SIZES for _, unit in parts):
        return None
    kinds = {SIZES[unit][0] for _, unit in parts}
    sizes = [SIZES[unit][1] for _, unit in parts]
    if len(kinds) > 1 or sizes != sorted(set(sizes), reverse=True):
        return None
    total = sum((count * size for (count, _), size in zip(parts, sizes, strict=True)), start=Fraction(0))
    return Measure(kinds.pop(), total, sizes[0], sizes[-1])


def with_marks(tokens: Sequence[Token]) -> list[Token]:
    r"""``tokens`` with ``30^\circ 15' 20''`` as one number of degrees, and ``5' 6"`` as feet and inches."""
    if feet := _feet(tokens):
        return feet
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        arc, end = _arc(tokens, position)
        if arc is not None:
            result += [*written(arc), Token("op", "^"), Token("cmd", r"\circ")]
            position = end
        else:
            result.append(tokens[position])
            position += 1
    return result


def _arc(tokens: Sequence[Token], position: int) -> tuple[Fraction | None, int]:
    """Degrees with minutes or seconds of arc at ``position``, and where they end."""
    total, places = Fraction(0), 0
    for size, marks in ((1, ("°", "degrees")), (60, ("'", "minutes", "minute")), (3600, ("''", "seconds", "second"))):
        if position >= len(tokens) or tokens[position].kind != "num":
            break
        mark, end = _mark(tokens, position + 1)
        if mark in marks:
            total += Fraction(tokens[position].text) / size
            places += 1
            position = end
        elif size == 1:
            break
    return (total, position) if places > 1 else (None, position)


def _mark(tokens: Sequence[Token], position: int) -> tuple[str, int]:
    """The degree sign, the primes or the word at ``position``, and where it ends."""
    index = position
    braced = False
    if index < len(tokens) and tokens[index].text == "^":
        index += 1
        braced = index < len(tokens) and tokens[index].text == "{"
        index += braced
    if index >= len(tokens):
        return "", position
    if tokens[index].text in (r"\circ", "o"):
        mark, index = "°", index + 1
    elif tokens[index].kind == "word":
        return tokens[index].text, index + 1
    else:
        start = index
        while index < len(tokens) and tokens[index].text in ("'", '"') and index - start < 2:
            index += 1
        mark = "".join(t.text for t in tokens[start:index]).replace('"', "''")
    return mark, index + braced


def _feet(tokens: Sequence[Token]) -> list[Token]:
    """``5' 6"`` in words; nothing for other tokens."""
    if len(tokens) not in (5, 4):
        return []
    texts = [t.text for t in tokens]
    if tokens[0].kind != "num" or tokens[2].kind != "num" or texts[1] != "'":
        return []
    if "".join(texts[3:]) not in ("''", '"'):
        return []
    return [tokens[0], Token("word", "feet"), tokens[2], Token("word", "inches")]
