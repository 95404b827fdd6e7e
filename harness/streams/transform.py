"""A file of rows in, the same rows with something added out. Bad lines are reported, and a kill costs little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.data.lines import Row, check_is_file, read_lines
from harness.streams.isolation import Failed, isolated
from harness.streams.journal import Journal, bad_row, identity, is_bad

_SHOWN_BAD_LINES = 20


def silent(lines: int) -> None:
    """Report no progress."""


@dataclass
class Transformed:
    """What became of the lines of a file.

    Attributes:
        lines: the number of lines, without blank lines.
        source: the file.
        resumed: the number of lines that an earlier call had finished.
        bad_lines: (line number from 1, what is wrong), in order.
        counts: how often the good lines have each combination of values in the counted columns, None where a line has
            no such column.
    """

    source: Path = Path()
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
        return f"\n{len(self.bad_lines)} bad lines, passed over: {shown}{more} ({self.source})"

    def add(self, number: int, row: Row, complaint: str, counted: Sequence[str]) -> None:
        """Take a row of the output into account."""
        self.lines += 1
        if complaint:
            self.bad_lines.append((number, complaint))
        if counted and not is_bad(row):
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
    complain: Callable[[Row], str] = lambda _: "",
    is_costly: bool = False,
    progress: Callable[[int], None] = silent,
) -> Transformed:
    """Turn each row of a file into a row of the output.

    :func:`harness.data.lines.read_lines` reads the file, ``batch`` rows at a time, and ``work`` makes the new rows. A
    bad line becomes the row ``{"line", "error"}``, so that the other lines keep their places; so does a line on which
    ``work`` fails. ``output`` appears when it is complete, and it may be ``source``. After a kill, the same call
    continues where the killed call stopped, also where lines were added, taken out or mended in between (see
    :class:`harness.streams.journal.Journal`).

    Args:
        source: the input.
        output: JSON lines, one for each line of ``source``.
        key: what decides what becomes of a row.
        check: what is wrong with a row, "" for a good one.
        work: makes one new row of each good row, in order.
        batch: how many rows ``work`` gets at once.
        counted: columns of the output to count.
        complain: what is wrong with a new row, "" for a good one: its line counts as bad, and the row stays.
        is_costly: whether what was made is kept where lines were bad, for a call after they are mended.
        progress: called with the number of lines finished since the last call.

    Raises:
        UserError: for a file that cannot be read or written, or that has no good line.
        Exception: what ``work`` raises where no line is at fault.
    """
    check_is_file(source)
    result, is_useless = Transformed(source), True
    with Journal(output, key) as journal:
        lines = _checked(source, check)
        while part := list(islice(lines, batch)):
            made = _made(part, work, journal, complain, result)
            journal.append([(of, row) for of, row in made])
            for (number, _), (_, row) in zip(part, made, strict=True):
                result.add(number, row, row["error"] if is_bad(row) else complain(row), counted)
            is_useless &= all(is_bad(row) for _, row in made)
            progress(len(part))
        if is_useless:
            first = "; ".join(f"line {number}: {why}" for number, why in result.bad_lines[:1])
            raise UserError(f"{source}: no good line{': ' + first if first else ''}")
        journal.commit(keep=is_costly and bool(result.bad_lines))
    return result


def _made(
    part: Sequence[tuple[int, Row]],
    work: Callable[[Sequence[Row]], Sequence[Row]],
    journal: Journal,
    complain: Callable[[Row], str],
    result: Transformed,
) -> list[tuple[str | None, Row]]:
    """The new row of each row, and under which identity it is to be kept: None for a bad line, and a row that is."""
    of = [None if is_bad(row) else identity(row) for _, row in part]
    found = [None if id_ is None else journal.finished(id_) for id_ in of]
    result.resumed += sum(row is not None for row in found)
    todo = [row for (_, row), id_, known in zip(part, of, found, strict=True) if id_ is not None and known is None]
    new = iter(isolated(work, todo))
    made: list[tuple[str | None, Row]] = []
    for (number, row), id_, known in zip(part, of, found, strict=True):
        if id_ is None or known is not None:
            made.append((None, row if known is None else known))
            continue
        done = next(new)
        if isinstance(done, Failed):
            done = bad_row(number, done.why)
        made.append((None if is_bad(done) or complain(done) else id_, done))
    return made


def _checked(source: Path, check: Callable[[Row], str]) -> Iterator[tuple[int, Row]]:
    """The rows of a file by line, a :func:`bad_row` in the place of each bad line. Blank lines are passed over."""
    for line in read_lines(source):
        if not line.is_blank():
            try:
                row = line.parsed()
                error = check(row)
            except ValueError as failed:
                row, error = {}, str(failed)
            yield line.number, bad_row(line.number, error) if error else row
