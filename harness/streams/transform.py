"""A file of rows in, the same rows with something added out. Bad lines are reported, and a kill costs little."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.data.lines import Row, check_is_file, read_lines
from harness.streams.journal import Journal, bad_row, is_bad

_SHOWN_BAD_LINES = 20


def silent(lines: int) -> None:
    """Report no progress."""


@dataclass
class Transformed:
    """What became of the lines of a file.

    Attributes:
        lines: the number of lines, without blank lines.
        resumed: the number of lines that an interrupted call had finished.
        bad_lines: (line number from 1, what is wrong), in order.
        counts: how often the good lines have each combination of values in the counted columns, None where a line has
            no such column.
    """

    lines: int = 0
    resumed: int = 0
    bad_lines: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[tuple[Any, ...]] = field(default_factory=Counter)

    @property
    def good(self) -> int:
        return self.lines - len(self.bad_lines)

    def complaint(self) -> str:
        """The bad lines as text; "" where no line is bad."""
        if not self.bad_lines:
            return ""
        shown = "; ".join(f"line {number}: {why}" for number, why in self.bad_lines[:_SHOWN_BAD_LINES])
        more = f"; and {n} more" if (n := len(self.bad_lines) - _SHOWN_BAD_LINES) > 0 else ""
        return f"\n{len(self.bad_lines)} bad lines, passed over: {shown}{more}"

    def add(self, row: Row, counted: Sequence[str]) -> None:
        """Take a row of the output into account."""
        self.lines += 1
        if is_bad(row):
            self.bad_lines.append((row["line"], row["error"]))
        elif counted:
            self.counts[tuple(row.get(column) for column in counted)] += 1


def transform(
    source: Path,
    output: Path,
    *,
    key: str,
    check: Callable[[Row], str],
    work: Callable[[Sequence[Row]], Sequence[Row]],
    batch: int,
    counted: Sequence[str] = (),
    progress: Callable[[int], None] = silent,
) -> Transformed:
    """Turn each row of a file into a row of the output.

    :func:`harness.data.lines.read_lines` reads the file, ``batch`` rows at a time, and ``work`` makes the new rows. A
    bad line becomes the row ``{"line", "error"}``, so that the other lines keep their places. ``output`` appears when
    it is complete, and it may be ``source``. After a kill, the same call continues where the killed call stopped (see
    :class:`harness.streams.journal.Journal`).

    Args:
        source: the input.
        output: JSON lines, one for each line of ``source``.
        key: what decides the output, apart from the content of ``source``.
        check: what is wrong with a row, "" for a good one.
        work: makes one new row of each good row, in order.
        batch: how many rows ``work`` gets at once.
        counted: columns of the output to count.
        progress: called with the number of lines finished since the last call.

    Raises:
        UserError: for a file that cannot be read or written, or that has no good line.
    """
    result = Transformed()
    with Journal(output, _digest(source, key)) as journal:
        for row in journal.finished_rows():
            result.add(row, counted)
        result.resumed = result.lines
        progress(result.resumed)
        rows = islice(_checked(source, check), result.resumed, None)
        while part := list(islice(rows, batch)):
            made = iter(work([row for row in part if not is_bad(row)]))
            part = [row if is_bad(row) else next(made) for row in part]
            journal.append(part)
            for row in part:
                result.add(row, counted)
            progress(len(part))
        if not result.good:
            first = "; ".join(f"line {number}: {why}" for number, why in result.bad_lines[:1])
            raise UserError(f"{source}: no good line{': ' + first if first else ''}")
        journal.commit()
    return result


def _checked(source: Path, check: Callable[[Row], str]) -> Iterator[Row]:
    """The rows of a file, with a :func:`bad_row` in the place of each bad line. Blank lines are passed over."""
    for line in read_lines(source):
        if not line.is_blank():
            try:
                row = line.parsed()
                error = check(row)
            except ValueError as failed:
                row, error = {}, str(failed)
            yield bad_row(line.number, error) if error else row


def _digest(source: Path, key: str) -> str:
    check_is_file(source)
    try:
        with source.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{source}: cannot be read: {error.strerror}") from error
    return hashlib.sha256(f"{content}\0{key}".encode()).hexdigest()[:16]
