"""A file that is written row by row and appears at once; what is finished survives a kill, and changes of the input."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.core.errors import UserError
from harness.core.files import said
from harness.data.lines import Row, parse_row
from harness.streams.formats import check_output, publish


def bad_row(line: int, error: str) -> Row:
    """What stands in the place of a bad line, so that the other lines keep their places."""
    return {"line": line, "error": error}


def is_bad(row: Row) -> bool:
    """Whether a row stands in the place of a bad line."""
    return row.keys() == {"line", "error"}


def identity(row: Row) -> str:
    """The identity of a row of the input: a digest of its content."""
    return hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=16).hexdigest()


class Journal:
    """A file of rows that appears when it is complete, in the format that its name says.

    Before that, what became of each row of the input is in a hidden file beside it, under the identity of that row. A
    later call with the same key finds it there, whatever rows have come, gone or changed in between. One process at a
    time holds the hidden file. One that holds nothing is removed.

    Args:
        output: the file.
        key: identifies all that decides what becomes of a row.

    Raises:
        UserError: where the file cannot be written, its name says no format, or another process writes it.
    """

    def __init__(self, output: Path, key: str) -> None:
        check_output(output)
        self._output = output
        self._hidden = output.parent / f".{output.name}.{key[:16]}.partial"
        self._rows = self._hidden.with_suffix(".tmp")
        with _written(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._hidden.open("ab+")
        if not _holds(self._file.fileno(), self._hidden):
            self._file.close()
            raise UserError(f"{output}: another process is writing it; wait for it or name another file")
        self._places, self._end = self._read()
        try:
            with _written(output):
                self._in_order = self._rows.open("wb")
        except UserError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # it tries once more to write what `append` has complained of
            self._in_order.close()
        self._rows.unlink(missing_ok=True)
        if not self._end:
            self._hidden.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._file.close()

    def finished(self, identity: str) -> Row | None:
        """What an earlier call made of the row with this identity; None where none did."""
        place = self._places.get(bytes.fromhex(identity))
        if place is None:
            return None
        self._file.seek(place)
        row: Row = parse_row(self._file.readline())["made"]
        return row

    def append(self, made: Sequence[tuple[str | None, Row]]) -> None:
        """Write the next rows of the output. Each comes with the identity of the row that it was made of, after which
        a kill no longer loses it; None where it is not worth keeping, or kept already.

        Raises:
            UserError: where the disk takes no more.
        """
        kept = [json.dumps({"of": of, "made": row}).encode() + b"\n" for of, row in made if of is not None]
        with _written(self._output):
            self._file.write(b"".join(kept))
            self._file.flush()
            self._end += sum(map(len, kept))
            self._in_order.write(b"".join(json.dumps(row).encode() + b"\n" for _, row in made))
            self._in_order.flush()

    def commit(self, keep: bool = False) -> None:
        """Let the file appear, in the format that its name says; it replaces an earlier one.

        The hidden files of earlier calls are removed.

        Args:
            keep: whether a later call is to find what this one made.

        Raises:
            UserError: where the disk takes no more.
        """
        with _written(self._output):
            self._in_order.close()
            publish(self._rows, self._output)
        if not keep:
            self._end = 0
        for other in self._output.parent.glob(f".{glob.escape(self._output.name)}.*.partial"):
            if other != self._hidden:
                _remove_unheld(other)

    def _read(self) -> tuple[dict[bytes, int], int]:
        """The places of what an earlier call left, and their end. The file is cut where a kill left half a line."""
        places: dict[bytes, int] = {}
        self._file.seek(0)
        end = 0
        for line in self._file:
            try:
                row = parse_row(line)
                of = bytes.fromhex(row["of"])
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith(b"\n") or not isinstance(row.get("made"), dict):
                break
            places[of] = end
            end += len(line)
        self._file.truncate(end)
        return places, end


@contextlib.contextmanager
def _written(output: Path) -> Iterator[None]:
    """Let a :class:`UserError` say that a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {said(error)}") from None


def _holds(file: int, path: Path) -> bool:
    """Whether this process has the lock of an open file, and the file still has its name: its holder before may have
    removed it between the opening and the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _remove_unheld(path: Path) -> None:
    """Remove a hidden file, unless another process is writing it."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if _holds(file.fileno(), path):
            path.unlink()
