"""Figures 4 and 5: what more instructions and more responses to each of them bring.

None where no method was trained on at least two amounts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from harness.analysis.ablations import scales
from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import MAJORITY, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.trainings import Scale, TrainingData
from harness.report.figures.accuracy import Palette, sample_axis
from harness.report.figures.style import MUTED, label_ends, new_figure

_LIGHTEST = 0.45  # of a method's colour, for its smallest scale
_READABLE = 0.75  # for text at least
_MARKERS = ("v", "^", "s", "o")  # the largest scale has the last one


def by_instructions(evaluation: Evaluation) -> Figure | None:
    """Figure 4: accuracy against n by the share of the instructions trained on."""
    return _by_scale(evaluation, "instructions", lambda data: f"{100 * data.instructions:g} %")


def by_responses(evaluation: Evaluation) -> Figure | None:
    """Figure 5: accuracy against n by the number of responses per instruction."""
    return _by_scale(evaluation, "responses", lambda data: f"{data.responses}")


def _by_scale(evaluation: Evaluation, by: Scale, label: Callable[[TrainingData], str]) -> Figure | None:
    """A row of panels per method, a column per generator; a line per scale, paler where there was less of it."""
    palette, accuracies = Palette(evaluation), evaluation.accuracies
    first = evaluation.first_choosers
    rows = {}
    for name, members in scales(evaluation, by).items():
        lines = [(label(data), first[m]) for m in members if m in first and (data := evaluation.trainings[m].data)]
        if len(lines) > 1:
            rows[name] = lines
    if not rows:
        return None
    labels = ["majority", *(text for lines in rows.values() for text, _ in lines)]
    generators = accuracies.generators
    figure, panels = new_figure(1.9, 1.7, labels, len(rows), len(generators))
    ends = []
    for row, (name, lines) in enumerate(rows.items()):
        for column, generator in enumerate(generators):
            axes = panels[row * len(generators) + column]
            ends.append((axes, _panel(axes, generator, lines, palette, accuracies)))
            axes.set_title(f"{name}, {generator}" if len(generators) > 1 else name)
    # One scale per generator, so that methods compare by eye.
    for column in range(len(generators)):
        shared = panels[column :: len(generators)]
        low, high = min(a.get_ylim()[0] for a in shared), max(a.get_ylim()[1] for a in shared)
        for axes in shared:
            axes.set_ylim(low, high)
    for axes, names in ends:
        label_ends(axes, names)
    return figure


def _panel(
    axes: Axes, generator: str, lines: list[tuple[str, Chooser]], palette: Palette, accuracies: Accuracies
) -> list[tuple[str, float, str]]:
    """Draw a panel; returns the names for the ends of its lines."""
    ns = accuracies.ns(generator)
    votes = [(n, v) for n in ns if (v := accuracies.values(generator, MAJORITY, n)) is not None]
    heights = [100 * float(np.nanmean(v)) for _, v in votes]
    axes.plot([n for n, _ in votes], heights, color=MUTED, linewidth=0.9, linestyle=(0, (2, 1.5)), label="majority")
    ends = [("majority", heights[-1], MUTED)]
    for k, (label, method) in enumerate(lines):
        points = [(n, v) for n in ns if (v := accuracies.values(generator, method, n)) is not None]
        if not points:
            continue
        x = [n for n, _ in points]
        found = accuracies.bootstrap.intervals(np.array([v for _, v in points]))
        look = palette.look(method)
        largest = k == len(lines) - 1
        strength = _LIGHTEST + (1 - _LIGHTEST) * k / (len(lines) - 1)
        color = _paler(look.color, strength)
        style = {**look.line(), "color": color, "markerfacecolor": color, "markeredgecolor": color}
        style |= {"marker": _MARKERS[max(0, len(_MARKERS) - len(lines) + k)], "markersize": 3.6}
        style |= {"linewidth": 1.5 if largest else 1.2, "clip_on": False, "zorder": 3}
        axes.plot(x, [100 * i.mean for i in found], **style, label=label)
        if largest:
            low, high = [100 * i.low for i in found], [100 * i.high for i in found]
            axes.fill_between(x, low, high, color=color, alpha=0.13, linewidth=0)
        ends.append((label, 100 * found[-1].mean, _paler(look.color, max(strength, _READABLE))))
    sample_axis(axes, ns)
    return ends


def _paler(color: str, strength: float) -> str:
    """The colour mixed with white: ``strength`` of it."""
    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))
