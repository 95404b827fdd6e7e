"""Accuracy on each problem set beside the mean over the sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from harness.analysis.accuracy import Key
from harness.analysis.choosers import AVERAGE, BASELINES, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Interval
from harness.analysis.rows import Columns
from harness.analysis.seeds import BySeed, accuracy_intervals


@dataclass(frozen=True, slots=True)
class SetRow:
    """Accuracy of ``row`` (a chooser's label) on a problem set; ``set`` is "average" in the mean over the sets."""

    set: str
    generator: str
    row: str
    n: int
    accuracy: Annotated[Interval, Columns(low="ci_low", high="ci_high", n_problems="n_problems")]


def by_set(evaluation: Evaluation) -> list[SetRow]:
    """Each chooser at the largest headline n, averaged over generators where there are several: a row for each set,
    then one for the mean. No rows where there is one set.

    A reward model without scores of a set has rows of the others, and none of the mean.
    """
    accuracies = evaluation.accuracies
    if len(accuracies.sets) < 2:
        return []
    where, n = accuracies.whole, accuracies.n_max
    every = accuracies.rows | dict(accuracies.partial)
    rows = []
    for chooser, label in _labels(evaluation):
        size = accuracies.ns(where)[-1] if chooser == PASS_AT_1 else n
        key = Key(where, chooser, accuracies.protocol, size)
        if key not in every:
            continue
        row = accuracies.row_by_seed(every, key)
        for one in accuracies.sets:
            own = BySeed(row.values[:, one.members], row.seeds)
            if np.isfinite(own.mean).any():
                rows.append(SetRow(one.name, where, label, n, accuracy_intervals(one.bootstrap, [own])[0]))
        if key in accuracies.rows:
            rows.append(SetRow(AVERAGE, where, label, n, accuracies.interval(row)))
    return rows


def _labels(evaluation: Evaluation) -> Iterator[tuple[Chooser, str]]:
    """The choosers of the table, in its order: those of Table 1, and those that lack a set in their places."""
    yield from ((chooser, BASELINES[chooser]) for chooser in (PASS_AT_1, MAJORITY))
    lacking = {key.chooser for key in evaluation.accuracies.partial}
    for name, aggregation in evaluation.results.variants():
        chooser = Chooser("best_of_n", name, aggregation)
        method = evaluation.method(chooser)
        if evaluation.entry(method) == name and (method in evaluation.methods or chooser in lacking):
            yield method, evaluation.methods.get(method, name)
    yield ORACLE, BASELINES[ORACLE]
