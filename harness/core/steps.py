"""What a step is: a span of characters of a response.

Steps begin at ``Step k:`` markers where the response has any, else at paragraphs (blank lines), else at lines. The
spans tile the response with no gap and no overlap. A separator belongs to the step before it, text before the first
marker to the first step, and no step is blank. (:mod:`harness.core.splitters` has other ways to cut.)
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

_MARKER = re.compile(r"^[ \t]*(?:\*\*|#+[ \t]*)?Step[ \t]+\d+[ \t]*[:.]", re.MULTILINE | re.IGNORECASE)
_BARE = re.compile(_MARKER.pattern + r"[ \t]*", _MARKER.flags)
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")
_LINE = re.compile(r"\n\s*")


def _is_blank(text: str) -> bool:
    return not text.strip()


def step_ends(text: str) -> tuple[int, ...]:
    """End offsets of the steps of ``text``, increasing, the last one ``len(text)``.

    An empty response has one empty step, so that every response has at least one.
    """
    return tiled(text, marked_steps(text) or paragraphs(text) or lines(text))


def marked_steps(text: str) -> list[int]:
    """Where ``Step k:`` markers begin in ``text``, increasing."""
    return [m.start() for m in _MARKER.finditer(text)]


def paragraphs(text: str) -> list[int]:
    """Where paragraphs but the first begin in ``text``, increasing."""
    return [m.end() for m in _PARAGRAPH.finditer(text)]


def lines(text: str) -> list[int]:
    """Where lines but the first begin in ``text``, increasing; blank lines are none."""
    return [m.end() for m in _LINE.finditer(text)]


def tiled(text: str, starts: Iterable[int], is_blank: Callable[[str], bool] = _is_blank) -> tuple[int, ...]:
    """End offsets of the steps that begin at 0 and at ``starts``, increasing offsets into ``text``.

    A blank step is none: a blank beginning belongs to the first step, what is blank after that to the step before it.
    """
    ends: list[int] = []
    position = 0
    for start in [*starts, len(text)]:
        if not is_blank(text[position:start]):
            ends.append(start)
        elif ends:
            ends[-1] = start
        position = start
    return tuple(ends) or (len(text),)


def step_spans(text: str) -> list[tuple[int, int]]:
    """The steps of ``text`` as half-open character spans that tile it."""
    ends = step_ends(text)
    return list(zip((0, *ends[:-1]), ends, strict=True))


def step_of_token(ends: tuple[int, ...], token_ends: tuple[int, ...]) -> list[int]:
    """Index of the step that each token belongs to: the step that holds the token's last character.

    Args:
        ends: step end offsets, as from :func:`step_ends`.
        token_ends: token end offsets, non-decreasing, at most ``ends[-1]``.
    """
    steps: list[int] = []
    for k, end in enumerate(ends):
        steps += [k] * (bisect_right(token_ends, end) - len(steps))
    return steps


def unnumbered(step: str) -> str:
    """A step without the ``Step k:`` marker that it begins with, if it does."""
    match = _BARE.match(step)
    return step[match.end() :].strip() if match else step


def joined_steps(steps: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The text that steps make, a blank line between them, and the offsets at which they end in it.

    The steps are as they are, whatever they look like: nobody need find them again. A blank line belongs to the step
    before it.
    """
    pieces = [f"{step}\n\n" for step in steps[:-1]] + list(steps[-1:])
    return "".join(pieces), tuple(accumulate(map(len, pieces)))
