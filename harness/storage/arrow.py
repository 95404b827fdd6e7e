"""Records as Arrow tables and back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from types import UnionType
from typing import Any, TypeVar

import pyarrow as pa

from harness.core.records import Grade, LedgerRow, Problem, Reply, Response, StepLabels, StepScores, TokenLogprobs

R = TypeVar("R")

_ARROW = {str: pa.string(), int: pa.int64(), bool: pa.bool_(), float: pa.float64()}


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
    r: schema_of(r) for r in (Problem, Response, Reply, Grade, StepLabels, StepScores, TokenLogprobs, LedgerRow)
}


#: The columns of a record that a table may lack: they came later, or are kept where they are asked for.
OPTIONAL: dict[type, list[str]] = {
    record: [f.name for f in dataclasses.fields(record) if f.default is None] for record in SCHEMAS
}


def to_table(record: type[R], rows: Sequence[R]) -> pa.Table:
    """Records as an Arrow table with the columns of ``SCHEMAS[record]``."""
    schema = SCHEMAS[record]
    columns = [pa.array([getattr(r, f.name) for r in rows], f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def to_records(record: type[R], table: pa.Table) -> list[R]:
    """The rows of a table as records; lists become tuples. A column that came later may be missing: it is None."""
    columns: list[Sequence[Any]] = []
    for field in SCHEMAS[record]:
        if field.name in OPTIONAL[record] and field.name not in table.column_names:
            columns.append([None] * len(table))
            continue
        column = table.column(field.name)
        is_list = pa.types.is_list(field.type) and not pa.types.is_null(column.type)
        columns.append(_tuples(column) if is_list else column.to_pylist())
    return [record(*row) for row in zip(*columns, strict=True)]


def _tuples(column: pa.ChunkedArray) -> list[tuple[Any, ...] | None]:
    """The lists of a column as tuples: many times faster than Arrow's own way, which is by element."""
    tuples: list[tuple[Any, ...] | None] = []
    for chunk in column.chunks:
        ends, values = chunk.offsets.to_pylist(), chunk.values
        flat = values.to_pylist() if values.null_count else values.to_numpy(zero_copy_only=False).tolist()
        spans = zip(ends, ends[1:], chunk.is_valid().to_pylist(), strict=False)
        tuples += [tuple(flat[start:end]) if valid else None for start, end, valid in spans]
    return tuples
