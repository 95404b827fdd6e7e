"""The formats of a file of rows that is written: its name says which. Without a suffix it is JSON lines.

CSV has lists and objects as JSON in its cells.

A column of a Parquet file has one type: numbers, texts or truth values, or lists of numbers or of texts. A column of
anything else holds each value as JSON text.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.files import FOLDER, other_than_file, put_in_place, replacing
from harness.data.lines import Row

#: Writes rows to a path. The rows may be iterated several times.
Writer = Callable[[Iterable[Row], Path], None]

_STREAMS = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
_BATCH = 1000
_EXACT = 2**53  # as far as float64 has every integer


def publish(lines: Path, output: Path) -> None:
    """Let a file of JSON lines, which this process has written, become ``output`` in the format that its name says.

    A link stays, and what it points to is replaced.

    Raises:
        UserError: as :func:`check_output`.
        OSError: where the disk takes no more. The lines are left then.
    """
    writer, output = _writer(output), Path(os.path.realpath(output))
    if writer is None:
        put_in_place(lines, output)
        return
    with replacing(output) as temporary:
        writer(_Rows(lines), temporary)
    lines.unlink()


class _Rows:
    """The rows of a file of JSON lines, as often as they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Row]:
        with self._path.open("rb") as file:
            yield from map(json.loads, file)


def check_output(output: Path) -> None:
    """Check that a file of this name can be written: before the work.

    Raises:
        UserError: for a name without a known format, and where there is something else than a file.
    """
    _writer(output)


def _writer(output: Path) -> Writer | None:
    """What writes a file of this name; None for JSON lines, which need no other form."""
    with suppress(OSError):  # nothing is there, or whoever writes the file will say what
        # A file would take the place of the device, or of a link that stands for the stream of a process.
        if other := other_than_file(output) or ("a stream" if output.parent in _STREAMS else ""):
            raise UserError(f"{output}: is {other}; name a file{' in it' if other == FOLDER else ''}")
    if output.suffix in ("", ".jsonl"):
        return None
    for suffix, writer in _WRITERS.items():
        if output.name.endswith(suffix):
            return writer
    known = ", ".join([".jsonl", *_WRITERS])
    raise UserError(f"{output}: its name does not say its format: let it end in one of {known}")


def _jsonl_gz(rows: Iterable[Row], path: Path) -> None:
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.writelines(json.dumps(row).encode() + b"\n" for row in rows)


def _json(rows: Iterable[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            file.write(("[\n" if number == 0 else ",\n") + json.dumps(row))
        file.write("\n]\n")


def _csv(rows: Iterable[Row], path: Path) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        table.writerows({column: _cell(value) for column, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _parquet(rows: Iterable[Row], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, str] = {}
    for row in rows:
        for column, value in row.items():
            kinds[column] = _common(kinds.get(column, ""), _kind(value))
    types = {
        "": pa.string(),
        "bool": pa.bool_(),
        "int": pa.int64(),
        "long": pa.int64(),
        "float": pa.float64(),
        "str": pa.string(),
        "json": pa.string(),
        "[]": pa.list_(pa.float64()),
        "[int]": pa.list_(pa.int64()),
        "[float]": pa.list_(pa.float64()),
        "[str]": pa.list_(pa.string()),
    }
    schema = pa.schema([(column, types[kind]) for column, kind in kinds.items()])
    with pq.ParquetWriter(path, schema) as file:
        for batch in _batches(rows):
            values = {column: [_typed(row.get(column), kind) for row in batch] for column, kind in kinds.items()}
            file.write_table(pa.table(values, schema=schema))


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _kind(value: Any) -> str:
    """What a column would be that held this value alone; "" for null."""
    match value:
        case None:
            return ""
        case bool():
            return "bool"
        case int():
            return "int" if abs(value) <= _EXACT else "long" if -(2**63) <= value < 2**63 else "json"
        case float():
            return "float"
        case str():
            return "str"
        case list():
            kind = ""
            for item in value:
                kind = _common(kind, _kind(item))
            return f"[{kind}]" if kind in ("", "int", "float", "str") else "json"
        case _:
            return "json"


def _common(one: str, other: str) -> str:
    """What a column is that holds values of two kinds."""
    kinds = {one, other} - {""}
    if len(kinds) > 1 and all(kind.startswith("[") for kind in kinds):
        kinds -= {"[]"}
    if len(kinds) < 2:
        return kinds.pop() if kinds else ""
    mixtures = ({"int", "float"}, "float"), ({"int", "long"}, "long"), ({"[int]", "[float]"}, "[float]")
    return next((common for both, common in mixtures if kinds == both), "json")


def _typed(value: Any, kind: str) -> Any:
    return json.dumps(value) if kind == "json" and value is not None else value


_WRITERS: Mapping[str, Writer] = {
    ".jsonl.gz": _jsonl_gz,
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
}
