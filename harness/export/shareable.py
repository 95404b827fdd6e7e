"""What others may read of an experiment: no addresses, no places on a machine, nothing that becomes markup."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_PRIVATE = re.compile(r"url|auth|secret|password|credential|header|(^|_)(env|key|token)$|api_?key", re.IGNORECASE)
_ADDRESS = re.compile(r"\w+://\S*")
_PLACE = re.compile(r"~|\.{1,2}/|/|[A-Za-z]:[\\/]")


def shareable(value: Any) -> Any:
    """A part of a configuration as others may read it: a path is its last name, and what may be secret is left out.

    >>> shareable({"model": "/home/me/models/mine", "base_url": "http://10.0.0.1/v1", "template": "a/b {problem}"})
    {'model': 'mine', 'template': 'a/b {problem}'}
    """
    if isinstance(value, dict):
        return {k: shareable(v) for k, v in value.items() if not _PRIVATE.search(str(k))}
    if isinstance(value, list | tuple):
        return [shareable(part) for part in value]
    if not isinstance(value, str):
        return value
    return "…" if _ADDRESS.fullmatch(value) else named(value)


def named(path: str) -> str:
    """The last name of a path that means something on one machine only; a hub id, or any other text, as it is."""
    if not _PLACE.match(path) or "\n" in path:
        return path
    return (PureWindowsPath(path) if "\\" in path else PurePosixPath(path)).name or path


def code(text: str) -> str:
    """A text as code within a line of Markdown, whatever is in it."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
    fence = "`" * (1 + _longest_run(line))
    blank = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{blank}{line}{blank}{fence}" if line else "–"


def block(text: str, language: str) -> str:
    """A text as a block of code of Markdown, whatever is in it."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
