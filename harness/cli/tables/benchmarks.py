"""What benchmarks say of reward models, for the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.storage.benchmarks import BenchmarkResults
from harness.streams.benchmarks.base import Numbers

_SHOWN_BAD_LINES = 20


def show_numbers(numbers: Numbers) -> None:
    """Print the numbers of one reward model, in percent."""
    table = _table(numbers.columns)
    for about, n, values in numbers.rows:
        table.add_row(escape(about), str(n), *("" if v is None else f"{100 * v:.1f}" for v in values))
    Console().print(table)
    for note in numbers.notes:
        print(note)


def show_results(results: BenchmarkResults) -> None:
    """Print the headline numbers of a run's reward models, in percent, and who has none."""
    table = _table(["", "items", *results.headlines])
    for name, measured in results.reward_models.items():
        values = [measured.values.get(headline) for headline in results.headlines]
        table.add_row(escape(name), str(measured.n), *("" if v is None else f"{100 * v:.1f}" for v in values))
    Console().print(table)
    for name, why in results.left_out.items():
        print(f"{name} has no number: {why}")


def show_complaints(complaints: Sequence[str]) -> None:
    """Print the bad lines, if any."""
    if complaints:
        more = f"; and {n} more" if (n := len(complaints) - _SHOWN_BAD_LINES) > 0 else ""
        print(f"{len(complaints)} bad lines: {'; '.join(complaints[:_SHOWN_BAD_LINES])}{more}")


def numbers_json(benchmark: str, numbers: Numbers, n: int, complaints: Sequence[str]) -> str:
    """The numbers of one reward model as JSON, as fractions."""
    facts = {
        "benchmark": benchmark,
        "values": dict(numbers.values),
        "n": n,
        "threshold": numbers.threshold,
        "notes": list(numbers.notes),
        "bad_lines": list(complaints),
    }
    return json.dumps(facts, indent=1)


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column else "left", overflow="fold")
    return table
