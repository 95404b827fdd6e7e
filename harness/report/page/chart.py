"""What the report's interactive chart draws: accuracy against n, with intervals, per generator and method."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import AVERAGE, BASELINES, Chooser
from harness.analysis.evaluation import Evaluation
from harness.report.figures.accuracy import Palette


def curve_data(evaluation: Evaluation) -> dict[str, Any]:
    """As JSON.

    ``places``: the generators and, where there is one, their average first; each has a ``name``, its ``ns`` and one
    entry of ``values`` per line: a list with [accuracy, low, high] in percent, or null, for each of ``ns``. ``lines``:
    the methods. Those of ``strategy`` "best_of_n" have a twin that votes with the same scores, "weighted_best_of_n";
    baselines belong to both. ``shown`` are the lines to start with.
    """
    palette, accuracies = Palette(evaluation), evaluation.accuracies
    headline = set(palette.headline())
    lines: list[dict[str, Any]] = []
    choosers: list[Chooser] = []
    for chooser, label in BASELINES.items():
        choosers.append(chooser)
        lines.append({"label": label, "strategy": "", "baseline": chooser.rule, "shown": True})
    for chooser, label in palette.labels.items():
        look = palette.look(chooser)
        for strategy in ("best_of_n", "weighted_best_of_n"):
            choosers.append(chooser._replace(rule=strategy))
            lines.append(
                {
                    "label": label,
                    "strategy": strategy,
                    "shown": chooser in headline,
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
    found: list[list[list[float] | None]] = []
    for chooser in choosers:
        rows = [accuracies.values(generator, chooser, n) for n in accuracies.ns(generator)]
        there = [row for row in rows if row is not None]
        intervals = iter(accuracies.bootstrap.intervals(np.array(there)))
        points: list[list[float] | None] = []
        for row in rows:
            if row is None:
                points.append(None)
                continue
            i = next(intervals)
            points.append([round(100 * x, 1) for x in (i.mean, i.low, i.high)])  # as the tables round
        found.append(points)
    return found
