"""Resumable, content-keyed Parquet shards.

A shard is one file, ``<folder>/part-<index>.parquet``, or ``part-<set>-<index>.parquet`` where several sets of problems
are evaluated and it is not of the first one: no set then moves the shards of another. Its metadata carries the key of
its content: a SHA-256 over everything that determines it. A file appears under its name only when it is complete
(written to a temporary name, synced, renamed), so a killed run leaves whole shards or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.core.errors import UserError, shortened
from harness.core.files import no_file, replacing, said

#: The folder, below the results folder, that has the costs of every shard under the shard's own path.
LEDGER = "ledger"

_NAME = re.compile(r"part-([\w.-]+-)?[0-9]{5,}\.parquet")

_REMEDY = "remove the file, and run the experiment again"


def shard_path(folder: Path, index: int, of_set: str = "") -> Path:
    return folder / f"part-{of_set}{'-' if of_set else ''}{index:05d}.parquet"


def ledger_path(results: Path, folder: str, index: int, of_set: str = "") -> Path:
    """The file with the costs of a shard: ``<results>/ledger/<folder>/part-<index>.parquet``."""
    return shard_path(results / LEDGER / folder, index, of_set)


def shard_files(folder: Path) -> list[Path]:
    """The shards of a folder, by index. What else lies there, a copy that somebody made, is none of them."""
    return sorted(path for path in folder.glob("part-*.parquet") if _NAME.fullmatch(path.name))


def write_shard(path: Path, table: pa.Table, key: str, meta: dict[str, Any] | None = None) -> None:
    """Write a shard atomically with its key, and facts about it, in the file's metadata.

    Its pages have checksums, and the number of rows stands apart: damage on the disk is noticed when it is read.

    Raises:
        OSError: naming the file, where the disk takes no more.
    """
    facts = json.dumps(meta or {}, sort_keys=True)
    metadata = {b"key": key.encode(), b"meta": facts.encode(), b"rows": str(len(table)).encode()}
    table = table.replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def shard_key(path: Path, columns: Collection[str] = ()) -> str | None:
    """The key a shard was written with, or None where there is no readable shard with these ``columns``."""
    try:
        schema = _schema(path)
    except UserError:
        return None
    if not set(columns) <= set(schema.names):
        return None
    return (schema.metadata or {}).get(b"key", b"").decode(errors="replace") or None


def shard_meta(path: Path) -> dict[str, Any]:
    """The facts a shard was written with.

    Raises:
        UserError: naming the file, where it is not a readable shard.
    """
    try:
        return _meta(_schema(path))
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not a readable shard of results: its facts are damaged: {_REMEDY}") from None


def shard_rows(path: Path) -> int:
    """How many rows a shard has; they are not read.

    Raises:
        UserError: naming the file, where it is not a readable shard.
    """
    with _readable(path):
        return int(pq.read_metadata(path).num_rows)


def table_meta(table: pa.Table) -> dict[str, Any]:
    """The facts that the shard which a table was read from was written with."""
    return _meta(table.schema)


def _meta(schema: pa.Schema) -> dict[str, Any]:
    meta = json.loads((schema.metadata or {}).get(b"meta", b"{}"))
    if not isinstance(meta, dict):
        raise ValueError("the facts of a shard are a mapping")
    return meta


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a shard, or some of its columns.

    Raises:
        UserError: naming the file, where it is not a readable shard, or lacks a column.
    """
    # One thread: shards are small, and a pool per reader would fight over the cores that models use.
    with _readable(path):
        # Not pq.read_table: of small files it takes twice as long and more.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table: pa.Table = file.read(columns, use_threads=False)
        rows = (table.schema.metadata or {}).get(b"rows")  # shards of earlier versions do not say
        if rows is not None and rows != str(len(table)).encode():
            raise pa.ArrowInvalid(f"{len(table)} rows of {rows.decode(errors='replace')}")
    with in_columns(path):
        if missing := set(columns or ()) - set(table.column_names):
            raise LookupError(f"no column {min(missing)!r}")
    return table


def _schema(path: Path) -> pa.Schema:
    with _readable(path):
        return pq.read_schema(path)


@contextmanager
def in_columns(path: Path) -> Iterator[None]:
    """Say that a shard has other columns than it should have.

    Raises:
        UserError: for what Arrow, or a missing column, raises inside.
    """
    try:
        yield
    except (pa.ArrowException, LookupError, ValueError) as error:
        raise UserError(f"{path}: not a shard of these results: {shortened(str(error))}: {_REMEDY}") from None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Let a :class:`UserError` say what is wrong with the file of a shard."""
    if reason := no_file(path):
        raise UserError(f"{path}: not a readable shard of results: {reason}")
    try:
        yield
    except (OSError, pa.ArrowException) as error:  # Arrow's errors are no OSErrors, and some of those are not Arrow's
        raise UserError(f"{path}: not a readable shard of results: {shortened(said(error))}: {_REMEDY}") from None


def remove_other_shards(results: Path, folder: str, keep: Collection[str], log: Callable[[str], None]) -> None:
    """Remove the shards that do not have one of the names to ``keep`` from a folder of the results, and their ledgers.

    An earlier run with more problems, or another set of them, left these shards. The results of two runs must not mix.
    """
    for place in (results / folder, results / LEDGER / folder):
        for path in shard_files(place):
            if path.name not in keep:
                log(f"removing {path}: not part of this experiment any more")
                path.unlink()
