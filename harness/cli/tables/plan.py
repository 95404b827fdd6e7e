"""A plan as a table for the terminal."""

from __future__ import annotations

from rich.filesize import decimal
from rich.table import Table

from harness.cli.tables.wide import print_wide
from harness.engine.plan import Plan

_TEXT = ("stage", "who")
_NUMBERS = ("stored", "to do", "responses", "prompt tokens", "response tokens", "FLOPs", "GPU-hours", "disk")


def show_plan(plan: Plan, title: str) -> None:
    """Print the plan's table and what it assumes."""
    print_wide(_table(plan, title))
    for assumption in plan.assumptions:
        print(f"- {assumption}")


def _table(plan: Plan, title: str) -> Table:
    """The stages and their total. An unknown number is shown as unknown and is left out of the total."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in (*_TEXT, *_NUMBERS):
        table.add_column(column, justify="left" if column in _TEXT else "right", no_wrap=True)
    for row in plan.stages:
        work = (row.prompt_tokens, row.response_tokens, row.flops, row.gpu_hours, row.disk)
        table.add_row(row.kind, row.who, str(row.stored), str(row.missing), _amount(row.responses), *_cells(*work))
    amounts = [
        [v or 0 for v in (r.prompt_tokens, r.response_tokens, r.flops, r.gpu_hours, r.disk)] for r in plan.stages
    ]
    prompt, response, flops, hours, disk = (sum(column) for column in zip(*amounts, strict=True))
    table.add_section()
    table.add_row("total", "", "", "", "", *_cells(int(prompt), int(response), flops, hours, disk), style="bold")
    return table


def _cells(prompt: int, response: int, flops: float | None, hours: float | None, disk: float | None) -> list[str]:
    def cell(value: float | None, text: str) -> str:
        return "unknown" if value is None else text if value else ""

    return [
        _amount(prompt),
        _amount(response),
        cell(flops, f"{flops or 0:.1e}"),
        cell(hours, "< 0.1" if hours and hours < 0.1 else f"{hours or 0:,.1f}"),
        cell(disk, decimal(round(disk or 0), precision=1)),
    ]


def _amount(count: int) -> str:
    return f"{count:,}" if count else ""
