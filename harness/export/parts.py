"""A table that comes in pieces of any size, as Parquet files of a size that does not depend on the pieces."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: A group of rows is what a reader has in memory: so many responses, whatever the shards of the results are.
ROWS_PER_GROUP = 1_000
GROUPS_PER_FILE = 100


class Parts:
    """Writes ``<folder>/<stem>-00000-of-00003.parquet`` and so on. A context manager; equal rows make equal bytes.

    ``names`` are the names of the files.
    """

    def __init__(self, folder: Path, stem: str, schema: pa.Schema, n_rows: int) -> None:
        n_files = -(-n_rows // (ROWS_PER_GROUP * GROUPS_PER_FILE))
        self.names = [f"{stem}-{i:05d}-of-{n_files:05d}.parquet" for i in range(n_files)]
        self._folder, self._schema = folder, schema
        self._waiting = schema.empty_table()
        self._n_groups = 0
        self._stack = ExitStack()
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and len(self._waiting):
            self._write(self._waiting)
        self._stack.close()

    def add(self, table: pa.Table) -> None:
        """Add rows in the columns of the schema."""
        self._waiting = pa.concat_tables([self._waiting, table])
        while len(self._waiting) >= ROWS_PER_GROUP:
            self._write(self._waiting.slice(0, ROWS_PER_GROUP))
            self._waiting = self._waiting.slice(ROWS_PER_GROUP)

    def _write(self, group: pa.Table) -> None:
        if self._n_groups % GROUPS_PER_FILE == 0:
            self._stack.close()
            path = self._folder / self.names[self._n_groups // GROUPS_PER_FILE]
            self._file = self._stack.enter_context(
                pq.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)
            )
        assert self._file is not None
        # In one chunk: where pages end depends on the chunks.
        self._file.write_table(group.combine_chunks(), row_group_size=ROWS_PER_GROUP)
        self._n_groups += 1
