"""What methods cost at equal accuracy: the ratios that Figure 1 shows.

A method's line runs through its data scales, straight in accuracy over the logarithm of cost. The most accurate method
with several scales is the yardstick; every other one is met at the highest accuracy that both reach, somewhere between
the yardstick's cheapest and its best scale. Where even the cheapest scale of one is better than the best of the other
there is no equal accuracy. Costs are not extrapolated: the cheapest scale bounds what the better one would cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.analysis.inference import Bootstrap
from harness.core.arrays import Floats

Bound = Literal["", "<", ">"]


@dataclass(frozen=True, slots=True)
class Line:
    """A method at several scales: costs in FLOPs, ascending, and accuracies per problem, float [scales, P]."""

    method: str
    costs: tuple[float, ...]
    accuracies: Floats


@dataclass(frozen=True, slots=True)
class EqualAccuracy:
    """``method`` costs ``ratio`` times what ``yardstick`` does at the same ``accuracy`` (a fraction).

    With ``bound`` ">" it costs more than that, with "<" less. The interval is that of the bootstrap draws in which both
    reach an equal accuracy, whose share is ``met``.
    """

    method: str
    yardstick: str
    accuracy: float
    cost: float
    yardstick_cost: float
    bound: Bound
    low: float
    high: float
    met: float

    @property
    def ratio(self) -> float:
        return self.cost / self.yardstick_cost

    @property
    def text(self) -> str:
        """The ratio, for people."""
        return f"{self.bound}{self.ratio:.2g}"


def cost_at(accuracy: float, costs: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """The least cost at which a line reaches ``accuracy``; None where it starts above it or never does."""
    if accuracy < accuracies[0]:
        return None
    for i, reached in enumerate(accuracies):
        if reached >= accuracy:
            if i == 0 or reached == accuracy:
                return costs[i]
            share = (accuracy - accuracies[i - 1]) / (reached - accuracies[i - 1])
            return math.exp((1 - share) * math.log(costs[i - 1]) + share * math.log(costs[i]))
    return None


def equal_accuracy(lines: Sequence[Line], bootstrap: Bootstrap) -> list[EqualAccuracy]:
    """Every other method against the yardstick, in the order of ``lines``."""
    means = {line.method: np.nanmean(line.accuracies, axis=1).tolist() for line in lines}
    if len(lines) < 2:
        return []
    yardstick = max(lines, key=lambda line: (len(line.costs) > 1, max(means[line.method])))
    drawn = {line.method: bootstrap.means(line.accuracies).tolist() for line in lines}
    found = []
    for line in lines:
        if line is yardstick:
            continue
        met = _meet(line, means[line.method], yardstick, means[yardstick.method])
        draws = zip(drawn[line.method], drawn[yardstick.method], strict=True)
        meetings = [_meet(line, own, yardstick, others) for own, others in draws]
        ratios = [cost / yardstick_cost for _, cost, yardstick_cost, bound in meetings if not bound]
        low, high = np.quantile(ratios, (0.025, 0.975)) if ratios else (math.nan, math.nan)
        share = len(ratios) / len(drawn[line.method])
        found.append(EqualAccuracy(line.method, yardstick.method, *met, float(low), float(high), share))
    return found


def _meet(
    line: Line, own: Sequence[float], yardstick: Line, others: Sequence[float]
) -> tuple[float, float, float, Bound]:
    """The highest accuracy that both lines reach and what it costs on each, or what bounds it from above."""
    accuracy = min(max(own), max(others))
    cost, yardstick_cost = cost_at(accuracy, line.costs, own), cost_at(accuracy, yardstick.costs, others)
    if cost is not None and yardstick_cost is not None:
        return accuracy, cost, yardstick_cost, ""
    # The one that starts above the other's best; the other reaches its own best.
    if cost is not None:
        return accuracy, cost, yardstick.costs[0], ">"
    assert yardstick_cost is not None
    return accuracy, line.costs[0], yardstick_cost, "<"
