"""Times of day and dates: "3:45 p.m.", "15:45", "noon", "half past 3", "January 5th"."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from bonbench.verifiers.reading.answers import Clock, Text
from bonbench.verifiers.reading.spelling import MONTHS, words
from bonbench.verifiers.reading.tokens import Token

_HALVES = {"am": "am", "pm": "pm", "noon": "pm", "midnight": "am"}
_DAY_PARTS = {"morning": "am", "afternoon": "pm", "evening": "pm"}
_SKIPPED = words("at exactly around about approximately the in hours o clock")
_DATE_WORDS = words("the of on st nd rd th nth")
_MONTH_NAMES = {name[:3].lower(): name.lower() for name in MONTHS} | {"sept": "september"}
_MAX_HOUR = 24


def clock(tokens: Sequence[Token]) -> Clock | None:
    """The time of day that ``tokens`` say as a whole; None where they say none.

    >>> from bonbench.verifiers.reading.tokens import tokenize
    >>> clock(tokenize("3:45 PM")), clock(tokenize("3:4"))
    (Clock(hour=3, minute=Fraction(45, 1), half='pm'), None)
    """
    parts = [t.text.lower() for t in tokens if t.text not in "{}'."]
    half, spoken, figures = "", False, list[str]()
    for part in parts:
        named = _HALVES.get(part) or _DAY_PARTS.get(part)
        if named:
            if half and half != named:
                return None
            half = named
        elif part == "clock":
            spoken = True
        elif part not in _SKIPPED:
            figures.append(part)
    if not figures:
        alone = [p for p in parts if p in ("noon", "midnight")]
        return Clock(12, Fraction(0), half) if len(alone) == 1 else None
    past = _past(figures)
    if past is not None:
        return Clock(past[0], past[1], half)
    return _numeric(figures, half, spoken)


def _numeric(figures: list[str], half: str, spoken: bool) -> Clock | None:
    """``10:15``, with seconds or without, or a full hour that is marked as one."""
    hour, *rest = figures
    if not (hour.isdecimal() and len(hour) <= 2 and int(hour) <= _MAX_HOUR):
        return _dotted(hour, half) if half and not rest else None
    if not rest:
        return Clock(int(hour), Fraction(0), half) if half or spoken else None
    colons, numbers = rest[::2], rest[1::2]
    if set(colons) != {":"} or len(colons) != len(numbers) or len(numbers) > 1 + bool(half):
        return None
    if not all(n.isdecimal() and len(n) == 2 for n in numbers):
        return None
    seconds = Fraction(int(numbers[1]), 60) if len(numbers) == 2 else Fraction(0)
    return Clock(int(hour), int(numbers[0]) + seconds, half)


def _dotted(figure: str, half: str) -> Clock | None:
    """``3.45 pm``."""
    hour, _, minutes = figure.partition(".")
    if not (hour.isdecimal() and int(hour) <= _MAX_HOUR and len(minutes) == 2 and minutes.isdecimal()):
        return None
    return Clock(int(hour), Fraction(int(minutes)), half)


def _past(figures: list[str]) -> tuple[int, Fraction] | None:
    """Hour and minute of ``half past 3``, ``quarter to 5``, ``10 past 4``."""
    joined = next((i for i, f in enumerate(figures) if f in ("past", "to", "after", "before")), None)
    if joined is None or len(figures) != joined + 2 or not figures[-1].isdecimal() or not 1 <= int(figures[-1]) <= 12:
        return None
    minutes = {"quarter": "15", "half": "30", "\\frac12": "30", "\\frac14": "15"}.get("".join(figures[:joined]))
    if figures[joined] in ("after", "before") and minutes is None:
        return None
    minutes = minutes or ("".join(figures[:joined]) if joined == 1 else "")
    if not minutes.isdecimal() or (figures[joined] == "to" and figures[0].isdecimal()):
        return None
    hour = int(figures[-1])
    if figures[joined] in ("past", "after"):
        return hour, Fraction(int(minutes))
    return (hour - 1 or 12), Fraction(60 - int(minutes))


def month(word: str) -> str:
    """The full name of a month that is written out or cut short, in lower case; "" for other words."""
    low = word.lower()
    full = _MONTH_NAMES.get(low) or _MONTH_NAMES.get(low[:3], "")
    return full if low in _MONTH_NAMES or low == full else ""


def date(tokens: Sequence[Token]) -> Text | None:
    """A date as its month, day and year, in whatever order and form these are written; None where it is no date."""
    parts = [t.text.lower() for t in tokens if t.text not in ",.{}^\\" and t.text.lower() not in _DATE_WORDS]
    months = [month(p) for p in parts if month(p)]
    numbers = [str(int(p)) for p in parts if p.isdecimal()]
    if len(months) != 1 or not numbers or len(parts) != 1 + len(numbers) or len(numbers) > 2:
        return None
    return Text((months[0], *sorted(numbers, key=lambda n: int(n) > 31)))
