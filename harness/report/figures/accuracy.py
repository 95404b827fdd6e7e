"""Figures of accuracy: against n, and what voting with the scores adds. Figures of cost: ``costs``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from harness.analysis.choosers import AVERAGE, BASELINES, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Interval
from harness.analysis.voting import voting_gains
from harness.report.figures.palette import Look, Palette
from harness.report.figures.panels import LineEnd, new_figure, text_width
from harness.report.figures.style import INK, LABEL_SIZE, MUTED
from harness.report.text import signed

_MOST_BANDS = 5
_DASHES = {ORACLE: (0, (1, 1.2)), PASS_AT_1: (0, (5, 2, 1, 2)), MAJORITY: "-"}


def curves(evaluation: Evaluation, palette: Palette) -> Figure:
    """Accuracy against n per generator, and on average: reward models, majority, pass@1 and pass@n."""
    accuracies = evaluation.accuracies
    generators = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    columns = {1: 1, 2: 2, 4: 2}.get(len(generators), 3)
    labels = [*BASELINES.values(), *(evaluation.methods[chooser] for chooser in palette.methods)]
    size = (2.5, 2.3) if columns > 1 else (4.0, 2.9)
    panels = new_figure(size, labels, panels=len(generators), columns=columns)
    panels.name_lines(
        [
            _curve_panel(axes, generator, evaluation, palette)
            for axes, generator in zip(panels.axes, generators, strict=True)
        ]
    )
    return panels.figure


def _curve_panel(axes: Axes, generator: str, evaluation: Evaluation, palette: Palette) -> list[LineEnd]:
    accuracies = evaluation.accuracies
    all_curves = {c: accuracies.curve(generator, c) for c in (ORACLE, PASS_AT_1, MAJORITY, *palette.methods)}
    curves = {chooser: curve for chooser, curve in all_curves.items() if curve}
    banded = _banded(curves, accuracies.ns(generator)[-1], palette)
    ends = []
    for chooser, curve in curves.items():
        x, y = list(curve), [100 * interval.mean for interval in curve.values()]
        if chooser in BASELINES:
            color, label = (MUTED if chooser == PASS_AT_1 else INK), BASELINES[chooser]
            axes.plot(x, y, color=color, linestyle=_DASHES[chooser], linewidth=1.1, label=label)
        else:
            look = palette.looks[chooser]
            color, label = look.color, evaluation.methods[chooser]
            axes.plot(x, y, **look.line(), clip_on=False, zorder=3, label=label)
        if chooser in banded:
            draw_band(axes, curve, color, 0.1)
        ends.append(LineEnd(label, y[-1], color))
    sample_axis(axes, accuracies.ns(generator))
    axes.set_title("average over generators" if generator == AVERAGE else generator)
    return ends


def _banded(curves: dict[Chooser, dict[int, Interval]], n: int, palette: Palette) -> Sequence[Chooser]:
    """The choosers whose intervals are drawn as a band: where many bands would cover each other, the best at ``n``."""
    if len(palette.methods) <= _MOST_BANDS:
        return palette.methods
    at_end = {c: curves[c][n].mean for c in palette.methods if c in curves and n in curves[c]}
    return sorted(at_end, key=lambda chooser: at_end[chooser])[-1:]


def draw_band(axes: Axes, curve: dict[int, Interval], color: str, alpha: float) -> None:
    """The intervals of a curve, in percent, as a band around it."""
    low, high = [100 * i.low for i in curve.values()], [100 * i.high for i in curve.values()]
    axes.fill_between(list(curve), low, high, color=color, alpha=alpha, linewidth=0)


def sample_axis(axes: Axes, ns: Sequence[int]) -> None:
    """Set up the axes of accuracy against n."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ns))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if ns[0] < ns[-1]:  # an axis has no two ends at one n
        axes.set_xlim(ns[0], ns[-1])
    axes.set_xlabel("samples per problem, n")
    axes.set_ylabel("accuracy (%)")


@dataclass(frozen=True, slots=True)
class VotingLine:
    """A line of Figure 3: accuracies in percent of the best-scored response and of voting with the scores, and the gain
    in words."""

    label: str
    look: Look
    best_of_n: float
    weighted: float
    gain: str


def weighted_voting(evaluation: Evaluation, palette: Palette) -> Figure | None:
    """Figure 3: what voting with the scores adds to taking the best one; None without reward models."""
    majority = evaluation.accuracies.overall(MAJORITY)
    lines = [
        VotingLine(
            evaluation.methods[v.chooser],
            palette.looks[v.chooser],
            100 * v.best_of_n,
            100 * v.weighted,
            f"{signed(100 * v.gain.mean)} [{signed(100 * v.gain.low)}, {signed(100 * v.gain.high)}]",
        )
        for v in voting_gains(evaluation)
    ]
    if not lines or majority is None:
        return None
    return draw_voting(lines, 100 * evaluation.accuracies.mean(majority), "gain [95 %]")


def draw_voting(lines: Sequence[VotingLine], majority: float, gains: str) -> Figure:
    """Figure 3 from its numbers; ``gains`` is the head of what stands to the right of the lines."""
    left = 0.15 + text_width((line.label for line in lines), 7.5)
    panels = new_figure((3.6, 0.3 + 0.22 * len(lines)), [gains, *(line.gain for line in lines)], left=left)
    (axes,) = panels.axes
    axes.axvline(majority, color=INK, linewidth=1.0, linestyle=(0, (2, 1.5)), zorder=1)
    above = axes.get_xaxis_transform()
    axes.text(majority, 1.01, "majority", transform=above, ha="center", va="bottom", fontsize=LABEL_SIZE, color=INK)
    axes.text(1.04, 1.01, gains, transform=axes.transAxes, va="bottom", fontsize=LABEL_SIZE, color=MUTED)
    beside = axes.get_yaxis_transform()
    for row, line in enumerate(lines):
        look = line.look
        axes.plot([line.best_of_n, line.weighted], [row, row], color=look.color, linewidth=1.2)
        axes.plot(line.best_of_n, row, marker="|", markersize=8, markeredgewidth=1.4, color=look.color)
        axes.plot(line.weighted, row, **{**look.line(), "linestyle": ""})
        axes.text(1.04, row, line.gain, transform=beside, va="center", fontsize=LABEL_SIZE, color=INK)
    axes.set_yticks(range(len(lines)), [line.label for line in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)
    inches = axes.get_position().width * panels.figure.get_figwidth()
    axes.xaxis.set_major_locator(MaxNLocator(min(7, int(inches / 0.3)), steps=[1, 2, 5, 10]))
    axes.set_xlabel("accuracy (%), from best-of-n (bar) to weighted best-of-n (marker)")
    return panels.figure
