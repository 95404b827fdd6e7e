"""A plan as tables for the terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.filesize import decimal
from rich.table import Table

from harness.cli.tables.wide import print_wide
from harness.engine.cluster_plan import ClusterRun, Place
from harness.engine.plan import Plan

_TEXT = ("stage", "who")
_NUMBERS = ("stored", "to do", "responses", "prompt tokens", "response tokens", "FLOPs", "GPU-hours", "disk")
_PLACE = ("on", "from h", "to h")
_BOUNDS = ("low", "expected", "high")


@dataclass(frozen=True)
class Planned:
    """A plan with its bounds and, on a cluster, the three simulated runs, in the order of ``_BOUNDS``."""

    title: str
    plans: Sequence[Plan]
    notes: Sequence[str]
    runs: Sequence[ClusterRun] = ()
    price: float | None = None

    @property
    def expected(self) -> Plan:
        return self.plans[1]


def show_plan(planned: Planned) -> None:
    """Print the plan's table, the runs on the cluster, and what both assume."""
    print_wide(_table(planned))
    if planned.runs:
        print()
        print_wide(_runs(planned))
    for note in planned.notes:
        print(f"- {note}")


def print_json(planned: Planned) -> None:
    """Print all of it for programs. Hours are of the clock, or GPU-hours where the name says so."""
    places = planned.runs[1].places if planned.runs else [None] * len(planned.expected.stages)
    stages = [
        asdict(row) | ({"place": asdict(place)} if place else {})
        for row, place in zip(planned.expected.stages, places, strict=True)
    ]
    document: dict[str, Any] = {"plan": planned.title, "stages": stages, "notes": list(planned.notes)}
    for bound, plan in zip(_BOUNDS, planned.plans, strict=True):
        flops, hours, disk = _sums(plan)
        document[bound] = {"tokens": plan.tokens, "steps": plan.steps}
        document[bound] |= {"flops": flops, "gpu_hours": hours, "disk": disk}
    for bound, run in zip(_BOUNDS, planned.runs, strict=True) if planned.runs else ():
        document[bound]["cluster"] = {
            "wall_hours": run.wall,
            "busy_gpu_hours": run.busy,
            "held_gpu_hours": run.held,
            "reserved_gpu_hours": run.reserved,
            "starting_gpu_hours": run.starting,
            "saving_gpu_hours": run.saving,
            "idle": run.idle,
            "disk": run.disk,
            **({} if planned.price is None else {"price": planned.price * run.reserved}),
        }
    print(json.dumps(document, indent=1))


def _table(planned: Planned) -> Table:
    """The stages and their totals. An unknown number is shown as unknown and is left out of the totals."""
    plan = planned.expected
    places = planned.runs[1].places if planned.runs else None
    table = Table(title=planned.title, title_justify="left", box=None, pad_edge=False)
    for column in (*_TEXT, *_NUMBERS, *(_PLACE if places else ())):
        table.add_column(column, justify="left" if column in _TEXT else "right", no_wrap=True)
    for i, row in enumerate(plan.stages):
        work = (row.prompt_tokens, row.response_tokens, row.flops, row.gpu_hours, row.disk)
        cells = [str(row.stored), str(row.missing), _amount(row.responses), *_cells(*work)]
        table.add_row(row.kind, row.who, *cells, *(_place(places[i], row.on_cpus) if places else ()))
    prompt, response = (sum(row.prompt_tokens for row in plan.stages), sum(row.response_tokens for row in plan.stages))
    table.add_section()
    table.add_row("total", "", "", "", "", *_cells(prompt, response, *_sums(plan)), style="bold")
    for bound, other in zip(_BOUNDS, planned.plans, strict=True):
        if other is not plan and _sums(other) != _sums(plan):
            about = f"{other.tokens} tokens, {other.steps} steps"
            table.add_row(bound, about, "", "", "", "", "", *_cells(0, 0, *_sums(other))[2:])
    return table


def _sums(plan: Plan) -> tuple[float, float, float]:
    """FLOPs, GPU-hours and bytes of all stages."""
    amounts = [[value or 0.0 for value in (row.flops, row.gpu_hours, row.disk)] for row in plan.stages]
    flops, hours, disk = (sum(column) for column in zip(*amounts, strict=True))
    return flops, hours, disk


def _runs(planned: Planned) -> Table:
    """Time, GPU-hours and disk of the simulated runs, a column each."""
    table = Table(title="On the cluster", title_justify="left", box=None, pad_edge=False)
    for column in ("", *_BOUNDS):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    rows = {
        "tokens per response": [f"{run.tokens:,}" for run in planned.runs],
        "steps per response": [str(run.steps) for run in planned.runs],
        "wall time, hours": [_hours(run.wall) for run in planned.runs],
        "busy GPU-hours": [_hours(run.busy) for run in planned.runs],
        "held GPU-hours": [_hours(run.held) for run in planned.runs],
        "  of them starting": [_hours(run.starting) for run in planned.runs],
        "  of them saving": [_hours(run.saving) for run in planned.runs],
        "reserved GPU-hours": [_hours(run.reserved) for run in planned.runs],
        "idle": [f"{100 * run.idle:.0f} %" for run in planned.runs],
        "disk at most": [decimal(round(run.disk), precision=1) for run in planned.runs],
    }
    if planned.price is not None:
        rows["price"] = [f"{planned.price * run.reserved:,.0f}" for run in planned.runs]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _place(place: Place | None, on_cpus: bool) -> list[str]:
    """Where a stage runs, and when."""
    if place is None:
        return ["", "", ""]
    size = f"{place.gpus:g} GPU" if place.gpus else "CPU"
    several = place.actors * place.processes
    on = f"{several} x {size}" + (" !" if on_cpus else "")
    return [on, f"{place.start:.2f}", f"{place.end:.2f}"]


def _cells(prompt: int, response: int, flops: float | None, hours: float | None, disk: float | None) -> list[str]:
    def cell(value: float | None, text: str) -> str:
        return "unknown" if value is None else text if value else ""

    return [
        _amount(prompt),
        _amount(response),
        cell(flops, f"{flops or 0:.1e}"),
        cell(hours, _hours(hours or 0.0)),
        cell(disk, decimal(round(disk or 0), precision=1)),
    ]


def _hours(hours: float) -> str:
    return "< 0.1" if 0 < hours < 0.1 else f"{hours:,.1f}"


def _amount(count: int) -> str:
    return f"{count:,}" if count else ""
