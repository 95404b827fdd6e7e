"""What a response thinks and what it answers: the spans before and after the mark that closes its thoughts."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAMES = "think|thinking|thought|thoughts|reasoning"
# <think> <seed:think> [THINK] ◁think▷ <|begin_of_thought|> <|START_THINKING|>, and what closes each
_OPEN = re.compile(rf"[<\[◁](?:\|(?:begin_of_|start_))?(?:[a-z]{{2,8}}:)?(?:{_NAMES})\|?[>\]▷]", re.IGNORECASE)
_CLOSE = re.compile(rf"[<\[◁](?:/|\|(?:end_of_|end_))(?:[a-z]{{2,8}}:)?(?:{_NAMES})\|?[>\]▷]", re.IGNORECASE)

Span = tuple[int, int]


class Thoughts(NamedTuple):
    """Half-open spans of characters; None where there is no such part.

    ``is_cut`` says that the thoughts were opened and never closed: the response was cut in the middle of them.
    """

    reasoning: Span | None
    answer: Span | None
    is_cut: bool = False


def thoughts(text: str) -> Thoughts:
    """The parts of a response.

    What stands after the last ``</think>`` is the answer, what stands before it the reasoning; the opening mark may be
    in the prompt, and is then missing. A text without a mark is all answer. One that begins with a mark which nothing
    closes is all reasoning, and so is one in which that follows the last closing mark. Neither part has the marks, or
    blanks at its beginning. A part of blanks alone is none.

    >>> thoughts("<think>Maybe 12? No.</think>It is 15.")
    Thoughts(reasoning=(7, 20), answer=(28, 37), is_cut=False)
    >>> thoughts("Maybe 12")
    Thoughts(reasoning=None, answer=(0, 8), is_cut=False)
    >>> thoughts("<think>Maybe 12")
    Thoughts(reasoning=(7, 15), answer=None, is_cut=True)
    """
    closed = max(_CLOSE.finditer(text), key=re.Match.end, default=None)
    begin = _first(text, 0, len(text))
    opened = _OPEN.match(text, begin)
    thinks_from = opened.end() if opened else 0
    if closed is not None and not _OPEN.match(text, _first(text, closed.end(), len(text))):
        return Thoughts(_part(text, thinks_from, closed.start()), _part(text, closed.end(), len(text)))
    if closed is not None or opened:
        return Thoughts(_part(text, thinks_from, len(text)), None, is_cut=True)
    return Thoughts(None, (0, len(text)) if text.strip() else None)


def _part(text: str, begin: int, end: int) -> Span | None:
    begin = _first(text, begin, end)
    return (begin, end) if begin < end else None


def _first(text: str, begin: int, end: int) -> int:
    """Where the first character that is not blank stands in ``text[begin:end]``; ``end`` where there is none."""
    return end - len(text[begin:end].lstrip())
