"""Numbers that a paper published, as CSV files beside a ``published.yaml`` that says where they are from.

They are drawn by the same functions as a run's, without intervals as none were published, and laid beside those of a
run that has the same generators. Which rows are compared is written in ``published.yaml``, nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.analysis.choosers import AVERAGE, MAJORITY, PASS_AT_1, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.headline_tables import Row, Table1
from harness.analysis.inference import Interval
from harness.analysis.rows import Fraction
from harness.analysis.seeds import BySeed
from harness.core.errors import UserError, first_error, one_line
from harness.data.documents import read_yaml
from harness.storage.results import Results

INDEX = "published.yaml"
_RULES = {"pass@1": PASS_AT_1}
_VOTE = "majority vote"


class Index(BaseModel):
    """``published.yaml``: the source of each file, and what the columns and rows of Table 1 are in a run.

    ``generators``: column → model. ``methods``: row → the method of a training, or the model an entry scores with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    source: str
    problems: int
    files: dict[str, str]
    generators: dict[str, str]
    methods: dict[str, str]


@dataclass(frozen=True)
class Published:
    """The numbers in percent. ``table1``: method, ``<generator>@<n>``…, avg. ``figure2``: method, responses, of_ce.
    ``figure3``: method, best_of_n, weighted_best_of_n, its last row the majority vote. ``others``: files shown as they
    are."""

    index: Index
    table1: pd.DataFrame
    figure2: pd.DataFrame
    figure3: pd.DataFrame
    others: Mapping[str, pd.DataFrame]

    @property
    def cells(self) -> list[tuple[str, int]]:
        """(generator, n) of the columns of Table 1."""
        cells = []
        for column in self.table1.columns[1:-1]:
            generator, _, n = str(column).rpartition("@")
            cells.append((generator, int(n)))
        return cells

    def relative_costs(self) -> dict[str, dict[int, float]]:
        """Figure 2: method → responses → cost in multiples of CE's."""
        multiples: dict[str, dict[int, float]] = {}
        for row in self.figure2.to_dict("records"):
            multiples.setdefault(row["method"], {})[int(row["responses"])] = float(row["of_ce"])
        return multiples

    def votes(self) -> dict[str, tuple[float, float]]:
        """Figure 3: method → accuracy of the best-scored response, of voting with the scores."""
        rows = self.figure3[self.figure3["method"] != _VOTE]
        return {r["method"]: (float(r["best_of_n"]), float(r["weighted_best_of_n"])) for r in rows.to_dict("records")}

    @property
    def majority(self) -> float:
        """Figure 3: accuracy of majority vote alone."""
        return float(self.figure3.set_index("method")["weighted_best_of_n"][_VOTE])


def is_published(folder: Path) -> bool:
    return (folder / INDEX).is_file()


def load_published(folder: Path) -> Published:
    """Read a folder of published numbers.

    Raises:
        UserError: where a file is missing, or is not what it should be.
    """
    path = folder / INDEX
    if not is_published(folder):
        raise UserError(f"{folder}: no published numbers there (no {INDEX}); results/paper has the paper's")
    try:
        index = Index.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error, Index)}") from None
    frames = {}
    for name in index.files:
        try:
            frames[name] = pd.read_csv(folder / name)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / name}: not a readable table: {error}") from None
    drawn = ("table1.csv", "figure2.csv", "figure3.csv")
    missing = [name for name in drawn if name not in frames]
    if missing:
        raise UserError(f"{path}: files: {', '.join(missing)} missing: Table 1 and Figures 2 and 3 are made from them")
    table1, figure2, figure3 = (frames.pop(name) for name in drawn)
    published = Published(index, table1, figure2, figure3, frames)
    _check(published, folder)
    return published


def _check(published: Published, folder: Path) -> None:
    """Raise :class:`UserError` for a table that lacks rows or columns, or has texts for numbers."""
    uses: tuple[tuple[str, Callable[[], object]], ...] = (
        ("table1.csv", lambda: published_table1(published)),
        ("figure2.csv", published.relative_costs),
        ("figure3.csv", lambda: (published.votes(), published.majority)),
    )
    for name, use in uses:
        try:
            use()
        except (LookupError, ValueError, TypeError) as error:
            like = f"it must have the columns of results/paper/{name}"
            raise UserError(f"{folder / name}: not the table that is drawn: {one_line(error)}; {like}") from None


def published_table1(published: Published) -> Table1:
    """Table 1 in the form of a run's, its intervals NaN."""
    rows = []
    for record in published.table1.to_dict("records"):
        label, *values = record.values()
        cells = [
            None if pd.isna(v) else Interval(v / 100, math.nan, math.nan, published.index.problems) for v in values
        ]
        rows.append(Row(label, _RULES.get(label, Chooser("best_of_n", label)), tuple(cells)))
    return Table1((*published.cells, (AVERAGE, None)), tuple(rows))


@dataclass(frozen=True, slots=True)
class BesideRow:
    """A run's accuracy beside a published one; ``n`` is None in the averages over all columns of the published table.

    ``published`` is the published row, ``reward_model`` the run's; ``difference`` is ours minus theirs.
    """

    published: str
    reward_model: str
    strategy: str
    generator: str
    n: int | None
    ours: Interval
    theirs: Fraction
    difference: Fraction


def beside(evaluation: Evaluation, published: Published) -> list[BesideRow]:
    """A run's accuracies beside the published ones; an average is left out where the run lacks one of its columns.

    Raises:
        UserError: for a run that has none of the generators.
    """
    results, accuracies = evaluation.results, evaluation.accuracies
    names = _generators(results, published)
    if not names:
        columns = ", ".join(published.index.generators)
        raise UserError(f"{results.folder}: none of its generators is one of {columns}: nothing to lay beside")

    def row(label: str, chooser: Chooser, generator: str, n: int | None, values: BySeed, theirs: float) -> BesideRow:
        ours = accuracies.interval(values)
        difference = Fraction(ours.mean - theirs / 100)
        return BesideRow(
            label, chooser.reward_model, chooser.rule, generator, n, ours, Fraction(theirs / 100), difference
        )

    def by_cell(chooser: Chooser) -> dict[tuple[str, int], BySeed]:
        """The run's accuracies where the published table has a column."""
        values = {
            (generator, n): accuracies.by_seed(names[generator], chooser, n)
            for generator, n in published.cells
            if generator in names
        }
        return {cell: of_cell for cell, of_cell in values.items() if of_cell is not None}

    rows = []
    for record in published.table1.to_dict("records"):
        label = str(record["method"])
        chooser = _chooser(evaluation, published, label)
        if chooser is None:
            continue
        values = by_cell(chooser)
        for (generator, n), of_cell in values.items():
            size = 1 if chooser == PASS_AT_1 else n  # which is the same at any n
            rows.append(row(label, chooser, generator, size, of_cell, record[f"{generator}@{n}"]))
        if len(values) == len(published.cells) and not pd.isna(record["avg"]):
            rows.append(row(label, chooser, AVERAGE, None, _mean(list(values.values())), record["avg"]))
    for label, chooser, theirs in _voting(evaluation, published):
        values = by_cell(chooser)
        if len(values) == len(published.cells):
            rows.append(row(label, chooser, AVERAGE, None, _mean(list(values.values())), theirs))
    return list(dict.fromkeys(rows))


def _mean(values: list[BySeed]) -> BySeed:
    return BySeed(np.asarray(np.mean([v.values for v in values], axis=0), dtype=np.float64), values[0].seeds)


def _generators(results: Results, published: Published) -> dict[str, str]:
    """Published generator → the run's name for it."""
    names: dict[str, str] = {}
    for column, model in published.index.generators.items():
        for name, facts in results.manifest.generators.items():
            if model == facts.model or name == column:
                names.setdefault(column, name)
    return names


def _chooser(evaluation: Evaluation, published: Published, row: str) -> Chooser | None:
    if row in _RULES:
        return _RULES[row]
    return _scored_by(evaluation, published.index.methods.get(row))


def _scored_by(evaluation: Evaluation, name: str | None) -> Chooser | None:
    """The run's best-of-n chooser of a training method, or of a model that an entry scores with."""
    first = evaluation.first_choosers
    entries = evaluation.results.manifest.config.get("reward_models") or {}
    for training in evaluation.headline:
        model = (entries.get(training.reward_model) or {}).get("model")
        if name is not None and name in (training.method, model) and training.reward_model in first:
            return evaluation.method(first[training.reward_model])
    return None


def _voting(
    evaluation: Evaluation, published: Published
) -> list[tuple[str, Chooser, float]]:  # label, chooser, published average
    """The rows of Figure 3, whose methods go by the name of the training method."""
    rows = [(_VOTE, MAJORITY, published.majority)]
    for name, (_, weighted) in published.votes().items():
        chooser = _scored_by(evaluation, name)
        if chooser is not None:
            rows.append((f"{name}, voting", chooser.weighted, weighted))
    return rows
