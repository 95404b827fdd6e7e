"""Figures of why a reward model chooses as it does: ROC curves, calibration, over-optimisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MultipleLocator, NullLocator

from harness.analysis.calibration import calibration_error
from harness.analysis.choosers import Chooser
from harness.analysis.diagnosis import mean_roc
from harness.analysis.discrimination import ROC_GRID
from harness.analysis.evaluation import Evaluation
from harness.analysis.overoptimisation import ScoreRow
from harness.core.arrays import Floats
from harness.report.figures.palette import Palette
from harness.report.figures.panels import LineEnd, new_figure
from harness.report.figures.style import MUTED

_SIZE = (2.1, 2.1)
_DOTS = (0, (1, 1.2))


class _Curve(NamedTuple):
    """A line of a panel, in percent; ``order`` is what lines that end in one place are named by, the highest first."""

    chooser: Chooser
    label: str
    x: Floats
    y: Floats
    order: float
    sizes: Floats | None = None


def roc_curves(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """The mean ROC curve of each headline chooser, a panel per generator; None where no problem has both kinds."""
    accuracies = evaluation.accuracies
    areas = {(row.generator, row.reward_model): 100 * row.auroc.mean for row in evaluation.diagnosis}
    panels: dict[str, list[_Curve]] = {}
    for generator, chooser in accuracies.scored(palette.headline):
        name = evaluation.choosers[chooser]
        area = areas[generator, name]
        if math.isnan(area):
            continue
        x, y = (
            100 * np.concatenate([[0.0], values]) for values in (ROC_GRID, mean_roc(accuracies, generator, chooser))
        )
        panels.setdefault(generator, []).append(_Curve(chooser, f"{name} {area:.0f}", x, y, area))
    return _squares(panels, palette, "wrong responses (%)", "right responses (%)")


def calibration(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """The reliability curve of each headline chooser with probabilities, a panel per generator; None without any."""
    panels: dict[str, list[_Curve]] = {}
    for generator, chooser in evaluation.accuracies.scored(palette.headline):
        if curve := evaluation.reliability.get((generator, chooser)):
            label = f"{evaluation.choosers[chooser]} {100 * calibration_error(curve):.0f}"
            x, y = (np.array([100 * getattr(one, axis) for one in curve]) for axis in ("stated", "right"))
            counts = np.array([one.n_responses for one in curve], dtype=np.float64)
            line = _Curve(chooser, label, x, y, float(y[-1]), 6 + 60 * counts / counts.sum())
            panels.setdefault(generator, []).append(line)
    return _squares(panels, palette, "probability stated (%)", "of them right (%)")


def _squares(panels: dict[str, list[_Curve]], palette: Palette, x_label: str, y_label: str) -> Figure | None:
    """A square panel per generator, with the diagonal."""
    if not panels:
        return None
    labels = [curve.label for curves in panels.values() for curve in curves]
    figure = new_figure(_SIZE, labels, panels=len(panels), columns=min(len(panels), 3))
    ends = []
    for axes, (generator, curves) in zip(figure.axes, panels.items(), strict=True):
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8, linestyle=_DOTS)
        for curve in curves:
            look = palette.looks[curve.chooser]
            axes.plot(curve.x, curve.y, **{**look.line(), "marker": ""}, label=curve.label, clip_on=False)
            if curve.sizes is not None:
                axes.scatter(
                    curve.x, curve.y, curve.sizes, color=look.color, marker=look.marker, clip_on=False, zorder=3
                )
        axes.set(title=generator, xlim=(0, 100), ylim=(0, 100), xlabel=x_label, ylabel=y_label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MultipleLocator(25))
        ends.append([_end(curve, palette) for curve in sorted(curves, key=lambda c: c.order)])
    figure.name_lines(ends)
    return figure.figure


def _end(curve: _Curve, palette: Palette) -> LineEnd:
    return LineEnd(curve.label, float(curve.y[-1]), palette.looks[curve.chooser].color)


def overoptimisation(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """Score and accuracy of the best of n against the bound on its KL divergence; None with a single n."""
    by_line: dict[tuple[str, Chooser], list[ScoreRow]] = {}
    names = {label: chooser for chooser, label in evaluation.choosers.items()}
    for row in evaluation.score_curves:
        by_line.setdefault((row.generator, names[row.reward_model]), []).append(row)
    lines = {place: rows for place, rows in by_line.items() if place[1] in palette.headline and len(rows) > 1}
    generators = [g for g in evaluation.accuracies.generators if any(place[0] == g for place in lines)]
    if not generators:
        return None
    labels = [evaluation.choosers[chooser] for chooser in palette.headline]
    panels = new_figure((2.1, 1.7), labels, panels=2 * len(generators), columns=len(generators))
    ends = []
    for place, axes in enumerate(panels.axes):
        is_score, generator = place < len(generators), generators[place % len(generators)]
        own = {chooser: rows for (of, chooser), rows in lines.items() if of == generator}
        ends.append(_rising(axes, own, is_score, evaluation, palette))
        axes.set_title(generator if is_score else "")
        axes.set_ylabel("score, in deviations" if is_score else "accuracy (%)")
    panels.name_lines(ends)
    return panels.figure


def _rising(
    axes: Axes, lines: dict[Chooser, list[ScoreRow]], is_score: bool, evaluation: Evaluation, palette: Palette
) -> list[LineEnd]:
    ends = []
    for chooser, rows in lines.items():
        look = palette.looks[chooser]
        x = [row.kl_bound for row in rows]
        y = [row.in_deviations if is_score else 100 * row.accuracy.mean for row in rows]
        label = evaluation.choosers[chooser]
        axes.plot(x, y, **{**look.line(), "marker": ""}, label=label, clip_on=False)
        if not is_score:
            best = int(np.argmax(np.round(y, 10)))
            axes.plot(x[best], y[best], "o", markersize=6, markerfacecolor="none", color=look.color, clip_on=False)
        ends.append(LineEnd(label, float(y[-1]), look.color))
    _kl_axis(axes, max(lines.values(), key=len))
    return ends


def _kl_axis(axes: Axes, rows: Sequence[ScoreRow]) -> None:
    """Distances in nats, with the n that they belong to below."""
    n_at = {row.kl_bound: row.n for row in rows if row.n & (row.n - 1) == 0}
    axes.xaxis.set_major_locator(FixedLocator(list(n_at)))
    axes.xaxis.set_minor_locator(NullLocator())
    # Between 1 and 2 there is no room for two numbers below.
    texts = [f"{n}\n" + {1: "0", 2: ""}.get(n, f"{x:.1f}") for x, n in n_at.items()]
    axes.xaxis.set_major_formatter(FixedFormatter(texts))
    axes.set_xlim(0, rows[-1].kl_bound)
    axes.set_xlabel("n, and bound on KL (nats)")
