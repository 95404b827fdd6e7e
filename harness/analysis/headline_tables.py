"""The tables, as data frames: views of the accuracies, the ledger and the grades.

Accuracies and differences are in percent (points); intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import AVERAGE, BASELINES, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Difference, Interval, holm
from harness.core.arrays import Floats
from harness.storage.results import Results


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
    """

    columns: tuple[tuple[str, int | None], ...]
    rows: tuple[Row, ...]
    tied: frozenset[tuple[int, int]] = frozenset()

    def best(self, column: int) -> float | None:
        """The highest mean of a column, the oracle aside; None where all are the same, as at n = 1."""
        found = [r.cells[column] for r in self.rows if r.chooser != ORACLE]
        means = [round(100 * c.mean, 1) for c in found if c is not None]
        return max(means) if means and max(means) > min(means) else None

    def frame(self) -> pd.DataFrame:
        """A row per method; per column its accuracy and, as ``<column>_low`` and ``_high``, its interval."""
        records = []
        for row in self.rows:
            record: dict[str, object] = {"method": row.label}
            for (generator, n), cell in zip(self.columns, row.cells, strict=True):
                name = "avg" if n is None else f"{generator}@{n}"
                numbers = (np.nan,) * 3 if cell is None else (100 * cell.mean, 100 * cell.low, 100 * cell.high)
                record |= dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))
            records.append(record)
        return pd.DataFrame(records)


def table1(evaluation: Evaluation) -> Table1:
    """Reward models with pass@1 and majority before and pass@n after them."""
    accuracies = evaluation.accuracies
    columns: list[tuple[str, int | None]] = [(g, n) for g in accuracies.generators for n in accuracies.headline_n]
    columns.append((AVERAGE, None))
    labels = {
        **{c: BASELINES[c] for c in (PASS_AT_1, MAJORITY)},
        **evaluation.choosers,
        ORACLE: BASELINES[ORACLE],
    }
    values = [[_at(accuracies, generator, chooser, n) for generator, n in columns] for chooser in labels]
    rows = []
    for (chooser, label), row in zip(labels.items(), values, strict=True):
        intervals = iter(accuracies.bootstrap.intervals(np.array([v for v in row if v is not None])))
        rows.append(Row(label, chooser, tuple(None if v is None else next(intervals) for v in row)))
    table = Table1(tuple(columns), tuple(rows))
    # The oracle, last, competes with nobody; where all are the same, as at n = 1, nobody does.
    tied = [
        (row, column)
        for column, of_choosers in enumerate(zip(*values[:-1], strict=True))
        if table.best(column) is not None
        for row in _tied_with_best(accuracies, of_choosers)
    ]
    return replace(table, tied=frozenset(tied))


def _tied_with_best(accuracies: Accuracies, values: Sequence[Floats | None]) -> list[int]:
    """Which of ``values``, a chooser's each, cannot be told from the best of them."""
    there = {i: v for i, v in enumerate(values) if v is not None}
    best = max(there, key=lambda i: float(np.nanmean(there[i])))
    behind = {i: there[best] - v for i, v in there.items() if i != best and np.isfinite(there[best] - v).any()}
    intervals = accuracies.bootstrap.intervals(np.array(list(behind.values())))
    return [i for i, interval in zip(behind, intervals, strict=True) if interval.low <= 1e-12]


def weighted_table(evaluation: Evaluation) -> pd.DataFrame:
    """Weighted against plain best-of-n and against majority vote; generator "average", n empty: as Table 1's avg."""
    accuracies = evaluation.accuracies
    cells, plain, weighted, votes = [], [], [], []
    for chooser, label in evaluation.choosers.items():
        for generator, n in _places(accuracies):
            best, voted, majority = (_at(accuracies, generator, c, n) for c in (chooser, chooser.weighted, MAJORITY))
            if best is None or voted is None or majority is None:
                continue
            cells.append((generator, label, n))
            plain.append(best)
            weighted.append(voted)
            votes.append(majority)
    bootstrap = accuracies.bootstrap
    gain = bootstrap.compare(np.array(weighted), np.array(plain))
    over = bootstrap.compare(np.array(weighted), np.array(votes))
    means = [[100 * float(np.nanmean(v)) for v in kind] for kind in (plain, weighted, votes)]
    return pd.DataFrame(
        [
            (*cell, p, w, m, *_percent(g)[:3], g.p_permutation, *_percent(o)[:3], o.p_permutation)
            for cell, p, w, m, g, o in zip(cells, *means, gain, over, strict=True)
        ],
        columns=[
            *("generator", "reward_model", "n", "best_of_n", "weighted_best_of_n", "majority"),
            *("over_best_of_n", "over_best_of_n_low", "over_best_of_n_high", "over_best_of_n_p"),
            *("over_majority", "over_majority_low", "over_majority_high", "over_majority_p"),
        ],
    ).astype({"n": "Int64"})


def comparisons(evaluation: Evaluation) -> pd.DataFrame:
    """Best-of-n of every reward model against pass@1, majority and, for trained ones, the untrained reward models.

    ``p_holm`` corrects ``p_permutation`` for all comparisons made at the same place (generator and n).
    """
    accuracies, trainings = evaluation.accuracies, evaluation.trainings
    untrained = [(label, c) for c, label in evaluation.choosers.items() if not trainings[c.reward_model].trained]
    keys, a, b = [], [], []
    for chooser, label in evaluation.choosers.items():
        against = [(BASELINES[c], c) for c in (PASS_AT_1, MAJORITY)]
        if trainings[chooser.reward_model].trained:
            against += [u for u in untrained if u[1].aggregation == chooser.aggregation or len(untrained) == 1]
        for generator, n in _places(accuracies):
            for name, other in against:
                ours, theirs = _at(accuracies, generator, chooser, n), _at(accuracies, generator, other, n)
                if n != 1 and ours is not None and theirs is not None and np.isfinite(ours - theirs).any():
                    keys.append((generator, label, accuracies.protocol, n, name))
                    a.append(ours)
                    b.append(theirs)
    differences = accuracies.bootstrap.compare(np.array(a), np.array(b))
    frame = pd.DataFrame(
        [
            (*key, *_percent(d)[:3], d.p_bootstrap, d.p_permutation, np.nan, d.won, d.lost, d.n_problems)
            for key, d in zip(keys, differences, strict=True)
        ],
        columns=[
            *("generator", "reward_model", "protocol", "n", "against", "difference", "ci_low", "ci_high"),
            *("p_bootstrap", "p_permutation", "p_holm", "won", "lost", "n_problems"),
        ],
    ).astype({"n": "Int64"})
    together = frame.groupby(["generator", "n"], dropna=False)["p_permutation"]
    frame["p_holm"] = together.transform(lambda p: holm(p.to_numpy()))
    return frame


def answers(results: Results) -> pd.DataFrame:
    """Verdicts per generator by reason: how answers came to count as right, wrong or not gradable."""
    grades = results.grades.astype({"generator": pd.CategoricalDtype(list(results.manifest.generators), ordered=True)})
    groups = grades.groupby(["generator", "correct", "reason"], observed=True)
    counts = groups.size().rename("responses").reset_index()
    unvoting = groups["answer_class"].agg(lambda c: int((c < 0).sum())).rename("without_answer").reset_index()
    counts["without_answer"] = unvoting["without_answer"]
    totals = counts.groupby("generator", observed=True)["responses"].transform("sum")
    counts["percent"] = 100 * counts["responses"] / totals
    return counts


def breakdown(evaluation: Evaluation) -> pd.DataFrame:
    """Accuracy at the largest headline n by subject and by level, for pass@1, majority and each method's best-fed
    reward model, averaged over generators where there are several."""
    accuracies = evaluation.accuracies
    where, n = AVERAGE if accuracies.averaged else accuracies.generators[0], accuracies.n_max
    headline = {training.reward_model for training in evaluation.headline}
    labels = {c: BASELINES[c] for c in (PASS_AT_1, MAJORITY)}
    labels |= {c: evaluation.choosers[c] for name, c in evaluation.first_choosers.items() if name in headline}
    rows = []
    for by in ("subject", "level"):
        column = evaluation.results.problems[by]
        for group in sorted(g for g in column.dropna().unique() if g != ""):
            members = (column == group).to_numpy()
            for chooser, label in labels.items():
                values = accuracies.values(where, chooser, n)
                if values is None or not np.isfinite(values[members]).any():
                    continue
                interval = accuracies.interval(np.where(members, values, np.nan))
                rows.append((by, f"{group:g}" if by == "level" else group, where, label, n, *_percent(interval)))
    return pd.DataFrame(
        rows, columns=["by", "group", "generator", "row", "n", "accuracy", "ci_low", "ci_high", "n_problems"]
    )


def _places(accuracies: Accuracies) -> Iterator[tuple[str, int | None]]:
    """Where choosers are compared: each generator and their average at each headline n, and the overall average."""
    averaged = (AVERAGE,) if accuracies.averaged else ()
    for generator in (*accuracies.generators, *averaged):
        for n in accuracies.headline_n:
            yield generator, n
    yield AVERAGE, None


def _at(accuracies: Accuracies, generator: str, chooser: Chooser, n: int | None) -> Floats | None:
    return accuracies.overall(chooser) if n is None else accuracies.values(generator, chooser, n)


def _percent(found: Interval | Difference) -> tuple[float, float, float, int]:
    return 100 * found.mean, 100 * found.low, 100 * found.high, found.n_problems
