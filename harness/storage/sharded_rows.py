"""The rows of a folder of results, a shard in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.core.arrays import Ints
from harness.storage.arrow import SCHEMAS
from harness.storage.shards import in_columns, read_shard, shard_files


class ShardIndex:
    """Which of a folder's shards have rows of which problems.

    Args:
        places: problem id → the number of the problem.
    """

    def __init__(self, folder: Path, places: Mapping[str, int]) -> None:
        self.paths = shard_files(folder)
        self._places = places

    def number(self, problem_id: str) -> int:
        """The number of a problem; -1 where it has none."""
        return self._places.get(problem_id, -1)

    def numbers(self, table: pa.Table) -> Ints:
        """The number of the problem of each row, int [rows]."""
        ids = table.column("problem_id").combine_chunks().dictionary_encode()
        of_ids = np.array([self.number(id_) for id_ in ids.dictionary.to_pylist()], dtype=np.int64)
        of_rows: Ints = of_ids[ids.indices.to_numpy()]
        return of_rows

    def within(self, first: int, stop: int) -> Iterator[Path]:
        """The shards that may have rows of the problems ``first`` to ``stop``, ``stop`` not among them."""
        for shard in np.flatnonzero((self._spans[:, 0] < stop) & (self._spans[:, 1] >= first)):
            yield self.paths[shard]

    @cached_property
    def _spans(self) -> Ints:
        """The least and the greatest number of a problem in each shard, int [shards, 2]; -1 in one without any.

        Shards have problems that follow each other: two numbers say as much as a list, in no room.
        """
        spans = np.full((len(self.paths), 2), -1, dtype=np.int64)
        for shard, path in enumerate(self.paths):
            ids = read_shard(path, ["problem_id"]).column("problem_id").unique().to_pylist()
            if known := [number for id_ in ids if (number := self.number(id_)) >= 0]:
                spans[shard] = min(known), max(known)
        return spans


class ShardedRows:
    """The rows of a folder's shards in the columns of ``record``, or some of them. Iterating gives a table per shard.

    ``problem_id`` is among the ``columns`` where rows of some problems are asked for.
    """

    def __init__(self, index: ShardIndex, record: type, columns: list[str] | None = None) -> None:
        self.index = index
        self._record, self._columns = record, columns
        #: A table without rows.
        self.none = _schema(record, columns).empty_table()
        self._path: Path | None = None
        self._table = self.none
        self._rows: Mapping[Any, Any] = {}

    def __iter__(self) -> Iterator[pa.Table]:
        return map(self._read, self.index.paths)

    def within(self, first: int, stop: int) -> Iterator[pa.Table]:
        """The tables with rows of the problems ``first`` to ``stop``, ``stop`` not among them; and other rows."""
        return map(self._read, self.index.within(first, stop))

    def __getitem__(self, problem_id: str) -> pa.Table:
        """The rows of a problem; a table without rows where it has none.

        Reading is quick when problems are asked for in the order of the shards.
        """
        tables = [self.none]
        number = self.index.number(problem_id)
        for path in self.index.within(number, number + 1) if number >= 0 else ():
            if path != self._path:
                self._path, self._table = path, self._read(path)
                names = self._table.column("problem_id").to_pandas()
                self._rows = names.groupby(names).indices
            if problem_id in self._rows:
                tables.append(self._table.take(self._rows[problem_id]))
        return pa.concat_tables(tables)

    def _read(self, path: Path) -> pa.Table:
        return read_rows(path, self._record, self._columns)


def read_rows(path: Path, record: type, columns: list[str] | None = None) -> pa.Table:
    """The rows of a shard in the columns of ``record``, or some of them.

    Raises:
        UserError: naming the file, where it is not a readable shard with these columns.
    """
    table = read_shard(path, columns)
    schema = _schema(record, columns)
    with in_columns(path):
        return table.select(schema.names).cast(schema)


def _schema(record: type, columns: list[str] | None) -> pa.Schema:
    schema = SCHEMAS[record]
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])
