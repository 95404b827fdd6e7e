"""Figures of what reward models cost to develop: the paper's Figures 1 and 2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.analysis.choosers import BASELINES, MAJORITY, PASS_AT_1, Chooser
from harness.analysis.costs import development_flops, development_table
from harness.analysis.equal_accuracy import (
    CostLine,
    EqualAccuracy,
    accuracy_at_largest_n,
    cost_lines,
    equal_accuracies,
)
from harness.analysis.evaluation import Evaluation
from harness.report.figures.palette import Palette
from harness.report.figures.panels import LineEnd, new_figure, text_width
from harness.report.figures.style import INK, LABEL_SIZE, MUTED

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_READABLE = 1.5  # an arrow over a smaller ratio is too short for its name; the title has them all
_TICK = 0.42  # what a tick's label needs, in inches


def cost_accuracy(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """Figure 1: development FLOPs against best-of-N accuracy averaged over generators, one dot per data scale.

    None where no reward model was trained.
    """
    lines = cost_lines(evaluation)
    if not lines:
        return None
    levels, ratios = _levels(evaluation), equal_accuracies(evaluation)
    names = [*(line.method for line in lines), *(label for _, label, _ in levels)]
    panels = new_figure((4.2, 3.1), names, notes=_notes(evaluation, lines, ratios))
    (axes,) = panels.axes
    ends = [_draw_level(axes, palette, *level) for level in levels]
    dots: list[tuple[float, float]] = []
    for line in lines:
        accuracies = evaluation.accuracies
        curves = [accuracies.curve(accuracies.whole, chooser) for chooser in line.choosers]
        intervals = [curve[accuracies.n_max] for curve in curves]
        look = palette.looks[line.choosers[0]]
        for cost, interval in zip(line.costs, intervals, strict=True):
            axes.plot([cost] * 2, [100 * interval.low, 100 * interval.high], color=look.color, linewidth=0.7, alpha=0.5)
        heights = [100 * interval.mean for interval in intervals]
        axes.plot(line.costs, heights, **look.line(), zorder=3, label=line.method)
        dots += zip(line.costs, heights, strict=True)
        ends.append(LineEnd(line.method, heights[-1], look.color))
    cost_axis(axes, [cost for line in lines for cost in line.costs])
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(y=0.08)
    for ratio in _apart(ratios, 0.06 * (axes.get_ylim()[1] - axes.get_ylim()[0]) / 100):
        _annotate(axes, ratio, dots)
    axes.set_xlabel("development cost (FLOPs)")
    axes.set_ylabel(f"best-of-{evaluation.accuracies.n_max} accuracy (%)")
    panels.name_lines([ends])
    return panels.figure


def _levels(evaluation: Evaluation) -> list[tuple[Chooser, str, float]]:
    """What costs nothing to develop: choosers with their labels and accuracies in percent."""
    trainings, flops = evaluation.trainings, development_flops(evaluation.costs)
    labels = {chooser: BASELINES[chooser] for chooser in (PASS_AT_1, MAJORITY)}
    labels |= {
        chooser: label
        for chooser, label in evaluation.choosers.items()
        if not trainings[chooser.reward_model].trained and chooser.reward_model not in flops
    }
    return [
        (chooser, label, 100 * evaluation.accuracies.mean(values))
        for chooser, label in labels.items()
        if (values := accuracy_at_largest_n(evaluation, chooser)) is not None
    ]


def _draw_level(axes: Axes, palette: Palette, chooser: Chooser, label: str, height: float) -> LineEnd:
    color = {PASS_AT_1: MUTED, MAJORITY: INK}.get(chooser) or palette.looks[chooser].color
    dashes = (5, 2, 1, 2) if chooser == PASS_AT_1 else (2, 1.5)
    axes.axhline(height, color=color, linewidth=1.0, linestyle=(0, dashes), label=label)
    return LineEnd(label, height, color)


def _notes(evaluation: Evaluation, lines: Sequence[CostLine], ratios: Sequence[EqualAccuracy]) -> list[str]:
    notes = []
    scales = sorted({evaluation.trainings[evaluation.entry(c)].scale or 0 for line in lines for c in line.choosers})
    if len(scales) > 1:
        notes.append(f"dots, from left to right: {', '.join(map(str, scales))} responses per training problem")
    if ratios:
        ordered = sorted(ratios, key=lambda e: (e.bound == "<", -e.ratio))
        text = "; ".join(f"{e.method} {e.text}" for e in ordered)
        notes.append(f"at equal accuracy, in multiples of {ratios[0].yardstick}'s cost: {text}")
    return notes


def _apart(equal: Sequence[EqualAccuracy], gap: float) -> list[EqualAccuracy]:
    """The ratios worth an arrow, the largest first: not mere bounds, far enough from 1 to be readable, and ``gap`` from
    each other."""
    shown: list[EqualAccuracy] = []
    for e in sorted((e for e in equal if e.bound == "="), key=lambda e: -abs(math.log(e.ratio))):
        if abs(math.log(e.ratio)) >= math.log(_READABLE) and all(abs(e.accuracy - s.accuracy) >= gap for s in shown):
            shown.append(e)
    return shown


def _annotate(axes: Axes, e: EqualAccuracy, dots: Sequence[tuple[float, float]]) -> None:
    """An arrow from the yardstick's cost to the method's, at the accuracy at which they are compared.

    Its name stands where it hides none of the dots (cost, accuracy in percent), if there is such a place.
    """
    height = 100 * e.accuracy
    style = {"arrowstyle": "<->", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    axes.annotate("", (e.cost, height), (e.yardstick_cost, height), arrowprops=style, zorder=4)
    middle = math.sqrt(e.cost * e.yardstick_cost)
    text = axes.annotate(
        f"{e.method} ×{e.text}", (middle, height), (0, 0), textcoords="offset points", ha="center",
        fontsize=LABEL_SIZE, color=INK, zorder=5,
    )  # fmt: skip
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    shown = axes.transData.transform(dots)

    def stand(side: str) -> int:
        """Put the name above the arrow or below it; how many dots it hides there."""
        text.set(va="bottom" if side == "above" else "top")
        text.xyann = (0, 2.5 if side == "above" else -3)
        box = text.get_window_extent().padded(3 * axes.figure.dpi / 72)  # a marker's size
        return sum(box.contains(*dot) for dot in shown)

    stand(min(("above", "below"), key=stand))


def cost_axis(axes: Axes, costs: Sequence[float]) -> None:
    """Set up a logarithmic x axis on which the ``costs`` lie."""
    ratio = max(costs) / min(costs)
    # An axis much shorter than a decade has one power of ten, or none, to mark.
    margin = max(1.6 if ratio < 4 else 1.15, math.sqrt(8 / ratio))
    low, high = min(costs) / margin, max(costs) * margin
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    inches = axes.get_window_extent().width / axes.figure.dpi / math.log(high / low)
    for subs in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        axes.xaxis.set_major_locator(LogLocator(10, subs=subs))
        if inches * min(np.diff(np.log([*subs, 10]))) >= _TICK:
            break
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_scientific))


def _scientific(value: float, _: object) -> str:
    exponent = math.floor(math.log10(value) + 1e-9)
    return f"{value / 10**exponent:g}×10{str(exponent).translate(_SUPERSCRIPTS)}"


def development_cost(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """Figure 2: development FLOPs of each method by responses per problem, in multiples of CE's on as many."""
    table = development_table(evaluation.trainings, evaluation.costs).dropna(subset="flops_of_ce")
    table = table[table["method"] != "CE"]
    if table.empty:
        return None
    ratios: dict[str, dict[int, float]] = {}
    for row in table.to_dict("records"):
        ratios.setdefault(row["method"], {})[int(row["responses"])] = float(row["flops_of_ce"])
    trainings = evaluation.trainings
    colors = {trainings[c.reward_model].method: palette.looks[c].color for c in evaluation.choosers}
    return draw_relative_costs(ratios, colors)


def draw_relative_costs(ratios: Mapping[str, Mapping[int, float]], colors: Mapping[str, str]) -> Figure:
    """Figure 2 from its numbers: method → responses per problem → cost in multiples of CE's; and a colour per method.

    Bars start at CE's cost on a logarithmic axis: up for the dearer, down for the cheaper.
    """
    scales = sorted({responses for of_method in ratios.values() for responses in of_method})
    width = 0.8 / len(ratios)
    panels = new_figure((max(2.8, 0.42 * len(scales) * len(ratios)), 2.5), [*ratios, "CE"])
    (axes,) = panels.axes
    axes.set_yscale("log")
    values = [ratio for of_method in ratios.values() for ratio in of_method.values()]
    axes.set_ylim(min(*values, 1.0) / 1.7, max(*values, 1.0) * 1.7)
    slot = width * axes.get_position().width * panels.figure.get_figwidth() / (len(scales) + 0.2)
    crowded = slot < text_width(["0.55"])
    ends = [LineEnd("CE", 1.0, colors["CE"])]
    for i, (method, of_method) in enumerate(ratios.items()):
        color = colors[method]
        for responses, ratio in of_method.items():
            x = scales.index(responses) + (i - (len(ratios) - 1) / 2) * width
            bar: dict[str, Any] = {"width": 0.9 * width, "color": color, "edgecolor": "white", "linewidth": 0.4}
            axes.bar(x, ratio - 1, bottom=1, **bar, label=method)
            up = ratio >= 1
            axes.annotate(
                f"{ratio:.2g}" if ratio < 10 else f"{ratio:.1f}", (x, ratio), (0, 2 if up else -2),
                textcoords="offset points", ha="center", va="bottom" if up else "top", fontsize=LABEL_SIZE, color=INK,
                rotation=90 if crowded else 0,
            )  # fmt: skip
        ends.append(LineEnd(method, of_method[max(of_method)], color))
    axes.axhline(1, color=colors["CE"], linewidth=1.2, label="CE")
    axes.set_xlim(-0.6, len(scales) - 0.4)
    axes.set_xticks(range(len(scales)), [str(responses) for responses in scales])
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("responses per training problem")
    axes.set_ylabel("development FLOPs, CE = 1")
    panels.name_lines([ends])
    return panels.figure
