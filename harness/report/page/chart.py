"""What the report's interactive chart draws: accuracy against n, with intervals, per generator and method."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis.accuracy import AVERAGE, BASELINES, Accuracies, Method
from harness.report.figures.accuracy import Palette
from harness.storage.results import Results


def curve_data(results: Results, accuracies: Accuracies) -> dict[str, Any]:
    """As JSON.

    ``places``: the generators and, where there is one, their average first; each has a ``name``, its ``ns`` and one
    entry of ``values`` per line: a list with [accuracy, low, high] in percent, or null, for each of ``ns``. ``lines``:
    the methods. Those of ``strategy`` "best_of_n" have a twin that votes with the same scores, "weighted_best_of_n";
    baselines belong to both. ``shown`` are the lines to start with.
    """
    palette = Palette(results, accuracies)
    headline = set(palette.headline())
    lines: list[dict[str, Any]] = []
    methods: list[Method] = []
    for method, label in BASELINES.items():
        methods.append(method)
        lines.append({"label": label, "strategy": "", "baseline": method.strategy, "shown": True})
    for method, label in palette.labels.items():
        look = palette.look(method)
        for strategy in ("best_of_n", "weighted_best_of_n"):
            methods.append(method._replace(strategy=strategy))
            lines.append(
                {
                    "label": label,
                    "strategy": strategy,
                    "shown": method in headline,
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
            "values": _values(accuracies, generator, methods),
        }
        for generator in (*averaged, *accuracies.generators)
    ]
    return {"lines": lines, "places": places}


def _values(accuracies: Accuracies, generator: str, methods: list[Method]) -> list[list[list[float] | None]]:
    found: list[list[list[float] | None]] = []
    for method in methods:
        rows = [accuracies.values(generator, method, n) for n in accuracies.ns(generator)]
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
