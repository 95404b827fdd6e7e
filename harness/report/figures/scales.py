"""Figures 4 and 5: what more instructions and more responses to each of them bring.

None where no method was trained on at least two amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from harness.analysis.ablations import scales
from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import MAJORITY, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.trainings import Scale, TrainingData
from harness.report.figures.accuracy import draw_band, sample_axis
from harness.report.figures.palette import Palette
from harness.report.figures.panels import LineEnd, new_figure
from harness.report.figures.style import MUTED

_LIGHTEST = 0.45  # of a method's colour, for its smallest scale
_READABLE = 0.75  # for text at least
_MARKERS = ("v", "^", "s", "o")  # the largest scale has the last one


def by_instructions(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """Figure 4: accuracy against n by the share of the instructions trained on."""
    return _by_scale(evaluation, palette, "instructions", lambda data: f"{100 * data.instructions:g} %")


def by_responses(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """Figure 5: accuracy against n by the number of responses per instruction."""
    return _by_scale(evaluation, palette, "responses", lambda data: f"{data.responses}")


def _by_scale(
    evaluation: Evaluation, palette: Palette, by: Scale, label: Callable[[TrainingData], str]
) -> Figure | None:
    """A row of panels per method, a column per generator; a line per scale, paler where there was less of it."""
    first, trainings = evaluation.first_choosers, evaluation.trainings
    by_method: dict[str, list[ScaleLine]] = {}
    for method, members in scales(evaluation, by).items():
        scored = {m: evaluation.method(first[m]) for m in members if m in first}
        choosers = {chooser: label(data) for m, chooser in scored.items() if (data := trainings[m].data)}
        last = len(choosers) - 1
        if last > 0:
            by_method[method] = [
                ScaleLine(text, chooser, k / last, _MARKERS[max(0, len(_MARKERS) - 1 - last + k)])
                for k, (chooser, text) in enumerate(choosers.items())
            ]
    if not by_method:
        return None
    generators = evaluation.accuracies.generators
    labels = ["majority", *(line.label for lines in by_method.values() for line in lines)]
    n_panels = len(by_method) * len(generators)
    panels = new_figure((1.9, 1.7), labels, panels=n_panels, columns=len(generators))
    ends = []
    for axes, ((method, lines), generator) in zip(panels.axes, product(by_method.items(), generators), strict=True):
        ends.append(_panel(axes, generator, lines, palette, evaluation.accuracies))
        axes.set_title(f"{method}, {generator}" if len(generators) > 1 else method)
    # One scale per generator, so that methods compare by eye.
    for column in range(len(generators)):
        shared = panels.axes[column :: len(generators)]
        low, high = min(a.get_ylim()[0] for a in shared), max(a.get_ylim()[1] for a in shared)
        for axes in shared:
            axes.set_ylim(low, high)
    panels.name_lines(ends)
    return panels.figure


class ScaleLine(NamedTuple):
    """A reward model as one scale of its method; ``size`` is from 0, the smallest scale, to 1, the largest."""

    label: str
    chooser: Chooser
    size: float
    marker: str


def _panel(
    axes: Axes, generator: str, lines: Sequence[ScaleLine], palette: Palette, accuracies: Accuracies
) -> list[LineEnd]:
    votes = accuracies.curve(generator, MAJORITY)
    heights = [100 * interval.mean for interval in votes.values()]
    axes.plot(list(votes), heights, color=MUTED, linewidth=0.9, linestyle=(0, (2, 1.5)), label="majority")
    ends = [LineEnd("majority", heights[-1], MUTED)]
    for line in lines:
        curve = accuracies.curve(generator, line.chooser)
        if not curve:
            continue
        look, largest = palette.looks[line.chooser], line.size == 1
        strength = _LIGHTEST + (1 - _LIGHTEST) * line.size
        color = _paler(look.color, strength)
        style = {**look.line(), "color": color, "markerfacecolor": color, "markeredgecolor": color}
        style |= {"marker": line.marker, "markersize": 3.6, "linewidth": 1.5 if largest else 1.2}
        heights = [100 * interval.mean for interval in curve.values()]
        axes.plot(list(curve), heights, **style, clip_on=False, zorder=3, label=line.label)
        if largest:
            draw_band(axes, curve, color, 0.13)
        ends.append(LineEnd(line.label, heights[-1], _paler(look.color, max(strength, _READABLE))))
    sample_axis(axes, accuracies.ns(generator))
    return ends


def _paler(color: str, strength: float) -> str:
    """The colour mixed with white: ``strength`` of it."""
    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))
