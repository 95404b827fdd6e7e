"""What the report's interactive chart draws: accuracy against n, with intervals, per generator and method."""

from __future__ import annotations

from typing import Any

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import AVERAGE, BASELINES, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Interval
from harness.report.figures.palette import Palette


def curve_data(evaluation: Evaluation, palette: Palette) -> dict[str, Any]:
    """As JSON.

    ``places``: the generators and, where there is one, their average first; each has a ``name``, its ``ns`` and one
    entry of ``values`` per line: a list with [accuracy, low, high] in percent, or null, for each of ``ns``. ``lines``:
    the methods. Those of ``strategy`` "best_of_n" have a twin that votes with the same scores, "weighted_best_of_n",
    and one by each further selection rule; baselines belong to all. ``shown`` are the lines to start with.
    """
    accuracies = evaluation.accuracies
    lines: list[dict[str, Any]] = []
    choosers: list[Chooser] = []
    for chooser, label in BASELINES.items():
        choosers.append(chooser)
        lines.append({"label": label, "strategy": "", "baseline": chooser.rule, "shown": True})
    for chooser, label in evaluation.methods.items():
        look = palette.looks[chooser]
        for strategy in ("best_of_n", "weighted_best_of_n", *accuracies.rules):
            choosers.append(chooser._replace(rule=strategy))
            lines.append(
                {
                    "label": label,
                    "strategy": strategy,
                    "shown": chooser in palette.methods,
                    "color": look.color,
                    "marker": look.marker,
                    "hollow": look.hollow,
                }
            )
    averaged = (AVERAGE,) if accuracies.averaged else ()
    places = [
        {
            "name": "average over generators" if generator == AVERAGE else generator,
            "ns": accuracies.ns(generator),
            "values": _values(accuracies, generator, choosers),
        }
        for generator in (*averaged, *accuracies.generators)
    ]
    return {"lines": lines, "places": places}


def _values(accuracies: Accuracies, generator: str, choosers: list[Chooser]) -> list[list[list[float] | None]]:
    curves = [accuracies.curve(generator, chooser) for chooser in choosers]
    return [[_percent(curve[n]) if n in curve else None for n in accuracies.ns(generator)] for curve in curves]


def _percent(interval: Interval) -> list[float]:
    """As the tables round."""
    return [round(100 * bound, 1) for bound in (interval.mean, interval.low, interval.high)]
