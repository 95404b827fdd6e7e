"""The first final answer of a text that runs on: base models go on with another problem after they have answered."""

from __future__ import annotations

import re
from bisect import bisect_left

from bonbench.verifiers.reading.chat_tokens import before_other_speaker
from bonbench.verifiers.reading.extraction import MAX_TAIL, explicit, extract

# Where a statement may end: at the end of a line, and after a sentence within it.
_END = re.compile(r"\n|(?<=[^\s\d][.!?])[ \t]+(?=[A-Z\\$*(\[])|(?<=\d[.!?])[ \t]+(?=[A-Z][a-z])|$")


def extract_first(text: str) -> str | None:
    r"""The first answer that ``text`` marks as final; where it marks none, its answer before another question.

    >>> extract_first("The final answer is 18. \n\nProblem:\nWhat is 2+2?\n\nThe final answer is 4.")
    '18'
    >>> extract_first("#### 7\n\nQuestion: …\n#### 9"), extract_first(r"So \boxed{1} and \boxed{2}. Next: \boxed{3}")
    ('7', '1, 2')
    """
    head = text[:MAX_TAIL]
    if explicit(head) is None:
        return extract(before_other_speaker(head) or text)
    ends = [match.start() for match in _END.finditer(head)]
    # A longer part of the text marks an answer where a shorter one does.
    place = bisect_left(ends, True, key=lambda end: explicit(head[:end]) is not None)
    return explicit(head[: ends[min(place, len(ends) - 1)]])


def is_answered(text: str) -> bool:
    """Whether ``text`` marks an answer as final, whatever follows it."""
    return explicit(text[:MAX_TAIL]) is not None
