"""The rows of a data set as it is published: a file on this machine, or a split of the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import UserError
from harness.data.documents import read_json
from harness.data.hub import HubSplit, load_split
from harness.data.lines import Line, read_lines

_HUB = re.compile(r"[\w.-]+/[\w.-]+:\w+")


def published_lines(source: str) -> Iterator[Line]:
    """The rows of a data set, each with its place, in the order of the file. Blank lines are passed over.

    Args:
        source: a file as :func:`harness.data.lines.read_lines` reads it, a ``.json`` file that is one list of objects,
            or ``owner/name:split`` of the hub where there is no such file.

    Raises:
        UserError: for what cannot be read.
    """
    path = Path(source)
    if not path.exists() and _HUB.fullmatch(source):
        name, _, split = source.partition(":")
        rows, unit = load_split(HubSplit(path=name, split=split)), "row"
    elif path.suffix == ".json":
        rows, unit = read_json(path), "entry"
        if not isinstance(rows, list):
            raise UserError(f"{source}: a list of objects is expected; JSON lines must be named .jsonl")
    else:
        yield from (line for line in read_lines(path) if not line.is_blank())
        return
    for number, row in enumerate(rows, 1):
        yield Line(source, unit, number, json.dumps(row, default=str).encode())
