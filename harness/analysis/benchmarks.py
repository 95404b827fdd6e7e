"""Numbers of published benchmarks beside best-of-N: do they put reward models in the same order?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import AVERAGE, Chooser
from harness.analysis.inference import Interval
from harness.analysis.rank_agreement import Correlation, drawn_interval, kendall, permutation_p, spearman
from harness.analysis.rows import Columns, Fraction
from harness.core.arrays import Floats
from harness.storage.benchmarks import BenchmarkResults, read_benchmarks, scores_key

_FEWEST = 3  # reward models: two are in the same order or not
_DIGITS = 12  # accuracies that are equal in exact arithmetic are ties


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """A number of a benchmark, and the accuracy of the best of n responses of a generator, for a reward model.

    Attributes:
        number: one of the benchmark's headlines, ``value`` its value.
        n_items: of the benchmark; ``unscored`` of their solutions have no score.
        aggregation: by which best of n went.
        best_of_n: at the largest n.
    """

    benchmark: str
    number: str
    reward_model: str
    aggregation: str
    value: Fraction
    n_items: int
    unscored: int
    generator: str
    n: int
    best_of_n: Annotated[Interval, Columns(n_problems="n_problems")]


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """A rank correlation with the interval of the bootstrap draws, and the p of the permutation test."""

    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """How far a number of a benchmark puts ``n_models`` reward models in the order of best-of-n accuracy.

    The intervals are over the problems of the run: the benchmark's numbers, and which reward models there are, stay as
    they are.
    """

    benchmark: str
    number: str
    generator: str
    n: int
    n_models: int
    spearman: float
    spearman_low: float
    spearman_high: float
    spearman_p: float
    kendall: float
    kendall_low: float
    kendall_high: float
    kendall_p: float


@dataclass(frozen=True)
class Beside:
    """What benchmarks say beside best-of-N.

    ``outdated``: (benchmark, reward model) of numbers that are of other scores than the run has by now; they are in no
    row.
    """

    rows: Sequence[BenchmarkRow]
    agreement: Sequence[AgreementRow]
    outdated: Sequence[tuple[str, str]]


def beside_best_of_n(folder: Path, accuracies: Accuracies, choosers: Mapping[str, Chooser], seed: int) -> Beside:
    """The numbers that a results folder has of benchmarks, beside accuracies at the largest n.

    Args:
        choosers: reward model -> its best-of-n chooser.
        seed: of random orders.

    Raises:
        UserError: for a file of a benchmark that cannot be read.
    """
    found = read_benchmarks(folder)
    keys = {name: scores_key(folder, name) for name in choosers} if found else {}
    places = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    rows: list[BenchmarkRow] = []
    agreement: list[AgreementRow] = []
    for results in found:
        known = [name for name in choosers if name in results.reward_models]
        current = [name for name in known if results.reward_models[name].of_scores == keys[name]]
        for number in results.headlines:
            having = [name for name in current if number in results.reward_models[name].values]
            for place in places:
                at = {name: v for name in having if (v := _values(accuracies, place, choosers[name])) is not None}
                rows += [_row(results, number, name, choosers[name], accuracies, place, v) for name, v in at.items()]
                if len(at) >= _FEWEST:
                    agreement.append(_agreement(results, number, at, accuracies, place, seed))
    outdated = [
        (results.benchmark, name)
        for results in found
        for name in choosers
        if name in results.reward_models and results.reward_models[name].of_scores != keys[name]
    ]
    return Beside(rows, agreement, outdated)


def _values(accuracies: Accuracies, place: str, chooser: Chooser) -> Floats | None:
    return accuracies.values(place, chooser, accuracies.n_max)


def _row(
    results: BenchmarkResults,
    number: str,
    name: str,
    chooser: Chooser,
    accuracies: Accuracies,
    place: str,
    values: Floats,
) -> BenchmarkRow:
    measured = results.reward_models[name]
    return BenchmarkRow(
        benchmark=results.benchmark,
        number=number,
        reward_model=name,
        aggregation=chooser.aggregation,
        value=Fraction(measured.values[number]),
        n_items=measured.n,
        unscored=measured.unscored,
        generator=place,
        n=accuracies.n_max,
        best_of_n=accuracies.interval(values),
    )


def _agreement(
    results: BenchmarkResults, number: str, at: Mapping[str, Floats], accuracies: Accuracies, place: str, seed: int
) -> AgreementRow:
    values = np.array(list(at.values()))
    y = np.array([results.reward_models[name].values[number] for name in at])
    x = np.round(accuracies.bootstrap.average(values), _DIGITS)
    drawn = np.round(accuracies.bootstrap.means(values), _DIGITS)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    rho, tau = (_correlation(x, y, drawn, correlation, seed) for correlation in (spearman, kendall))
    return AgreementRow(
        benchmark=results.benchmark,
        number=number,
        generator=place,
        n=accuracies.n_max,
        n_models=len(at),
        spearman=rho.mean,
        spearman_low=rho.low,
        spearman_high=rho.high,
        spearman_p=rho.p,
        kendall=tau.mean,
        kendall_low=tau.low,
        kendall_high=tau.high,
        kendall_p=tau.p,
    )


def _correlation(x: Floats, y: Floats, drawn: Floats, correlation: Correlation, seed: int) -> RankCorrelation:
    mean = float(correlation(x, y))
    if math.isnan(mean):
        return RankCorrelation(math.nan, math.nan, math.nan, math.nan)
    return RankCorrelation(mean, *drawn_interval(drawn, y, correlation), permutation_p(x, y, correlation, seed))
