"""Records as Arrow tables and back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from types import UnionType
from typing import Any, TypeVar

import pyarrow as pa

from harness.core.records import Grade, LedgerRow, Problem, Response, StepLabels, StepScores, TokenLogprobs

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
