"""Figures of accuracy. None where a figure's inputs are not in the results. Those of cost: ``costs``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import AVERAGE, BASELINES, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.evaluation import Evaluation
from harness.report.figures.style import INK, LABEL_SIZE, MUTED, Look, label_ends, looks, new_figure, text_width
from harness.report.text import signed

_MOST_BANDS = 5


class Palette:
    """The look of every reward model of a run, the same in all figures."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self.trainings = evaluation.trainings
        self.labels = evaluation.choosers
        # One reward model in several aggregations: the aggregations are told apart then.
        self._by_aggregation = len(self.labels) > len({m.reward_model for m in self.labels}) == 1
        # Colours are dealt to the headline methods first: they are the ones that meet in one panel.
        ordered = [*self.headline(), *self.labels]
        table = looks(self._group(chooser) for chooser in ordered)
        self._looks = {chooser: table[self._group(chooser)] for chooser in ordered}

    def _group(self, chooser: Chooser) -> str:
        """What choosers of one colour have in common."""
        training_method = self.trainings[chooser.reward_model].training_method
        return f"{training_method} {chooser.aggregation}" if self._by_aggregation else training_method

    def look(self, chooser: Chooser) -> Look:
        color, marker = self._looks[chooser]
        return Look(color, marker, hollow=not self.trainings[chooser.reward_model].reference)

    def headline(self) -> list[Chooser]:
        """The choosers worth a line each: the largest data scale of each, in its first aggregation."""
        if self._by_aggregation:
            return list(self.labels)
        first = self._evaluation.first_choosers
        return [first[t.reward_model] for t in self._evaluation.headline if t.reward_model in first]


def curves(evaluation: Evaluation) -> Figure:
    """Accuracy against n per generator, and on average: reward models, majority, pass@1 and pass@n."""
    palette, accuracies = Palette(evaluation), evaluation.accuracies
    names = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    columns = {1: 1, 2: 2, 4: 2}.get(len(names), 3)
    rows = math.ceil(len(names) / columns)
    labels = [*BASELINES.values(), *(palette.labels[m] for m in palette.headline())]
    figure, panels = new_figure(2.5 if columns > 1 else 4.0, 2.3 if columns > 1 else 2.9, labels, rows, columns)
    for axes in panels[len(names) :]:
        axes.remove()
    for axes, name in zip(panels, names, strict=False):
        label_ends(axes, _curve_panel(axes, name, palette, accuracies))
    return figure


def _curve_panel(axes: Axes, generator: str, palette: Palette, accuracies: Accuracies) -> list[tuple[str, float, str]]:
    """Draw a panel; returns the names for the ends of its lines."""
    ns = accuracies.ns(generator)
    methods = palette.headline()
    at_end = {m: v for m in methods if (v := accuracies.values(generator, m, ns[-1])) is not None}
    # Where many bands would cover each other, the best line's stands for the width of all.
    banded = methods if len(methods) <= _MOST_BANDS else sorted(at_end, key=lambda m: float(np.nanmean(at_end[m])))[-1:]
    ends = []
    for method in (ORACLE, PASS_AT_1, MAJORITY, *methods):
        points = [(n, v) for n in ns if (v := accuracies.values(generator, method, n)) is not None]
        if not points:
            continue
        x = [n for n, _ in points]
        found = accuracies.bootstrap.intervals(np.array([v for _, v in points]))
        y = [100 * i.mean for i in found]
        if method in BASELINES:
            style = {ORACLE: (0, (1, 1.2)), PASS_AT_1: (0, (5, 2, 1, 2)), MAJORITY: "-"}[method]
            color, label = (MUTED if method == PASS_AT_1 else INK), BASELINES[method]
            axes.plot(x, y, color=color, linestyle=style, linewidth=1.1, label=label)
        else:
            look = palette.look(method)
            color, label = look.color, palette.labels[method]
            axes.plot(x, y, **look.line(), clip_on=False, zorder=3, label=label)
        if method in banded:
            low, high = [100 * i.low for i in found], [100 * i.high for i in found]
            axes.fill_between(x, low, high, color=color, alpha=0.1, linewidth=0)
        ends.append((label, y[-1], color))
    sample_axis(axes, ns)
    axes.set_title("average over generators" if generator == AVERAGE else generator)
    return ends


def sample_axis(axes: Axes, ns: Sequence[int]) -> None:
    """Set up the axes of accuracy against n."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ns))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlim(ns[0], ns[-1])
    axes.set_xlabel("samples per problem, n")
    axes.set_ylabel("accuracy (%)")


@dataclass(frozen=True, slots=True)
class Votes:
    """A line of Figure 3: accuracies in percent of the best-scored response and of voting with the scores."""

    label: str
    look: Look
    best_of_n: float
    weighted: float
    gain: str


def weighted_voting(evaluation: Evaluation) -> Figure | None:
    """Figure 3: what voting with the scores adds to taking the best one; mean over generators and sizes."""
    palette, accuracies = Palette(evaluation), evaluation.accuracies
    found = []
    for method, label in palette.labels.items():
        plain = accuracies.overall(method)
        weighted = accuracies.overall(method.weighted)
        if plain is not None and weighted is not None:
            gain = accuracies.difference(weighted, plain)
            text = f"{signed(100 * gain.mean)} [{signed(100 * gain.low)}, {signed(100 * gain.high)}]"
            start, stop = 100 * float(np.nanmean(plain)), 100 * float(np.nanmean(weighted))
            found.append(Votes(label, palette.look(method), start, stop, text))
    votes = accuracies.overall(MAJORITY)
    if not found or votes is None:
        return None
    return draw_votes(found, 100 * float(np.nanmean(votes)), "gain [95 %]")


def draw_votes(found: Sequence[Votes], majority: float, gains: str) -> Figure:
    """Figure 3 from its numbers; ``gains`` is the head of what stands to the right of the lines."""
    left = 0.15 + text_width((line.label for line in found), 7.5)
    figure, (axes,) = new_figure(3.6, 0.3 + 0.22 * len(found), [gains, *(line.gain for line in found)], left=left)
    axes.axvline(majority, color=INK, linewidth=1.0, linestyle=(0, (2, 1.5)), zorder=1)
    above = axes.get_xaxis_transform()
    axes.text(majority, 1.01, "majority", transform=above, ha="center", va="bottom", fontsize=LABEL_SIZE, color=INK)
    axes.text(1.04, 1.01, gains, transform=axes.transAxes, va="bottom", fontsize=LABEL_SIZE, color=MUTED)
    beside = axes.get_yaxis_transform()
    for row, line in enumerate(found):
        look = line.look
        axes.plot([line.best_of_n, line.weighted], [row, row], color=look.color, linewidth=1.2)
        axes.plot(line.best_of_n, row, marker="|", markersize=8, markeredgewidth=1.4, color=look.color)
        axes.plot(line.weighted, row, **{**look.line(), "linestyle": ""})
        axes.text(1.04, row, line.gain, transform=beside, va="center", fontsize=LABEL_SIZE, color=INK)
    axes.set_yticks(range(len(found)), [line.label for line in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)
    inches = axes.get_position().width * figure.get_figwidth()
    axes.xaxis.set_major_locator(MaxNLocator(min(7, int(inches / 0.3)), steps=[1, 2, 5, 10]))
    axes.set_xlabel("accuracy (%), from best-of-n (bar) to weighted best-of-n (marker)")
    return figure
