"""The rows of a user's file: JSON lines, plain or compressed, or Parquet. Whatever is wrong is one line of text."""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, shortened
from harness.core.files import no_file, said
from harness.core.text import mended_everywhere
from harness.data.documents import not_utf8

Row = dict[str, Any]

_log = logging.getLogger("bonbench.data")
_PARQUET_BATCH = 1024  # rows of a Parquet file in memory at once
_DEEPEST = 100  # lists and objects in each other: far below where Python can write no more what it has read


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
        return not self.content.removeprefix(BOM_UTF8).strip()

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
        reason = shortened(said(error))
        if isinstance(error, _NotParquet) or not (number or is_parquet):
            raise UserError(f"{shown}: {reason}" if is_parquet else f"{shown}: cannot be read: {reason}") from None
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
        UserError: for a folder, a pipe, and where nothing has this path.
    """
    if reason := no_file(path):
        expected = "; a .jsonl, .jsonl.gz or .parquet file is expected" if path.is_dir() else ""
        raise UserError(f"{shown or path}: {reason}{expected}")


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
        row = json.loads(text, object_pairs_hook=_unambiguous)
        if text.count("[") + text.count("{") > _DEEPEST:
            _check_depth(row)
        halved = "\\ud" in text or "\\uD" in text  # else there is no half of a surrogate pair
        whole = mended_everywhere(row) if halved else row
    except UnicodeDecodeError as error:
        raise ValueError(not_utf8(content, error.start)) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None
    except ValueError as error:  # an integer with thousands of digits
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return whole, halved and whole != row


def _unambiguous(pairs: list[tuple[str, Any]]) -> Row:
    """A JSON object.

    Raises:
        ValueError: where a key stands twice: JSON does not say which of its values counts.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shortened(twice, 60)!r} stands twice in an object")
    return row


def _check_depth(value: Any) -> None:
    """Raise :class:`RecursionError` for a value that is nested too deeply."""
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for one in level:
            items = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            inner += [item for item in items if isinstance(item, dict | list)]
        if not inner:
            return
        level = inner
    raise RecursionError


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


def _parquet_rows(path: Path) -> Iterator[bytes]:
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise _NotParquet(f"not a Parquet file: {said(error)}") from None
    with opened as file:
        names = file.schema_arrow.names
        if twice := [name for name in names if names.count(name) > 1][:1]:
            raise _NotParquet(f"two columns are named {twice[0]!r}: give each a name of its own")
        for batch in file.iter_batches(_PARQUET_BATCH, use_threads=False):
            for row in _python_rows(batch):
                yield json.dumps(row, default=_plain).encode() + b"\n"


class _NotParquet(ValueError):
    """The file cannot be read as rows of Parquet at all."""


def _python_rows(batch: Any) -> list[Row]:
    """The rows of an Arrow batch.

    Raises:
        ValueError: for a value that Python has no form for, such as a date in the year 300000.
    """
    try:
        try:
            return batch.to_pylist()  # type: ignore[no-any-return]
        except UnicodeDecodeError:  # Arrow takes a writer's word for it that its strings are UTF-8
            return batch.cast(_with_bytes(batch.schema)).to_pylist()  # type: ignore[no-any-return]
    except (ArithmeticError, LookupError, TypeError) as error:
        raise ValueError(str(error)) from None


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
