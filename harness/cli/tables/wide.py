"""Tables that are printed wider than the terminal rather than cut."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_wide(table: Table) -> None:
    """Print a table on stdout as wide as it needs to be."""
    unlimited = Console(width=1000)
    needed = Measurement.get(unlimited, unlimited.options, table).maximum
    Console(width=max(Console().width, needed)).print(table)
