"""The spread over training seeds: of every method that was trained with several, its accuracy and what seeds add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from harness.analysis.choosers import AVERAGE
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Interval
from harness.analysis.rows import Columns, Fraction
from harness.analysis.seeds import BySeed, accuracy_intervals, seed_sd


@dataclass(frozen=True, slots=True)
class SeedsRow:
    """A method over its training seeds; ``n`` is None in the average over generators and n.

    ``accuracy`` has the interval over problems and seeds, which is what may be claimed. ``problems_low`` and
    ``problems_high`` are the interval over problems alone, at the same mean: what is beyond it is due to seeds.
    ``seed_sd`` is the standard deviation of the trainings' accuracies, ``lowest`` and ``highest`` are the extremes.
    ``trainings`` names the reward models.
    """

    generator: str
    reward_model: str
    strategy: str
    aggregation: str
    n: int | None
    seeds: int
    accuracy: Annotated[Interval, Columns(low="ci_low", high="ci_high", n_problems="n_problems")]
    seed_sd: Fraction
    lowest: Fraction
    highest: Fraction
    problems_low: Fraction
    problems_high: Fraction
    trainings: str


def seed_table(evaluation: Evaluation) -> list[SeedsRow]:
    """A row per method with several seeds, rule and place; no rows without such methods."""
    accuracies = evaluation.accuracies
    places = [(generator, n) for generator in accuracies.generators for n in accuracies.headline_n]
    methods = [chooser for chooser in evaluation.methods if chooser.reward_model in accuracies.seeds]
    found = [
        (generator, n, rule, row)
        for method in methods
        for rule in (method, method.weighted)
        for generator, n in [*places, (AVERAGE, None)]
        if (row := accuracies.overall_by_seed(rule) if n is None else accuracies.by_seed(generator, rule, n))
    ]
    by_seed = [row for *_, row in found]
    of_both = accuracy_intervals(accuracies.bootstrap, by_seed)
    of_problems = accuracy_intervals(accuracies.bootstrap, [BySeed(row.mean[None]) for row in by_seed])
    rows = []
    for (generator, n, rule, row), accuracy, problems in zip(found, of_both, of_problems, strict=True):
        means = row.seed_means(accuracies.bootstrap)
        rows.append(
            SeedsRow(
                generator=generator,
                reward_model=rule.reward_model,
                strategy=rule.rule,
                aggregation=rule.aggregation,
                n=n,
                seeds=row.n_seeds,
                accuracy=accuracy,
                seed_sd=Fraction(seed_sd(accuracies.bootstrap, row)),
                lowest=Fraction(float(means.min())),
                highest=Fraction(float(means.max())),
                problems_low=Fraction(problems.low),
                problems_high=Fraction(problems.high),
                trainings=" ".join(accuracies.seeds[rule.reward_model].values()),
            )
        )
    return rows
