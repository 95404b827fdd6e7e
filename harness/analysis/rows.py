"""From rows of a table, frozen dataclasses whose numbers are fractions, to a data frame in percent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import NoneType
from typing import Annotated, Any, NewType, get_args, get_origin, get_type_hints

import pandas as pd

from harness.analysis.inference import Difference, Interval

#: An accuracy, a share or a difference of accuracies, as a field of a row. In a frame it is in percent.
Fraction = NewType("Fraction", float)

_IN_PERCENT = ("mean", "low", "high")


class Columns:
    """Annotates a field whose columns are not the usual ones of :func:`cells`, or are more than these.

    Args:
        name: the column's, by default the field's.
        prefix: of the columns that a mapping becomes.
        attributes: the column of each further attribute of an interval or a difference, or of a bound.
    """

    def __init__(self, name: str = "", prefix: str = "", **attributes: str) -> None:
        self.name, self.prefix, self.attributes = name, prefix, attributes


def cells(name: str, value: float | Interval | Difference | None, **attributes: str) -> dict[str, object]:
    """The columns of a fraction, an interval or a difference, fractions in percent.

    An interval and a difference have ``name``, ``<name>_low`` and ``<name>_high``, then a column for each of the
    further ``attributes``, which may also name other columns for ``low`` and ``high``. All are NaN for None.
    """
    if isinstance(value, float):
        return {name: 100 * value}
    places = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"} | attributes
    if value is None:
        return dict.fromkeys(places.values(), math.nan)
    numbers = {column: getattr(value, attribute) for attribute, column in places.items()}
    return numbers | {places[attribute]: 100 * getattr(value, attribute) for attribute in _IN_PERCENT}


def to_frame(rows: Sequence[Any]) -> pd.DataFrame:
    """A frame of ``rows``, all of one dataclass: a column per field, in their order; no columns without rows.

    A :data:`Fraction`, an interval and a difference become the columns of :func:`cells`. A mapping becomes a column per
    key. All else stays as it is.
    """
    if not rows:
        return pd.DataFrame()
    hints = get_type_hints(type(rows[0]), include_extras=True)
    records: list[dict[str, object]] = [{} for _ in rows]
    for field in fields(rows[0]):
        for record, row in zip(records, rows, strict=True):
            record |= _cells(field.name, hints[field.name], getattr(row, field.name))
    optional = [name for name, hint in hints.items() if set(get_args(hint)) == {int, NoneType}]
    return pd.DataFrame(records).astype(dict.fromkeys(optional, "Int64"))


def _cells(name: str, hint: Any, value: Any) -> Mapping[str, object]:
    hint, columns = get_args(hint) if get_origin(hint) is Annotated else (hint, Columns())
    name = columns.name or name
    if hint in (Fraction, Interval, Difference):
        return cells(name, value, **columns.attributes)
    if isinstance(value, Mapping):
        return {columns.prefix + key: cell for key, cell in value.items()}
    return {name: value}
