"""Resumable, content-keyed Parquet shards.

A shard is one file, ``<folder>/part-<index>.parquet``. Its metadata carries the key of its content: a SHA-256
over everything that determines it. A file appears under its name only when it is complete (written to a temporary
name, synced, renamed), so a killed run leaves whole shards or none.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from harness.core.records import Grade, Problem, Response, StepLabels, StepScores, TokenLogprobs
from harness.core.registry import UserError

SCHEMA_VERSION = 2  # enters every key: raise it when the columns below change meaning

R = TypeVar("R")
_ARROW = {str: pa.string(), int: pa.int64(), bool: pa.bool_(), float: pa.float64()}


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerRow:
    """What one shard of work cost. Counted tokens; analytic FLOPs (``harness.cost_model.shape``); wall seconds."""

    stage: str
    what: str
    model: str
    device: str
    prompt_tokens: int
    completion_tokens: int
    train_tokens: int
    flops: float
    wall_s: float
    started_at: float


def _arrow_type(hint: Any) -> pa.DataType:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        return _arrow_type(next(a for a in args if a is not type(None)))
    if origin is tuple:
        return pa.list_(_arrow_type(args[0]))
    return _ARROW[hint]


def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a record class: one column per field, in order."""
    hints = typing.get_type_hints(record)
    return pa.schema([(f.name, _arrow_type(hints[f.name])) for f in dataclasses.fields(record)])


SCHEMAS: dict[type, pa.Schema] = {
    r: schema_of(r) for r in (Problem, Response, Grade, StepLabels, StepScores, TokenLogprobs, LedgerRow)
}


def to_table(record: type[R], rows: Sequence[R]) -> pa.Table:
    """Records as an Arrow table with the columns of ``SCHEMAS[record]``."""
    schema = SCHEMAS[record]
    columns = [pa.array([getattr(r, f.name) for r in rows], f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def to_records(record: type[R], table: pa.Table) -> list[R]:
    """The rows of a table as records; lists become tuples."""
    columns = []
    for field in SCHEMAS[record]:
        values = table.column(field.name).to_pylist()
        if pa.types.is_list(field.type):
            values = [None if v is None else tuple(v) for v in values]
        columns.append(values)
    return [record(*row) for row in zip(*columns, strict=True)]


def digest(*parts: Any) -> str:
    """SHA-256 of JSON-serialisable parts in canonical form: the key of whatever they determine."""
    text = json.dumps([SCHEMA_VERSION, *parts], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def shard_path(folder: Path, index: int) -> Path:
    return folder / f"part-{index:05d}.parquet"


def write_shard(path: Path, table: pa.Table, key: str, meta: dict[str, Any] | None = None) -> None:
    """Write a shard atomically with its key, and facts about it, in the file's metadata."""
    metadata = {b"key": key.encode(), b"meta": json.dumps(meta or {}, sort_keys=True).encode()}
    table = table.replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def shard_key(path: Path) -> str | None:
    """The key a shard was written with, or None where there is no readable shard."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    return metadata.get(b"key", b"").decode() or None


def shard_meta(path: Path) -> dict[str, Any]:
    """The facts a shard was written with."""
    return json.loads((pq.read_schema(path).metadata or {}).get(b"meta", b"{}"))  # type: ignore[no-any-return]


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    # One thread: shards are small, and a pool per reader would fight over the cores that models use.
    return pq.read_table(path, columns=columns, use_threads=False, partitioning=None)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it on success and is removed on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files, each whole or not at all, by their paths in the folder; returns where they are."""
    for name, data in contents.items():
        with replacing(folder / name) as path:
            path.write_bytes(data)
    return [folder / name for name in contents]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a results folder for writing, and clear what a killed run left half-written.

    Raises:
        UserError: if another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing there; wait for it or set another output:") from None
        for leftover in folder.rglob("*.tmp"):
            if leftover.is_file():
                leftover.unlink()
        yield


def remove_other_shards(folder: Path, keep: int, log: Callable[[str], None]) -> None:
    """Remove shards ``keep`` and up, left there by an earlier run with more problems: results never mix."""
    for path in sorted(folder.glob("part-*.parquet")):
        if int(path.stem.removeprefix("part-")) >= keep:
            log(f"removing {path}: not part of this experiment any more")
            path.unlink()
