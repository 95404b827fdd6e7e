"""What a gold answer says that was rounded: its decimals are any value that rounds to the digits written."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from bonbench.verifiers.reading.answers import Answer, Opaque
from bonbench.verifiers.reading.interpret import interpret
from bonbench.verifiers.reading.syntax import Num

# Digits that repeat for ever are exact.
_DECIMAL = re.compile(r"(?<![\d.])\d*\.\d+(?![\d.…]|\s*\\(?:overline|bar|dot|l?dots|cdots)(?![A-Za-z]))")


@dataclass(frozen=True, slots=True)
class Rounded(Num):
    """A decimal, and ``half`` a unit of its last digit."""

    half: Fraction


@lru_cache(maxsize=4096)
def interpret_rounded(text: str) -> tuple[Answer, ...]:
    """What ``text`` may mean, with its decimals as :class:`Rounded`.

    The text is read twice, once with a digit 5 after its decimals: where the two readings differ, the difference is
    half a unit of the last digit, whatever the notation (``2.3\\cdot 10^4``, ``-0.5``).
    """
    answers = interpret(text).answers
    beyond = interpret(_DECIMAL.sub(r"\g<0>5", text)).answers
    return tuple(map(_marked, answers, beyond)) if len(answers) == len(beyond) else answers


def _marked(part: Any, beyond: Any) -> Any:
    """``part`` with its numbers as ``Rounded`` where those of ``beyond`` are different."""
    if part == beyond or type(part) is not type(beyond) or isinstance(part, Opaque):
        return part
    if isinstance(part, Num):
        return Rounded(part.value, abs(part.value - beyond.value))
    if isinstance(part, tuple):
        return tuple(map(_marked, part, beyond)) if len(part) == len(beyond) else part
    if is_dataclass(part):
        make: Any = type(part)
        return make(*(_marked(getattr(part, f.name), getattr(beyond, f.name)) for f in fields(part)))
    return part
