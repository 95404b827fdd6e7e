"""The registered components."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from harness.core.registry import BASES, available, find


def show_components() -> None:
    """Print every kind's components: name, what it is, its parameters."""
    for kind in BASES:
        table = Table(title=kind.replace("_", " "), title_justify="left", show_header=False, box=None, padding=(0, 2))
        for name in available(kind):  # type: ignore[arg-type]
            cls = find(kind, name)  # type: ignore[arg-type]
            first_line = (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""
            options = ", ".join(cls.Params.model_fields)
            table.add_row(f"[bold]{name}[/bold]", f"{first_line}\n[dim]{options}[/dim]")
        Console().print(table)
