"""The figures, drawn from the accuracies and the ledger alone. None where a figure's inputs are not in the results."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.accuracy import AVERAGE, MAJORITY, ORACLE, PASS_AT_1, Accuracies, Method
from harness.costs import development_flops, reward_model_costs
from harness.families import headline, instances
from harness.figure_style import INK, LABEL_SIZE, MUTED, Look, label_ends, looks, new_figure, text_width
from harness.rendering import signed
from harness.results import Results
from harness.tables import labelled_methods

_BASELINES = {MAJORITY: "majority", PASS_AT_1: "pass@1", ORACLE: "pass@n (oracle)"}
_MOST_BANDS = 5
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Palette:
    """The look of every reward model of a run, the same in all figures."""

    def __init__(self, results: Results, accuracies: Accuracies) -> None:
        self.instances = instances(results)
        self.labels = {method: label for label, method in labelled_methods(results, accuracies)}
        # One reward model in several aggregations: they are the methods then.
        self._by_aggregation = len(self.labels) > len({m.reward_model for m in self.labels}) == 1
        # Colours are dealt to the headline methods first: they are the ones that meet in one panel.
        ordered = [*self.headline(), *self.labels]
        table = looks(self._family(method) for method in ordered)
        self._looks = {method: table[self._family(method)] for method in ordered}

    def _family(self, method: Method) -> str:
        family = self.instances[method.reward_model].family
        return f"{family} {method.aggregation}" if self._by_aggregation else family

    def look(self, method: Method) -> Look:
        color, marker = self._looks[method]
        return Look(color, marker, hollow=not self.instances[method.reward_model].reference)

    def headline(self) -> list[Method]:
        """The methods worth a line each: the largest data scale of each, in its first aggregation."""
        if self._by_aggregation:
            return list(self.labels)
        first: dict[str, Method] = {}
        for method in self.labels:
            first.setdefault(method.reward_model, method)
        return [first[i.reward_model] for i in headline(self.instances) if i.reward_model in first]


def curves(results: Results, accuracies: Accuracies) -> Figure:
    """Accuracy against n per generator, and on average: reward models, majority, pass@1 and pass@n."""
    palette = Palette(results, accuracies)
    names = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    columns = {1: 1, 2: 2, 4: 2}.get(len(names), 3)
    rows = math.ceil(len(names) / columns)
    labels = [*_BASELINES.values(), *(palette.labels[m] for m in palette.headline())]
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
        if method in _BASELINES:
            style = {ORACLE: (0, (1, 1.2)), PASS_AT_1: (0, (5, 2, 1, 2)), MAJORITY: "-"}[method]
            color, label = (MUTED if method == PASS_AT_1 else INK), _BASELINES[method]
            axes.plot(x, y, color=color, linestyle=style, linewidth=1.1)
        else:
            look = palette.look(method)
            color, label = look.color, palette.labels[method]
            axes.plot(x, y, **look.line(), clip_on=False, zorder=3)
        if method in banded:
            low, high = [100 * i.low for i in found], [100 * i.high for i in found]
            axes.fill_between(x, low, high, color=color, alpha=0.1, linewidth=0)
        ends.append((label, y[-1], color))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ns))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlim(ns[0], ns[-1])
    axes.set_title("average over generators" if generator == AVERAGE else generator)
    axes.set_xlabel("samples per problem, n")
    axes.set_ylabel("accuracy (%)")
    return ends


def cost_accuracy(results: Results, accuracies: Accuracies) -> Figure | None:
    """Figure 1: development FLOPs against best-of-N accuracy averaged over generators, one dot per data scale."""
    palette = Palette(results, accuracies)
    flops = development_flops(reward_model_costs(results))
    where, n = AVERAGE if accuracies.averaged else accuracies.generators[0], accuracies.n_max
    lines: dict[str, list[tuple[float, Method]]] = {}
    level = [PASS_AT_1, MAJORITY]
    shown = (PASS_AT_1, MAJORITY, *palette.labels)
    values = {m: v for m in shown if (v := accuracies.values(where, m, n)) is not None}
    for method in palette.labels:
        instance = palette.instances[method.reward_model]
        if method not in values:
            continue
        if instance.trained and instance.reward_model in flops:
            lines.setdefault(instance.method, []).append((flops[instance.reward_model], method))
        elif not instance.trained:
            level.append(method)
    if not lines:
        return None

    names = {method: _BASELINES.get(method) or palette.labels[method] for method in level}
    figure, (axes,) = new_figure(4.2, 3.1, [*lines, *names.values()])
    ends = []
    for method in level:
        height = 100 * float(np.nanmean(values[method]))
        color = {PASS_AT_1: MUTED, MAJORITY: INK}.get(method) or palette.look(method).color
        dashes = (5, 2, 1, 2) if method == PASS_AT_1 else (2, 1.5)
        axes.axhline(height, color=color, linewidth=1.0, linestyle=(0, dashes))
        ends.append((names[method], height, color))
    for name, points in lines.items():
        points.sort()
        found = accuracies.bootstrap.intervals(np.array([values[m] for _, m in points]))
        x, y = [cost for cost, _ in points], [100 * i.mean for i in found]
        look = palette.look(points[0][1])
        for cost, interval in zip(x, found, strict=True):
            axes.plot([cost] * 2, [100 * interval.low, 100 * interval.high], color=look.color, linewidth=0.7, alpha=0.5)
        axes.plot(x, y, **look.line(), zorder=3)
        ends.append((name, y[-1], look.color))
    axes.set_xscale("log")
    costs = [cost for points in lines.values() for cost, _ in points]
    narrow = max(costs) < 4 * min(costs)
    margin = 1.6 if narrow else 1.15
    axes.set_xlim(min(costs) / margin, max(costs) * margin)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 3, 5, 7) if narrow else (1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_scientific))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(y=0.08)
    scales = sorted({palette.instances[m.reward_model].scale or 0 for points in lines.values() for _, m in points})
    if len(scales) > 1:
        note = f"dots, from left to right: {', '.join(map(str, scales))} responses per training problem"
        axes.set_title(note, fontsize=LABEL_SIZE, fontweight="normal", color=MUTED)
    axes.set_xlabel("development cost (FLOPs)")
    axes.set_ylabel(f"best-of-{n} accuracy (%)")
    label_ends(axes, ends)
    return figure


def _scientific(value: float, _: object) -> str:
    exponent = math.floor(math.log10(value) + 1e-9)
    return f"{value / 10**exponent:g}×10{str(exponent).translate(_SUPERSCRIPTS)}"


def weighted_voting(results: Results, accuracies: Accuracies) -> Figure | None:
    """Figure 3: what voting with the scores adds to taking the best one; mean over generators and sizes."""
    palette = Palette(results, accuracies)
    found = []
    for method, label in palette.labels.items():
        plain = accuracies.overall(method)
        weighted = accuracies.overall(method._replace(strategy="weighted_best_of_n"))
        if plain is not None and weighted is not None:
            found.append((label, palette.look(method), plain, weighted))
    votes = accuracies.overall(MAJORITY)
    if not found or votes is None:
        return None
    left = 0.15 + text_width((label for label, *_ in found), 7.5)
    figure, (axes,) = new_figure(3.6, 0.3 + 0.22 * len(found), ["-10.0 [-10.0, -10.0]"], left=left)
    majority = 100 * float(np.nanmean(votes))
    axes.axvline(majority, color=INK, linewidth=1.0, linestyle=(0, (2, 1.5)), zorder=1)
    above = axes.get_xaxis_transform()
    axes.text(majority, 1.01, "majority", transform=above, ha="center", va="bottom", fontsize=LABEL_SIZE, color=INK)
    axes.text(1.04, 1.01, "gain [95 %]", transform=axes.transAxes, va="bottom", fontsize=LABEL_SIZE, color=MUTED)
    for row, (_, look, plain, weighted) in enumerate(found):
        start, stop = 100 * float(np.nanmean(plain)), 100 * float(np.nanmean(weighted))
        axes.plot([start, stop], [row, row], color=look.color, linewidth=1.2)
        axes.plot(start, row, marker="|", markersize=8, markeredgewidth=1.4, color=look.color)
        axes.plot(stop, row, **{**look.line(), "linestyle": ""})
        gain = accuracies.difference(weighted, plain)
        text = f"{signed(100 * gain.mean)} [{signed(100 * gain.low)}, {signed(100 * gain.high)}]"
        axes.text(1.04, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=LABEL_SIZE, color=INK)
    axes.set_yticks(range(len(found)), [label for label, *_ in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.set_xlabel("accuracy (%), from best-of-n (bar) to weighted best-of-n (marker)")
    return figure
