"""Names of files and of the hub's configurations, made of names of generators, which are anybody's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_OTHER = re.compile(r"[^A-Za-z0-9._-]+")


def safe_names(names: Sequence[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A name in plain letters for each of ``names``; no two are one on any file system, and none is hidden on one.

    >>> safe_names(["weak", "Weak", "../x", "problems"], taken=["problems"])
    {'weak': 'weak', 'Weak': 'Weak-2', '../x': 'x', 'problems': 'problems-2'}
    """
    safe: dict[str, str] = {}
    seen = {name.casefold() for name in taken}
    for name in names:
        plain = _OTHER.sub("_", name).strip("._-")[:100] or "generator"
        number, free = 1, plain
        while free.casefold() in seen:
            number += 1
            free = f"{plain}-{number}"
        seen.add(free.casefold())
        safe[name] = free
    return safe
