"""Tables 2 to 5: what changes with the training data, reward models as policies, the cost of scoring, the reference.

Accuracies and differences are in percent (points) with 95 % intervals, accuracies averaged as in Table 1's last column.
None where the results lack a table's inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.ablations import data_variations, reference_uses
from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import PASS_AT_1, Chooser, first_aggregations
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import holm
from harness.core.arrays import Floats
from harness.core.stages import StageKind
from harness.storage.results import Results


@dataclass(frozen=True, slots=True)
class AnalysisTable:
    """A table's file name, title, numbers and note.

    ``frame`` has the columns ``labels`` (text), then those in ``values``; these are accuracies, with bounds in
    ``<column>_low`` and ``_high``, or plain percentages without. Where rows are compared with another one there is
    ``difference`` with its bounds, ``p`` of the permutation test and ``p_holm``, corrected for the table's rows.
    """

    stem: str
    title: str
    frame: pd.DataFrame
    labels: tuple[str, ...]
    values: tuple[str, ...]
    note: str

    @property
    def compares(self) -> bool:
        return "difference" in self.frame


_AVERAGED = "Accuracy (%) of best-of-n, mean over the sizes n above 1; avg: over generators too."
_INTERVALS = (
    "In brackets 95 % bootstrap intervals over problems, of differences paired; p of the permutation test, in "
    "parentheses after Holm's correction for the rows of the table."
)


_EXPERIMENT = "experiments/pocket-analysis.yaml makes it"
#: What a table needs, by its title.
NEEDS = {
    "One change of the training data at a time": "trainings that differ in one choice of their data, or a second stage "
    f"of training; {_EXPERIMENT}",
    "Reward models as policies": f"trained models named under policies:; {_EXPERIMENT}",
    "Scoring relative to generation": f"responses sampled in the run and reward models with a cost; {_EXPERIMENT}",
    "The reference model in training and in scoring": "one method trained with and without a reference (reference: "
    f"null), each scored both ways; {_EXPERIMENT}",
}


def analysis_tables(evaluation: Evaluation) -> list[AnalysisTable]:
    """Those of Tables 2 to 5 that the results have the inputs of."""
    made = [make(evaluation) for make in (training_data, policies, scoring_cost, reference_model)]
    return [table for table in made if table is not None]


def training_data(evaluation: Evaluation) -> AnalysisTable | None:
    """Table 2: one change of the training data at a time."""
    choosers = _choosers(evaluation)
    rows: list[tuple[tuple[str, ...], Chooser, Chooser | None]] = []
    for base, variations in data_variations(evaluation).items():
        compared = [v for v in variations if v.reward_model in choosers]
        if base in choosers and compared:
            rows.append((("base", base), choosers[base], None))
            rows += [((v.change, v.reward_model), choosers[v.reward_model], choosers[base]) for v in compared]
    if not rows:
        return None
    labels = ("training_data", "reward_model")
    note = f"{_AVERAGED} difference: from the base above it, in points. {_INTERVALS}"
    return _accuracy_table(
        "table2", "One change of the training data at a time", labels, rows, evaluation.accuracies, note
    )


def reference_model(evaluation: Evaluation) -> AnalysisTable | None:
    """Table 5: the reference model in training and in scoring."""
    choosers = _choosers(evaluation)
    rows: list[tuple[tuple[str, ...], Chooser, Chooser | None]] = []
    for use in reference_uses(evaluation):
        if not all(name in choosers for name in use.cells.values()):
            continue
        usual = choosers[use.cells[True, True]]
        if use.untrained in choosers:
            rows.append(((use.method, "not trained", "without", use.untrained), choosers[use.untrained], usual))
        for trained, scored in ((True, True), (True, False), (False, True), (False, False)):
            name = use.cells[trained, scored]
            words = [["without", "with"][with_it] for with_it in (trained, scored)]
            rows.append(((use.method, *words, name), choosers[name], None if trained and scored else usual))
    if not rows:
        return None
    labels = ("method", "training", "scoring", "reward_model")
    note = f"{_AVERAGED} difference: from the row with the reference in both, in points. {_INTERVALS}"
    title = "The reference model in training and in scoring"
    return _accuracy_table("table5", title, labels, rows, evaluation.accuracies, note)


def _choosers(evaluation: Evaluation) -> dict[str, Chooser]:
    """Reward model → the first of its best-of-n choosers that has an average."""
    return first_aggregations(c for c in evaluation.choosers if evaluation.accuracies.overall(c) is not None)


def _accuracy_table(
    stem: str,
    title: str,
    labels: tuple[str, ...],
    rows: Sequence[tuple[tuple[str, ...], Chooser, Chooser | None]],
    accuracies: Accuracies,
    note: str,
) -> AnalysisTable:
    """A table of (labels, chooser, the chooser it is compared with)."""
    places = [*(accuracies.generators if len(accuracies.generators) > 1 else ()), None]
    frame = pd.DataFrame([row[0] for row in rows], columns=list(labels))
    for generator in places:
        values = [_overall(accuracies, chooser, generator) for _, chooser, _ in rows]
        _add_accuracy(frame, generator or "avg", values, accuracies)
    pairs = [
        (_overall(accuracies, chooser), None if base is None else _overall(accuracies, base))
        for _, chooser, base in rows
    ]
    _add_differences(frame, pairs, accuracies)
    return AnalysisTable(stem, title, frame, labels, tuple(p or "avg" for p in places), note)


def _overall(accuracies: Accuracies, chooser: Chooser, generator: str | None = None) -> Floats:
    values = accuracies.overall(chooser, generator)
    assert values is not None  # _choosers has seen to it
    return values


def policies(evaluation: Evaluation) -> AnalysisTable | None:
    """Table 3: each reward model as a policy, sampled on the problems evaluated, against the model it started from."""
    results, accuracies, trainings = evaluation.results, evaluation.accuracies, evaluation.trainings
    facts = results.manifest.policies
    grades = results.policy_grades()
    right = grades.astype({"correct": float}).groupby(["generator", "problem_id"])["correct"].mean()
    samples = grades.groupby("generator")["sample"].max() + 1
    by_start: dict[str, list[str]] = {}
    for name in facts:
        if name in samples:
            by_start.setdefault(_start(results, facts[name].trained_by), []).append(name)
    texts: list[tuple[str, str, str, int]] = []
    pairs: list[tuple[Floats, Floats | None]] = []
    for start, names in by_start.items():
        base = accuracies.values(start, PASS_AT_1, 1) if start in accuracies.generators else None
        if base is not None:
            n = results.grades.loc[results.grades["generator"] == start, "sample"].max() + 1
            texts.append((start, "not trained", start, int(n)))
            pairs.append((base, None))
        for name in names:
            by = facts[name].trained_by
            method = trainings[by].training_method if by is not None and by in trainings else ""
            texts.append((by or facts[name].model or "", method, name, int(samples[name])))
            pairs.append((right[name].reindex(list(accuracies.problem_ids)).to_numpy(), base))
    if not texts:
        return None
    labels = ("model", "method", "policy", "responses")
    frame = pd.DataFrame(texts, columns=list(labels))
    _add_accuracy(frame, "pass@1", [values for values, _ in pairs], accuracies)
    _add_differences(frame, pairs, accuracies)
    note = (
        "pass@1: the share of right responses (%), sampled as the generators' are. difference: from the model that the "
        f"training started from, in points. {_INTERVALS}"
    )
    return AnalysisTable("table3", "Reward models as policies", frame, labels, ("pass@1",), note)


def _start(results: Results, trained: str | None) -> str:
    """The model that a training, or the first of several stages, started from; "" for none."""
    models = results.manifest.reward_models
    while trained in models and (train := models[trained].train) is not None:
        trained = str(train["base"])
    return trained or ""


def scoring_cost(evaluation: Evaluation) -> AnalysisTable | None:
    """Table 4: time and FLOPs of scoring as a share of what generating the responses took; of reward models that read
    alike and spend the same FLOPs the first one. By token pass where there are several."""
    results, accuracies = evaluation.results, evaluation.accuracies
    models = results.manifest.reward_models
    generation = {g: _cost(results, StageKind.SAMPLE.folder, g) for g in accuracies.generators}
    generators = [g for g, (_, flops) in generation.items() if flops]
    rows, seen = [], set()
    for name in (t.reward_model for t in evaluation.headline if generators):
        parts = {role: (StageKind.TOKEN_PASS.folder, label) for role, label in models[name].token_passes.items()}
        parts["own"] = (StageKind.SCORE.folder, name)
        costs = {part: np.array([_cost(results, *place, g) for g in generators]) for part, place in parts.items()}
        total = np.sum(list(costs.values()), axis=0)
        kind = (models[name].type, *costs, *total[:, 1])
        if kind in seen:
            continue
        seen.add(kind)
        shown = {"all": total, **(costs if len(parts) > 2 else {})}
        for part, of in shown.items():
            shares = 100 * of / np.array([generation[g] for g in generators])
            rows.append((models[name].type, name, part, *shares.ravel()))
    if not rows:
        return None
    labels = ("type", "reward_model", "part")
    values = tuple(f"{g} {what}" for g in generators for what in ("time", "FLOPs"))
    note = (
        "Cost of scoring all responses in percent of what sampling them cost, from the ledger: seconds of the workers, "
        "each worker's counted, without loading models; FLOPs from counted tokens. A token pass that several reward "
        "models share is charged to each. own: what is computed from the passes, or by a model of its own. Of reward "
        "models that read alike and spend the same FLOPs the first one stands for all."
    )
    frame = pd.DataFrame(rows, columns=[*labels, *values])
    return AnalysisTable("table4", "Scoring relative to generation", frame, labels, values, note)


def _cost(results: Results, *place: str) -> tuple[float, float]:
    """(seconds, FLOPs) of a folder of the results."""
    rows = results.ledger_of(*place)
    return float(rows["wall_s"].sum()), float(rows["flops"].sum())


def _add_accuracy(frame: pd.DataFrame, column: str, values: Sequence[Floats], accuracies: Accuracies) -> None:
    found = accuracies.bootstrap.intervals(np.array(values))
    frame[column] = [100 * i.mean for i in found]
    frame[f"{column}_low"], frame[f"{column}_high"] = [100 * i.low for i in found], [100 * i.high for i in found]


def _add_differences(
    frame: pd.DataFrame, pairs: Sequence[tuple[Floats, Floats | None]], accuracies: Accuracies
) -> None:
    """Paired differences of each row from the row it is compared with; NaN for rows compared with none."""
    rows = [i for i, (_, base) in enumerate(pairs) if base is not None]
    found = accuracies.bootstrap.compare(
        np.array([pairs[i][0] for i in rows]), np.array([base for _, base in pairs if base is not None])
    )
    frame["difference"] = _placed(rows, [100 * d.mean for d in found], frame)
    frame["difference_low"] = _placed(rows, [100 * d.low for d in found], frame)
    frame["difference_high"] = _placed(rows, [100 * d.high for d in found], frame)
    p = [d.p_permutation for d in found]
    frame["p"], frame["p_holm"] = _placed(rows, p, frame), _placed(rows, holm(np.array(p)), frame)


def _placed(rows: list[int], values: Sequence[float] | Floats, frame: pd.DataFrame) -> Floats:
    """A column of ``frame`` with values in some rows and NaN in the others."""
    column = np.full(len(frame), np.nan)
    column[rows] = values
    return column
