"""Rows in fractions become columns in percent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import pytest

from harness.analysis.inference import Difference, Interval
from harness.analysis.rows import Columns, Fraction, cells, to_frame


@dataclass(frozen=True)
class Row:
    name: str
    n: int | None
    share: Annotated[Fraction, Columns("percent")]
    seconds: float
    accuracy: Annotated[Interval, Columns(low="ci_low", high="ci_high", n_problems="n_problems")]
    gain: Annotated[Difference, Columns(p_permutation="gain_p")]
    costs: Annotated[Mapping[str, float], Columns(prefix="ce_")]


INTERVAL = Interval(0.5, 0.25, 0.75, 12)
DIFFERENCE = Difference(0.125, -0.125, 0.25, 0.4, 0.3, 5, 2, 12)


def test_fractions_are_in_percent_and_all_else_is_as_it_is() -> None:
    rows = [
        Row("a", 4, Fraction(0.25), 1.5, INTERVAL, DIFFERENCE, {"labels": 2e9}),
        Row("b", None, Fraction(1.0), 2.5, INTERVAL, DIFFERENCE, {"labels": 3e9}),
    ]
    frame = to_frame(rows)
    assert frame.iloc[0].to_dict() == {
        "name": "a",
        "n": 4,
        "percent": 25.0,
        "seconds": 1.5,
        "accuracy": 50.0,
        "ci_low": 25.0,
        "ci_high": 75.0,
        "n_problems": 12,
        "gain": 12.5,
        "gain_low": -12.5,
        "gain_high": 25.0,
        "gain_p": 0.3,
        "ce_labels": 2e9,
    }
    assert frame.to_csv(index=False).splitlines()[2].startswith("b,,100.0,2.5,")
    assert to_frame([]).empty


def test_cells_of_nothing_are_not_numbers() -> None:
    columns = cells("difference", None, p_holm="p_holm")
    assert list(columns) == ["difference", "difference_low", "difference_high", "p_holm"]
    assert all(isinstance(value, float) and math.isnan(value) for value in columns.values())
    assert cells("share", 0.07) == {"share": pytest.approx(7.0)}
