"""Resumable, content-keyed Parquet shards.

A shard is one file, ``<folder>/part-<index>.parquet``. Its metadata carries the key of its content: a SHA-256
over everything that determines it. A file appears under its name only when it is complete (written to a temporary
name, synced, renamed), so a killed run leaves whole shards or none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.core.files import replacing

#: The folder, below the results folder, that has the costs of every shard under the shard's own path.
LEDGER = "ledger"


def shard_path(folder: Path, index: int) -> Path:
    return folder / f"part-{index:05d}.parquet"


def ledger_path(results: Path, folder: str, index: int) -> Path:
    """The file with the costs of a shard: ``<results>/ledger/<folder>/part-<index>.parquet``."""
    return shard_path(results / LEDGER / folder, index)


def write_shard(path: Path, table: pa.Table, key: str, meta: dict[str, Any] | None = None) -> None:
    """Write a shard atomically with its key, and facts about it, in the file's metadata."""
    metadata = {b"key": key.encode(), b"meta": json.dumps(meta or {}, sort_keys=True).encode()}
    table = table.replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def shard_key(path: Path, columns: Collection[str] = ()) -> str | None:
    """The key a shard was written with, or None where there is no readable shard with these ``columns``."""
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid):
        return None
    if not set(columns) <= set(schema.names):
        return None
    return (schema.metadata or {}).get(b"key", b"").decode() or None


def shard_meta(path: Path) -> dict[str, Any]:
    """The facts a shard was written with."""
    return _meta(pq.read_schema(path))


def table_meta(table: pa.Table) -> dict[str, Any]:
    """The facts that the shard which a table was read from was written with."""
    return _meta(table.schema)


def _meta(schema: pa.Schema) -> dict[str, Any]:
    return json.loads((schema.metadata or {}).get(b"meta", b"{}"))  # type: ignore[no-any-return]


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    # One thread: shards are small, and a pool per reader would fight over the cores that models use.
    return pq.read_table(path, columns=columns, use_threads=False, partitioning=None)


def remove_other_shards(results: Path, folder: str, keep: int, log: Callable[[str], None]) -> None:
    """Remove the shards with the index ``keep`` or a higher one from a folder of the results, and their ledgers.

    An earlier run with more problems left these shards. The results of two runs must not mix.
    """
    for place in (results / folder, results / LEDGER / folder):
        for path in sorted(place.glob("part-*.parquet")):
            if int(path.stem.removeprefix("part-")) >= keep:
                log(f"removing {path}: not part of this experiment any more")
                path.unlink()
