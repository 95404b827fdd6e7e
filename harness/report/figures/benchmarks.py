"""Reward models by a benchmark's number and by best-of-n accuracy."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.benchmarks import AgreementRow, BenchmarkRow
from harness.analysis.evaluation import Evaluation
from harness.report.figures.palette import Palette
from harness.report.figures.panels import LineEnd, new_figure
from harness.report.figures.style import LABEL_SIZE, MUTED
from harness.report.text import p_value

_SIZE = (2.1, 2.1)


def beside_best_of_n(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """A panel per benchmark and headline number, with the mean over generators, or the first; None without any."""
    where = evaluation.accuracies.whole
    panels: dict[tuple[str, str], list[BenchmarkRow]] = {}
    for row in evaluation.benchmarks.rows:
        if row.generator == where:
            panels.setdefault((row.benchmark, row.number), []).append(row)
    if not panels:
        return None
    agreement = {(row.benchmark, row.number): row for row in evaluation.benchmarks.agreement if row.generator == where}
    labels = [row.reward_model for rows in panels.values() for row in rows]
    figure = new_figure(_SIZE, labels, panels=len(panels), columns=min(len(panels), 3))
    ends = []
    for axes, (place, rows) in zip(figure.axes, panels.items(), strict=True):
        ends.append([_point(axes, row, evaluation, palette) for row in sorted(rows, key=lambda r: r.best_of_n.mean)])
        axes.set(title=" ".join(place), xlabel=f"{place[1]} (%)", ylabel=f"best of {rows[0].n} right (%)")
        axes.margins(x=0.12, y=0.12)
        if text := _said(agreement.get(place)):
            style: dict[str, Any] = {"fontsize": LABEL_SIZE, "color": MUTED, "va": "top", "transform": axes.transAxes}
            low, high = axes.get_ylim()
            axes.set_ylim(low, high + 0.15 * (high - low))  # room for the words
            axes.text(0.03, 0.98, text, **style)
    figure.name_lines(ends)
    return figure.figure


def _point(axes: Axes, row: BenchmarkRow, evaluation: Evaluation, palette: Palette) -> LineEnd:
    look = palette.looks[evaluation.first_choosers[row.reward_model]]
    x, y = 100 * row.value, 100 * row.best_of_n.mean
    error = [[max(0.0, y - 100 * row.best_of_n.low)], [max(0.0, 100 * row.best_of_n.high - y)]]
    axes.errorbar(
        x,
        y,
        yerr=error,
        fmt=look.marker,
        color=look.color,
        markerfacecolor="white" if look.hollow else look.color,
        markersize=4.5,
        linewidth=0.9,
        label=row.reward_model,
    )
    return LineEnd(row.reward_model, y, look.color)


def _said(row: AgreementRow | None) -> str:
    if row is None or math.isnan(row.spearman):
        return ""
    return f"ρ {row.spearman:.2f} ({row.spearman_low:.2f} to {row.spearman_high:.2f}), p {p_value(row.spearman_p)}"
