"""The rows of a user's file: JSON lines, plain or compressed, or Parquet. Whatever is wrong is one line of text."""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, shortened
from harness.core.text import mended_everywhere

Row = dict[str, Any]

_log = logging.getLogger("bonbench.data")
_PARQUET_BATCH = 1024  # rows of a Parquet file in memory at once


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, or a row of a Parquet file as JSON.

    Attributes:
        file: how error messages name the file.
        unit: "line", or "row" in a Parquet file.
        number: counts from 1; blank lines count too.
        content: the bytes, the line's end included.
        halved: the numbers of the file's lines, so far, that have half a character somewhere.
    """

    file: str
    unit: str
    number: int
    content: bytes
    halved: list[int] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The file and the line, as error messages begin."""
        return f"{self.file} {self.unit} {self.number}"

    def is_blank(self) -> bool:
        return not self.content.strip()

    def row(self) -> Row:
        """The JSON object that the line is.

        Raises:
            UserError: naming the file and the line, where it is none.
        """
        try:
            return self.parsed()
        except ValueError as error:
            raise UserError(f"{self.where}: {error}; each line must be one JSON object") from None

    def parsed(self) -> Row:
        """The JSON object that the line is, for whoever goes on after a bad line.

        Raises:
            ValueError: where it is none; the message says what it is.
        """
        row, is_halved = _parsed(self.content)
        if is_halved:
            self.halved.append(self.number)
        return row


def read_rows(path: Path, shown: str = "") -> Iterator[tuple[str, Row]]:
    """The rows of a file, each with its place (the file and the line) for error messages. Blank lines are passed over.

    Args:
        path: a file as :func:`read_lines` reads it.
        shown: how error messages name the file; by default as ``path``.

    Raises:
        UserError: naming the file and the line, for whatever cannot be read.
    """
    for line in read_lines(path, shown):
        if not line.is_blank():
            yield line.where, line.row()


def read_lines(path: Path, shown: str = "") -> Iterator[Line]:
    """The lines of a JSONL file (compressed where its name ends in ``.gz``), or the rows of a ``.parquet`` file.

    A line is not yet parsed: whoever goes on after a bad line calls :meth:`Line.parsed`. A file that is damaged
    half-way gives the lines before the damage, and then the error. How many lines had half a character is said at the
    end.

    Args:
        path: the file.
        shown: how error messages name the file; by default as ``path``.

    Raises:
        UserError: for a file that cannot be opened, or not read to its end.
    """
    shown = shown or str(path)
    check_is_file(path, shown)
    is_parquet = path.suffix == ".parquet"
    unit = "row" if is_parquet else "line"
    number = 0
    halved: list[int] = []
    try:
        for number, content in enumerate(_parquet_rows(path) if is_parquet else _lines(path), 1):
            yield Line(shown, unit, number, content, halved)
    # zlib's error, for damage inside compressed data, is no OSError; Arrow's errors are ValueErrors or OSErrors.
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else shortened(str(error))
        if not number:
            raise UserError(f"{shown}: {'not a Parquet file' if is_parquet else 'cannot be read'}: {reason}") from None
        raise UserError(f"{shown} {unit} {number + 1}: cannot be read: {reason}; is the file complete?") from None
    finally:
        if halved:
            _log.warning(
                "%s: %d %s no whole text, the first is %s %d: half characters (lone surrogates, bytes that are not "
                "UTF-8) are read as U+FFFD",
                shown, len(halved), f"{unit} is" if len(halved) == 1 else f"{unit}s are", unit, halved[0],
            )  # fmt: skip


def check_is_file(path: Path, shown: str = "") -> None:
    """Check that a path is a file; its content is not read.

    Raises:
        UserError: for a folder, and where nothing has this path.
    """
    if path.is_dir():
        raise UserError(f"{shown or path}: is a folder; a .jsonl, .jsonl.gz or .parquet file is expected")
    if not path.exists():
        raise UserError(f"{shown or path}: no such file")


def parse_row(content: bytes) -> Row:
    """The JSON object that a line is, its strings :func:`~harness.core.text.mended`.

    Raises:
        ValueError: where the line is no JSON object; the message says what the line is.
    """
    return _parsed(content)[0]


def _parsed(content: bytes) -> tuple[Row, bool]:
    """The JSON object that a line is, and whether it had half a character somewhere."""
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")  # a file may begin with a byte order mark
        row = json.loads(text)
        halved = "\\ud" in text or "\\uD" in text  # else there is no half of a surrogate pair
        whole = mended_everywhere(row) if halved else row
    except UnicodeDecodeError as error:
        compressed = content.startswith(b"\x1f\x8b")
        hint = " (a compressed file must be named .gz)" if compressed else ""
        raise ValueError(f"not UTF-8 text, from byte {error.start + 1} on{hint}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None
    except ValueError as error:  # an integer with thousands of digits
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return whole, halved and whole != row


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


def _parquet_rows(path: Path) -> Iterator[bytes]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_PARQUET_BATCH, use_threads=False):
            try:
                rows = batch.to_pylist()
            except UnicodeDecodeError:  # Arrow takes a writer's word for it that its strings are UTF-8
                rows = batch.cast(_with_bytes(batch.schema)).to_pylist()
            for row in rows:
                yield json.dumps(row, default=_plain).encode() + b"\n"


def _with_bytes(schema: Any) -> Any:
    """An Arrow schema, or type, with bytes in the place of texts."""
    import pyarrow as pa
    from pyarrow import types

    if isinstance(schema, pa.Schema):
        return pa.schema([field.with_type(_with_bytes(field.type)) for field in schema])
    if types.is_string(schema):
        return pa.binary()
    if types.is_large_string(schema):
        return pa.large_binary()
    if types.is_list(schema):
        return pa.list_(schema.value_field.with_type(_with_bytes(schema.value_type)))
    if types.is_large_list(schema):
        return pa.large_list(schema.value_field.with_type(_with_bytes(schema.value_type)))
    if types.is_struct(schema):
        return pa.struct([field.with_type(_with_bytes(field.type)) for field in schema])
    return schema


def _plain(value: Any) -> str:
    """A value of Parquet that JSON has no form for (bytes, a date, a decimal number) as text."""
    # A byte that is no text becomes half a surrogate pair, and is treated as such.
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)
