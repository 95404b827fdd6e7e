"""The headline tables as rows: views of the accuracies and the grades.

Accuracies and differences are fractions; intervals are 95 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import AVERAGE, BASELINES, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Difference, Interval, corrected
from harness.analysis.rows import Columns, Fraction, cells
from harness.analysis.seeds import BySeed, accuracy_intervals, compare, leads, seed_sd


@dataclass(frozen=True, slots=True)
class Row:
    """A row of Table 1: a label, its chooser and one interval per column (None where there are no numbers)."""

    label: str
    chooser: Chooser
    cells: tuple[Interval | None, ...]


@dataclass(frozen=True, slots=True)
class Table1:
    """Table 1 of the paper: accuracy of each chooser at the headline sizes, per generator.

    ``columns`` are (generator, n), then ("average", None): the mean over generators and the sizes above 1. ``tied``
    are the (row, column) whose paired difference from the best of the column has a 95 % interval that reaches 0.
    ``label_shares`` are the shares of the training problems that reward models have step labels of, and learn from,
    where these are not all. ``seed_sds`` have, by the label of what was trained with several seeds, the standard
    deviation of the trainings' averages; NaN where there is no average. ``sets`` are the problem sets over which
    accuracies are means, where there are several.
    """

    columns: tuple[tuple[str, int | None], ...]
    rows: tuple[Row, ...]
    tied: frozenset[tuple[int, int]] = frozenset()
    label_shares: Mapping[str, float] = field(default_factory=dict)
    seed_sds: Mapping[str, float] = field(default_factory=dict)
    sets: tuple[str, ...] = ()

    def best(self, column: int) -> float | None:
        """The highest mean of a column, the oracle aside; None where all are the same, as at n = 1."""
        cells = [row.cells[column] for row in self.rows if row.chooser != ORACLE]
        means = [round(100 * cell.mean, 1) for cell in cells if cell is not None]
        return max(means) if means and max(means) > min(means) else None

    def is_best(self, row: int, column: int) -> bool:
        """Whether a cell, as it is printed, is the best of its column."""
        cell = self.rows[row].cells[column]
        return cell is not None and self.rows[row].chooser != ORACLE and round(100 * cell.mean, 1) == self.best(column)

    def frame(self) -> pd.DataFrame:
        """A row per method; per column its accuracy and, as ``<column>_low`` and ``_high``, its interval; where there
        are methods with several seeds, ``seed_sd`` of the average last."""
        names = ["avg" if n is None else f"{generator}@{n}" for generator, n in self.columns]
        records = []
        for row in self.rows:
            record: dict[str, object] = {"method": row.label}
            for name, cell in zip(names, row.cells, strict=True):
                record |= cells(name, cell)
            if self.seed_sds:
                record |= cells("seed_sd", self.seed_sds.get(row.label, math.nan))
            records.append(record)
        return pd.DataFrame(records)


def table1(evaluation: Evaluation) -> Table1:
    """Reward models with pass@1 and majority before and pass@n after them."""
    accuracies = evaluation.accuracies
    columns: list[tuple[str, int | None]] = [(g, n) for g in accuracies.generators for n in accuracies.headline_n]
    columns.append((AVERAGE, None))
    labels = {
        **{c: BASELINES[c] for c in (PASS_AT_1, MAJORITY)},
        **evaluation.methods,
        **evaluation.rule_choosers,
        ORACLE: BASELINES[ORACLE],
    }
    values = [[at_place(accuracies, generator, chooser, n) for generator, n in columns] for chooser in labels]
    rows = []
    for (chooser, label), row in zip(labels.items(), values, strict=True):
        found = iter(accuracy_intervals(accuracies.bootstrap, [v for v in row if v is not None]))
        rows.append(Row(label, chooser, tuple(None if v is None else next(found) for v in row)))
    sets = [one.name for one in accuracies.sets]
    table = Table1(tuple(columns), tuple(rows), sets=tuple(sets) if len(sets) > 1 else ())
    # The oracle, last, competes with nobody; where all are the same, as at n = 1, nobody does.
    tied = [
        (row, column)
        for column, of_choosers in enumerate(zip(*values[:-1], strict=True))
        if table.best(column) is not None
        for row in _tied_with_best(accuracies, of_choosers)
    ]
    sds = {
        label: math.nan if row[-1] is None else seed_sd(accuracies.bootstrap, row[-1])
        for (chooser, label), row in zip(labels.items(), values, strict=True)
        if chooser.reward_model in accuracies.seeds
    }
    return replace(table, tied=frozenset(tied), label_shares=_label_shares(evaluation), seed_sds=sds)


def _label_shares(evaluation: Evaluation) -> dict[str, float]:
    """Label → the share of the training problems that have step labels, where that is not all of them."""
    models = evaluation.results.manifest.reward_models
    trained = {
        label: models[training.trained_by].train or {}
        for chooser, label in evaluation.methods.items()
        if (training := evaluation.trainings[evaluation.entry(chooser)]).trained_by
    }
    shares = {label: float(train.get("label_share") or 1.0) for label, train in trained.items()}
    return {label: share for label, share in shares.items() if share < 1}


def _tied_with_best(accuracies: Accuracies, values: Sequence[BySeed | None]) -> list[int]:
    """Which of ``values``, a chooser's each, cannot be told from the best of them."""
    accuracy = {i: v for i, v in enumerate(values) if v is not None}
    best = max(accuracy, key=lambda i: accuracies.mean(accuracy[i].mean))
    behind = [i for i, v in accuracy.items() if i != best and np.isfinite(accuracy[best].mean - v.mean).any()]
    found = leads(accuracies.bootstrap, accuracy[best], [accuracy[i] for i in behind])
    return [i for i, interval in zip(behind, found, strict=True) if interval.low <= 1e-12]


@dataclass(frozen=True, slots=True)
class WeightedRow:
    """Best-of-n, voting with the same scores and majority vote; ``n`` is None in the average over generators and n."""

    generator: str
    reward_model: str
    n: int | None
    best_of_n: Fraction
    weighted_best_of_n: Fraction
    majority: Fraction
    over_best_of_n: Annotated[Difference, Columns(p_permutation="over_best_of_n_p")]
    over_majority: Annotated[Difference, Columns(p_permutation="over_majority_p")]


def weighted_table(evaluation: Evaluation) -> list[WeightedRow]:
    """Weighted against plain best-of-n and against majority vote, at every place (see :func:`all_places`)."""
    places, values = [], []
    for chooser, label in evaluation.methods.items():
        for generator, n in all_places(evaluation.accuracies):
            rules = chooser, chooser.weighted, MAJORITY
            of_rules = [v for c in rules if (v := at_place(evaluation.accuracies, generator, c, n)) is not None]
            if len(of_rules) == len(rules):
                places.append((generator, label, n))
                values.append(of_rules)
    if not places:
        return []
    plain, weighted, votes = zip(*values, strict=True)
    bootstrap = evaluation.accuracies.bootstrap
    gains, over_votes = compare(bootstrap, weighted, plain), compare(bootstrap, weighted, votes)
    rows = []
    for i, (generator, label, n) in enumerate(places):
        best, voted, majority = (Fraction(evaluation.accuracies.mean(v[i].mean)) for v in (plain, weighted, votes))
        rows.append(WeightedRow(generator, label, n, best, voted, majority, gains[i], over_votes[i]))
    return rows


@dataclass(frozen=True, slots=True)
class RivalRow:
    """Best-of-n of a reward model against a rival; ``n`` is None in the average over generators and n."""

    generator: str
    reward_model: str
    protocol: str
    n: int | None
    against: str
    difference: Annotated[
        Difference,
        Columns(
            low="ci_low",
            high="ci_high",
            **{name: name for name in ("p_bootstrap", "p_permutation", "p_holm", "won", "lost", "n_problems")},
        ),
    ]


def comparisons(evaluation: Evaluation) -> list[RivalRow]:
    """Best-of-n of every reward model against pass@1, majority and, for trained ones, the untrained reward models.

    ``p_holm`` corrects for all comparisons made at the same place (generator and n).
    """
    accuracies, trainings = evaluation.accuracies, evaluation.trainings
    choosers = evaluation.methods
    untrained = [(label, c) for c, label in choosers.items() if not trainings[evaluation.entry(c)].trained]
    rows, ours, theirs = [], [], []
    for chooser, label in choosers.items():
        rivals = [(BASELINES[c], c) for c in (PASS_AT_1, MAJORITY)]
        if trainings[evaluation.entry(chooser)].trained:
            rivals += [u for u in untrained if u[1].aggregation == chooser.aggregation or len(untrained) == 1]
        for generator, n in all_places(accuracies):
            for name, rival in rivals:
                a, b = at_place(accuracies, generator, chooser, n), at_place(accuracies, generator, rival, n)
                if n != 1 and a is not None and b is not None and np.isfinite(a.mean - b.mean).any():
                    rows.append((generator, label, accuracies.protocol, n, name))
                    ours.append(a)
                    theirs.append(b)
    differences = compare(accuracies.bootstrap, ours, theirs)
    for place in {(generator, n) for generator, _, _, n, _ in rows}:
        members = [i for i, (generator, _, _, n, _) in enumerate(rows) if (generator, n) == place]
        for i, difference in zip(members, corrected([differences[i] for i in members]), strict=True):
            differences[i] = difference
    return [RivalRow(*row, difference) for row, difference in zip(rows, differences, strict=True)]


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """How many of a generator's responses got a verdict for a reason, and how many of these never vote."""

    generator: str
    correct: bool
    reason: str
    responses: int
    without_answer: int
    share: Annotated[Fraction, Columns("percent")]


def answers(evaluation: Evaluation) -> list[AnswerRow]:
    """Verdicts per generator by reason: how answers came to count as right, wrong or not gradable."""
    rows = []
    for generator in evaluation.results.manifest.generators:
        verdicts, without = Counter[tuple[bool, str]](), Counter[tuple[bool, str]]()
        for table in evaluation.results.graded(generator, ["correct", "reason", "answer_class"]):
            of_table = list(zip(*(table.column(name).to_pylist() for name in ("correct", "reason")), strict=True))
            verdicts.update(of_table)
            without.update(compress(of_table, pc.less(table.column("answer_class"), 0).to_pylist()))
        for (correct, reason), n in sorted(verdicts.items()):
            share = Fraction(n / verdicts.total())
            rows.append(AnswerRow(generator, correct, reason, n, without[correct, reason], share))
    return rows


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """Accuracy of ``row`` (a chooser's label) on the problems of one subject or level."""

    by: str
    group: str
    generator: str
    row: str
    n: int
    accuracy: Annotated[Interval, Columns(low="ci_low", high="ci_high", n_problems="n_problems")]


def breakdown(evaluation: Evaluation) -> list[BreakdownRow]:
    """Accuracy at the largest headline n by subject and by level, averaged over generators where there are several.

    The rows are pass@1, majority and, of each method, the reward model that was trained on most.
    """
    accuracies = evaluation.accuracies
    where, n = accuracies.whole, accuracies.n_max
    headline = {training.reward_model for training in evaluation.headline}
    labels = {c: BASELINES[c] for c in (PASS_AT_1, MAJORITY)}
    first = [evaluation.method(c) for name, c in evaluation.first_choosers.items() if name in headline]
    labels |= {c: evaluation.methods[c] for c in first}
    rows = []
    for by in ("subject", "level"):
        column = evaluation.results.problems[by]
        for group in sorted(g for g in column.dropna().unique() if g != ""):
            members = (column == group).to_numpy()
            for chooser, label in labels.items():
                values = accuracies.by_seed(where, chooser, n)
                if values is None or not np.isfinite(values.mean[members]).any():
                    continue
                interval = accuracies.interval(values.on(np.where(members, 0.0, np.nan)))
                rows.append(BreakdownRow(by, f"{group:g}" if by == "level" else group, where, label, n, interval))
    return rows


def all_places(accuracies: Accuracies) -> Iterator[tuple[str, int | None]]:
    """Where choosers are compared: generator and n.

    Each generator and their average at each headline n; last, with n None, the average over generators and over n, as
    in Table 1.
    """
    averaged = (AVERAGE,) if accuracies.averaged else ()
    for generator in (*accuracies.generators, *averaged):
        for n in accuracies.headline_n:
            yield generator, n
    yield AVERAGE, None


def at_place(accuracies: Accuracies, generator: str, chooser: Chooser, n: int | None) -> BySeed | None:
    """The accuracies of a chooser at one of :func:`all_places`; None where there are none."""
    return accuracies.overall_by_seed(chooser) if n is None else accuracies.by_seed(generator, chooser, n)
