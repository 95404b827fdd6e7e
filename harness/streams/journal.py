"""A file that is written row by row and appears at once; what is finished survives a kill."""

from __future__ import annotations

import contextlib
import fcntl
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


class Journal:
    """A file of rows that appears when it is complete, in the format that its name says.

    Before that, the rows are JSON lines in a hidden file beside it. One process at a time holds the hidden file. Its
    name contains the digest, so that a later call with the same digest finds the rows of an earlier call. A hidden file
    without a good row is removed.

    Args:
        output: the file.
        digest: identifies all that the rows depend on.

    Raises:
        UserError: where the file cannot be written, its name says no format, or another process writes it.
    """

    def __init__(self, output: Path, digest: str) -> None:
        check_output(output)
        self._output = output
        self._hidden = output.parent / f".{output.name}.{digest}.partial"
        self._is_worthless = False  # the rows of an earlier call are not read yet
        with _written(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._hidden.open("ab+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = os.path.samestat(os.fstat(self._file.fileno()), self._hidden.stat())
        except OSError:
            is_there = False
        if not is_there:  # locked, or renamed by its holder between the opening and the lock
            self._file.close()
            raise UserError(f"{output}: another process is writing it; wait for it or name another file")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_worthless:
            self._hidden.unlink()
        with contextlib.suppress(OSError):  # it tries once more to write what `append` has complained of
            self._file.close()

    def finished_rows(self) -> Iterator[Row]:
        """The rows that an interrupted call left. Read all of them before the first :meth:`append`.

        The file is cut where a kill left half a line.
        """
        self._file.seek(0)
        end, is_worthless = 0, True
        for line in self._file:
            try:
                row = parse_row(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            end += len(line)
            is_worthless &= is_bad(row)
            yield row
        self._file.truncate(end)
        self._is_worthless = is_worthless

    def append(self, rows: Sequence[Row]) -> None:
        """Write rows. After that, a kill no longer loses them.

        Raises:
            UserError: where the disk takes no more.
        """
        with _written(self._output):
            self._file.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
            self._file.flush()
        self._is_worthless &= all(map(is_bad, rows))

    def commit(self) -> None:
        """Let the file appear, in the format that its name says; it replaces an earlier one.

        Raises:
            UserError: where the disk takes no more. The rows are not lost.
        """
        with _written(self._output):
            publish(self._hidden, self._output)
        self._is_worthless = False


@contextlib.contextmanager
def _written(output: Path) -> Iterator[None]:
    """Let a :class:`UserError` say that a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {said(error)}") from None
