"""Letters before brackets that may name a point or count: ``P(3, -4)`` is a point, ``C(5, 2)`` and ``5C2`` a number."""

from __future__ import annotations

import re
from collections.abc import Iterator

_POINT = re.compile(r"\s*[A-Z](?:_\{?\w\}?)?'?\s*(\((?:[^(),;]|\([^()]*\))*[,;](?:[^()]|\([^()]*\))*\))\s*")
_COUNTED = (
    re.compile(r"\s*(?P<letter>[CP])\((?P<n>\d{1,4}),\s*(?P<k>\d{1,4})\)\s*"),
    re.compile(r"\s*(?P<n>\d{1,4})\s?(?P<letter>[CP])\s?(?P<k>\d{1,4})\s*"),
    re.compile(r"\s*(?P<letter>C)_\{?(?P<n>\d{1,4})\}?\s*\^\s*\{?(?P<k>\d{1,4})\}?\s*"),
)


def called(text: str) -> Iterator[str]:
    r"""What else the whole of ``text`` may be, where a capital stands before brackets or between numbers.

    >>> list(called("A(3, -4)")), list(called("7C2"))
    (['(3, -4)'], ['\\binom{7}{2}'])
    """
    point = _POINT.fullmatch(text)
    if point is not None:
        yield point[1]
    for form in _COUNTED:
        counted = form.fullmatch(text)
        if counted is not None:
            yield choices_of(counted["n"], counted["letter"], counted["k"])


def choices_of(n: str, letter: str, k: str) -> str:
    """The number of combinations (C) or permutations (P) of k out of n things, in LaTeX."""
    return rf"\binom{{{n}}}{{{k}}}" if letter == "C" else rf"\frac{{{n}!}}{{({n}-{k})!}}"
