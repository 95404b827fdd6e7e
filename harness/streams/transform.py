"""A stream of JSON lines in, the same lines with something added out: order kept, bad lines told, a kill survived."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from harness.core.errors import UserError
from harness.data.lines import Row, check_is_file, parse_row, read_lines

_SHOWN_BAD_LINES = 20


@dataclass
class Transformed:
    """What became of the lines. ``bad_lines`` are (line number from 1, what is wrong), in order."""

    lines: int = 0
    resumed: int = 0
    bad_lines: list[tuple[int, str]] = field(default_factory=list)

    @property
    def good(self) -> int:
        return self.lines - len(self.bad_lines)

    def complaint(self) -> str:
        """The bad lines as text, "" without any."""
        if not self.bad_lines:
            return ""
        shown = "; ".join(f"line {number}: {why}" for number, why in self.bad_lines[:_SHOWN_BAD_LINES])
        more = f"; and {n} more" if (n := len(self.bad_lines) - _SHOWN_BAD_LINES) > 0 else ""
        return f"\n{len(self.bad_lines)} bad lines, passed over: {shown}{more}"


def transform(
    source: Path,
    output: Path,
    *,
    key: str,
    check: Callable[[Row], str],
    work: Callable[[Sequence[Row]], Sequence[Row]],
    batch: int,
    seen: Callable[[Row], None] = lambda row: None,
    progress: Callable[[int], None] | None = None,
) -> Transformed:
    """Write every line of a JSONL file (``.gz`` or plain) with what ``work`` makes of it.

    ``batch`` lines are in memory at a time. In the place of a bad line stands ``{"line", "error"}``, so that the rest
    keeps its place. ``output`` appears, whole, when all is done; it may be ``source``. Until then the lines
    are in a hidden file beside it, where the same call goes on after a kill.

    Args:
        key: what besides the source's content decides the output.
        check: what is wrong with a row, "" for a good one.
        work: rows out of good rows, one each, in order.
        seen: told each good row of the output, those of an interrupted call included.
        progress: told how many more lines are done.

    Raises:
        UserError: for a file that cannot be read or written, or without a single good line.
    """
    result = Transformed()
    partial = output.parent / f".{output.name}.{_digest(source, key)}.partial"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        sink = partial.open("ab+")
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}") from error
    with sink:
        try:
            fcntl.flock(sink, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{output}: another process is writing it") from None
        try:
            for row in _finished_rows(sink):
                _note(result, row, seen)
            result.resumed = result.lines
            stream = islice(_read(source, check), result.lines, None)
            if progress is not None:
                progress(result.lines)
            while rows := list(islice(stream, batch)):
                made = iter(work([row for row, bad in rows if not bad]))
                for row, bad in rows:
                    row = row if bad else next(made)
                    sink.write(json.dumps(row).encode() + b"\n")
                    _note(result, row, seen, bad)
                sink.flush()
                if progress is not None:
                    progress(len(rows))
        finally:
            if not result.good:  # nothing worth going on with
                partial.unlink()
    if not result.good:
        first = "; ".join(f"line {number}: {why}" for number, why in result.bad_lines[:1])
        raise UserError(f"{source}: no good line{': ' + first if first else ''}")
    os.replace(partial, output)
    return result


def _note(result: Transformed, row: Row, seen: Callable[[Row], None], bad: bool | None = None) -> None:
    result.lines += 1
    if bad if bad is not None else row.keys() == {"line", "error"}:
        result.bad_lines.append((row["line"], row["error"]))
    else:
        seen(row)


def _finished_rows(sink: IO[bytes]) -> Iterator[Row]:
    """The rows an interrupted call left; a last line without its end is cut off."""
    sink.seek(0)
    end = 0
    for line in sink:
        if not line.endswith(b"\n"):
            break
        end += len(line)
        yield json.loads(line)
    sink.truncate(end)
    sink.seek(0, os.SEEK_END)


def _read(source: Path, check: Callable[[Row], str]) -> Iterator[tuple[Row, bool]]:
    """(row, False) for a good line, ({"line", "error"}, True) for a bad one; blank lines are no lines."""
    for line in read_lines(source):
        if line.is_blank():
            continue
        try:
            row = parse_row(line.content)
            bad = check(row)
        except ValueError as error:
            row, bad = {}, str(error)
        yield ({"line": line.number, "error": bad}, True) if bad else (row, False)


def _digest(source: Path, key: str) -> str:
    check_is_file(source)
    try:
        with source.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{source}: cannot be read: {error.strerror}") from error
    return hashlib.sha256(f"{content}\0{key}".encode()).hexdigest()[:16]
