"""Table 1 for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from harness.analysis.choosers import AVERAGE
from harness.cli.tables.wide import print_wide
from harness.core.errors import UserError


def show_accuracy(results: Path) -> None:
    """Print Table 1 of a results folder without its intervals, and where the report is."""
    source = results / "tables" / "table1.csv"
    if source.exists():
        print_wide(_table(_readable(source, results, index_col=0)))
    sets = results / "tables" / "sets.csv"
    if sets.exists():
        print()
        print_wide(_by_set(_readable(sets, results)))
    for name in ("left_out", "rules_left_out"):
        left_out = results / "tables" / f"{name}.csv"
        if left_out.exists():
            for what, why in _readable(left_out, results).itertuples(index=False):
                print(f"{what} is left out: {why}")
    print(f"\nReport: {results / 'report.html'}")


def _readable(table: Path, results: Path, **options: Any) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(table, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"{table}: not a readable table: {error}; `bonbench report {results}` makes it") from None
    return frame


def _by_set(accuracy: pd.DataFrame) -> Table:
    """A column per problem set, the mean over them last."""
    wide = accuracy.pivot(index="row", columns="set", values="accuracy")
    sets = [name for name in dict.fromkeys(accuracy["set"]) if name != AVERAGE]
    wide = wide.loc[list(dict.fromkeys(accuracy["row"])), [*sets, AVERAGE]].rename(columns={AVERAGE: "mean over sets"})
    return _table(wide, f"Accuracy by problem set (%), n = {accuracy['n'].iloc[0]}")


def _table(accuracy: pd.DataFrame, title: str = "Accuracy (%)") -> Table:
    accuracy = accuracy[[c for c in accuracy.columns if not c.endswith(("_low", "_high"))]]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in accuracy.columns:
        table.add_column(column.replace("@", "\n@"), justify="right")
    for method, values in accuracy.iterrows():
        table.add_row(str(method), *("–" if pd.isna(value) else f"{value:.1f}" for value in values))
    return table
