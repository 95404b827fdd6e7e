"""The last match of a pattern."""

from __future__ import annotations

import re
from collections import deque


def last_match(pattern: re.Pattern[str], text: str, start: int = 0) -> re.Match[str] | None:
    """The last match of ``pattern`` in ``text`` from ``start`` on.

    >>> last_match(re.compile("[0-9]"), "1 and 2")[0]
    '2'
    """
    last = deque(pattern.finditer(text, start), maxlen=1)
    return last[0] if last else None
