"""A public model's rewards beside those of its card."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from harness.streams.check_adapter import Compared


def show_compared(name: str, rows: Sequence[Compared]) -> None:
    """Print the rewards of a model for its card's example, and the card's."""
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for column in ("response", "step", "card", "here", "difference", ""):
        table.add_column(column, justify="right")
    for row in rows:
        numbers = (f"{row.card:.4f}", f"{row.here:.4f}", f"{row.here - row.card:+.4f}")
        table.add_row(str(row.response), str(row.step), *numbers, "" if row.agrees else "differs")
    Console().print(table)
