"""The accuracy of each method over its cost, and the costs at equal accuracy: the numbers of Figure 1.

A method has a line through its data scales: accuracy over the logarithm of cost, straight between two scales. The most
accurate method with several scales is the yardstick. Every other method is compared with the yardstick at the highest
accuracy that both lines reach. Where even the cheapest scale of one method is better than the best scale of the other,
there is no equal accuracy. Costs are not extrapolated: the cost of the cheapest scale is then a bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from harness.analysis.choosers import Chooser
from harness.analysis.costs import development_flops
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Bootstrap
from harness.analysis.rows import Columns, Fraction
from harness.core.arrays import Floats

Bound = Literal["=", "<", ">"]


@dataclass(frozen=True, slots=True)
class CostLine:
    """A method at several data scales: costs in FLOPs, ascending, accuracies per problem, float [scales, P], and the
    chooser of each scale."""

    method: str
    costs: tuple[float, ...]
    accuracies: Floats
    choosers: tuple[Chooser, ...] = ()


@dataclass(frozen=True, slots=True)
class EqualAccuracy:
    """``method`` costs ``ratio`` times what ``yardstick`` does at the same ``accuracy``; costs are in FLOPs.

    With ``bound`` ">" it costs more than that, with "<" less. The interval is that of the bootstrap draws in which both
    reach an equal accuracy; ``met`` is the share of such draws.
    """

    method: str
    yardstick: str
    accuracy: Fraction
    cost: Annotated[float, Columns("flops")]
    yardstick_cost: Annotated[float, Columns("yardstick_flops")]
    bound: Bound
    ratio: float
    low: Annotated[float, Columns("ratio_low")]
    high: Annotated[float, Columns("ratio_high")]
    met: Fraction

    @property
    def text(self) -> str:
        """The ratio, for people."""
        return f"{self.bound.strip('=')}{self.ratio:.2g}"


def accuracy_at_largest_n(evaluation: Evaluation, chooser: Chooser) -> Floats | None:
    """Accuracy per problem, float [P], at the largest headline n, averaged over generators where there are several."""
    accuracies = evaluation.accuracies
    generator = accuracies.whole
    return accuracies.values(generator, chooser, accuracies.n_max)


def cost_lines(evaluation: Evaluation) -> list[CostLine]:
    """The trained methods of a run: development FLOPs against accuracy at the largest headline n.

    Of a method only the reward models on its usual data are scales of one line. What was trained with several seeds
    has their mean accuracy, and the cost of one training. An ensemble of trained reward models is
    a line of one dot, at what its members cost.
    """
    flops = development_flops(evaluation.costs)
    scales: dict[str, list[tuple[float, Chooser]]] = {}
    for chooser in evaluation.methods:
        training = evaluation.trainings[evaluation.entry(chooser)]
        has_accuracy = accuracy_at_largest_n(evaluation, chooser) is not None
        developed = training.trained or evaluation.results.manifest.reward_models[training.reward_model].members
        if has_accuracy and developed and training.usual and training.reward_model in flops:
            scales.setdefault(training.method, []).append((flops[training.reward_model], chooser))
    lines = []
    for method, of_method in scales.items():
        costs, choosers = zip(*sorted(of_method), strict=True)
        values = np.array([accuracy_at_largest_n(evaluation, chooser) for chooser in choosers])
        lines.append(CostLine(method, costs, values, choosers))
    return lines


def equal_accuracies(evaluation: Evaluation) -> list[EqualAccuracy]:
    """The cost ratios of a run: of the methods that score as they were trained, with their reference."""
    trainings = evaluation.trainings
    lines = [line for line in cost_lines(evaluation) if trainings[evaluation.entry(line.choosers[0])].reference]
    return equal_accuracy(lines, evaluation.accuracies.bootstrap)


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


def equal_accuracy(lines: Sequence[CostLine], bootstrap: Bootstrap) -> list[EqualAccuracy]:
    """Every other method against the yardstick, in the order of ``lines``."""
    means = {line.method: bootstrap.average(line.accuracies).tolist() for line in lines}
    if len(lines) < 2:
        return []
    yardstick = max(lines, key=lambda line: (len(line.costs) > 1, max(means[line.method])))
    drawn = {line.method: bootstrap.means(line.accuracies).tolist() for line in lines}
    rows = []
    for line in lines:
        if line is yardstick:
            continue
        accuracy, cost, yardstick_cost, bound = _meet(line, means[line.method], yardstick, means[yardstick.method])
        draws = zip(drawn[line.method], drawn[yardstick.method], strict=True)
        meetings = [_meet(line, of_line, yardstick, of_yardstick) for of_line, of_yardstick in draws]
        ratios = [met_at / against for _, met_at, against, bound_of_draw in meetings if bound_of_draw == "="]
        low, high = np.quantile(ratios, (0.025, 0.975)).tolist() if ratios else (math.nan, math.nan)
        rows.append(
            EqualAccuracy(
                line.method,
                yardstick.method,
                accuracy=Fraction(accuracy),
                cost=cost,
                yardstick_cost=yardstick_cost,
                bound=bound,
                ratio=cost / yardstick_cost,
                low=low,
                high=high,
                met=Fraction(len(ratios) / len(meetings)),
            )
        )
    return rows


def _meet(
    line: CostLine, of_line: Sequence[float], yardstick: CostLine, of_yardstick: Sequence[float]
) -> tuple[float, float, float, Bound]:
    """The highest accuracy that both lines reach, what it costs on each, and whether these costs are only a bound.

    Args:
        of_line: the accuracy of each scale of ``line``.
        of_yardstick: the accuracy of each scale of ``yardstick``.
    """
    accuracy = min(max(of_line), max(of_yardstick))
    cost = cost_at(accuracy, line.costs, of_line)
    yardstick_cost = cost_at(accuracy, yardstick.costs, of_yardstick)
    if cost is not None and yardstick_cost is not None:
        return accuracy, cost, yardstick_cost, "="
    # One line starts above the best of the other; the other reaches its own best.
    if cost is not None:
        return accuracy, cost, yardstick.costs[0], ">"
    assert yardstick_cost is not None
    return accuracy, line.costs[0], yardstick_cost, "<"
