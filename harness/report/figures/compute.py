"""The figure of accuracy against all the compute that a choice takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from harness.analysis.choosers import MAJORITY, PASS_AT_1, Chooser
from harness.analysis.compute import ComputeRow
from harness.analysis.evaluation import Evaluation
from harness.report.figures.costs import cost_axis
from harness.report.figures.palette import Palette
from harness.report.figures.panels import LineEnd, new_figure
from harness.report.figures.style import INK, LABEL_SIZE, MUTED

_SIZE = (4.2, 3.1)
_MOST_REASONS = 3


class _Unit(NamedTuple):
    """What a panel measures compute in."""

    label: str
    of: Callable[[ComputeRow], float]


_FLOPS = _Unit("FLOPs per problem", lambda row: row.flops)
_UNITS = (
    _FLOPS,
    _Unit("seconds per problem", lambda row: row.seconds),
    _Unit("GPU-seconds per problem", lambda row: row.gpu_seconds),
)
#: A line of a panel: a generator and who chooses among its responses.
_Lines = dict[tuple[str, Chooser], list[ComputeRow]]


def compute(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """Accuracy against FLOPs, and against seconds in each unit that there is; None where no compute is known.

    The lines are those of the headline choosers and of the majority, of every generator.
    """
    lines: _Lines = {}
    for chooser, row in zip(evaluation.compute.choosers, evaluation.compute.rows, strict=True):
        if not row.unknown and chooser in (PASS_AT_1, MAJORITY, *palette.headline):
            lines.setdefault((row.generator, chooser), []).append(row)
    if not lines:
        return None
    units = [unit for unit in _UNITS if any(unit.of(row) > 0 for rows in lines.values() for row in rows)]
    labels = ["majority", *(evaluation.choosers[chooser] for chooser in palette.headline)]
    panels = new_figure(_SIZE, labels, panels=len(units), columns=1, notes=_notes(evaluation))
    ends = []
    for axes, unit in zip(panels.axes, units, strict=True):
        known = {of: [row for row in rows if unit.of(row) > 0] for of, rows in lines.items()}
        ends.append(_panel(axes, unit, {of: rows for of, rows in known.items() if rows}, evaluation, palette))
        if unit is _FLOPS:
            _front(axes, [row for row in evaluation.compute.rows if row.on_front])
    panels.name_lines(ends)
    return panels.figure


def _notes(evaluation: Evaluation) -> list[str]:
    """Why the compute of some choices is not known."""
    unknown = evaluation.compute.unknown
    reasons = list(dict.fromkeys(unknown.values()))
    more = f"; and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return [f"left out, as their compute is not known: {'; '.join(reasons[:_MOST_REASONS])}{more}"] if reasons else []


def _panel(axes: Axes, unit: _Unit, lines: _Lines, evaluation: Evaluation, palette: Palette) -> list[LineEnd]:
    ends: dict[str, LineEnd] = {}
    for (generator, chooser), rows in lines.items():
        if chooser == PASS_AT_1:
            continue
        start = lines.get((generator, PASS_AT_1), [])
        x, y = [unit.of(row) for row in (*start, *rows)], [100 * row.accuracy.mean for row in (*start, *rows)]
        if chooser == MAJORITY:
            label, color = "majority", INK
            axes.plot(x, y, color=INK, linewidth=1.1, marker=".", markersize=4, label=label)
        else:
            look, label = palette.looks[chooser], evaluation.choosers[chooser]
            color = look.color
            axes.plot(x, y, **{**look.line(), "markersize": 3.2, "linewidth": 1.1}, label=label)
        # One name for the lines of all generators, at the highest of their ends.
        if label not in ends or ends[label].y < y[-1]:
            ends[label] = LineEnd(label, y[-1], color)
    cost_axis(axes, [unit.of(row) for rows in lines.values() for row in rows])
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(y=0.08)
    axes.set_xlabel(unit.label)
    axes.set_ylabel("accuracy (%)")
    for (generator, chooser), rows in lines.items():
        if chooser == PASS_AT_1:
            _name_start(axes, generator, unit.of(rows[0]), 100 * rows[0].accuracy.mean)
    return list(ends.values())


def _name_start(axes: Axes, generator: str, x: float, y: float) -> None:
    """Name a generator where one of its responses is taken alone."""
    axes.plot(x, y, "o", color=MUTED, markersize=5, zorder=4)
    style: dict[str, Any] = {"fontsize": LABEL_SIZE, "color": INK, "ha": "left", "va": "top", "zorder": 5}
    text = axes.annotate(generator, (x, y), (3, -4), textcoords="offset points", **style)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _front(axes: Axes, rows: Sequence[ComputeRow]) -> None:
    """The choices on the front with their intervals, joined by steps: what so much compute buys."""
    rows = sorted(rows, key=lambda row: row.flops)
    x, y = [row.flops for row in rows], [100 * row.accuracy.mean for row in rows]
    low, high = [100 * row.accuracy.low for row in rows], [100 * row.accuracy.high for row in rows]
    axes.plot(x, y, color=MUTED, linewidth=3.5, alpha=0.3, drawstyle="steps-post", zorder=1.5)
    axes.vlines(x, low, high, color=MUTED, linewidth=0.7, zorder=2)
    axes.plot(x, y, "o", markersize=7.5, markerfacecolor="none", markeredgecolor=MUTED, markeredgewidth=0.8, zorder=4)
