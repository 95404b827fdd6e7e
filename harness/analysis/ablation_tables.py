"""Tables 2 to 5: what changes with the training data, reward models as policies, the cost of scoring, the reference.

Accuracies and differences are fractions with 95 % intervals, accuracies averaged as in Table 1's last column. A table
is None where the results lack its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.analysis.ablations import data_variations, reference_uses
from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import PASS_AT_1, Chooser, first_aggregations
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Bootstrap, Difference, Interval, corrected
from harness.analysis.policy_accuracy import policy_accuracy
from harness.analysis.rows import Fraction, cells
from harness.analysis.seeds import BySeed, accuracy_intervals, compare
from harness.analysis.stage_costs import Cost
from harness.core.stages import StageKind
from harness.storage.results import Results


@dataclass(frozen=True, slots=True)
class AblationRow:
    """What a row is about, its numbers, and its paired difference from the row that it is compared with, if any.

    A number is an interval, or a plain fraction where there is no interval. NaN is a number that there is not.
    """

    labels: tuple[str, ...]
    values: tuple[Interval | Fraction, ...]
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class AblationTable:
    """Rows with the names of their labels and of their values, and a note for readers.

    ``compares`` tells whether there is a column of differences. Their ``p_holm`` is corrected for the table's rows.
    """

    rows: tuple[AblationRow, ...]
    labels: tuple[str, ...]
    values: tuple[str, ...]
    note: str
    compares: bool = True

    def frame(self) -> pd.DataFrame:
        """The labels as text, the values and the differences in percent, with bounds (see ``analysis.rows.cells``)."""
        records = []
        for row in self.rows:
            record: dict[str, object] = dict(zip(self.labels, row.labels, strict=True))
            for name, value in zip(self.values, row.values, strict=True):
                record |= cells(name, value)
            if self.compares:
                record |= cells("difference", row.difference, p_permutation="p", p_holm="p_holm")
            records.append(record)
        return pd.DataFrame(records)


_AVERAGED = "Accuracy (%) of best-of-n, mean over the sizes n above 1; avg: over generators too."
_INTERVALS = (
    "In brackets 95 % bootstrap intervals over problems, of differences paired; p of the permutation test, in "
    "parentheses after Holm's correction for the rows of the table."
)


def training_data(evaluation: Evaluation) -> AblationTable | None:
    """Table 2: one change of the training data at a time."""
    choosers = _choosers(evaluation)
    rows: list[tuple[tuple[str, ...], Chooser, Chooser | None]] = []
    for base, variations in data_variations(evaluation).items():
        compared = [v for v in variations if v.reward_model in choosers]
        if base in choosers and compared:
            rows.append((("base", choosers[base].reward_model), choosers[base], None))
            others = [(v.change, choosers[v.reward_model]) for v in compared]
            rows += [((change, other.reward_model), other, choosers[base]) for change, other in others]
    if not rows:
        return None
    labels = ("training_data", "reward_model")
    note = f"{_AVERAGED} difference: from the base above it, in points. {_INTERVALS}"
    return _accuracy_table(labels, rows, evaluation.accuracies, note)


def reference_model(evaluation: Evaluation) -> AblationTable | None:
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
            other = choosers[name]
            rows.append(((use.method, *words, other.reward_model), other, None if trained and scored else usual))
    if not rows:
        return None
    labels = ("method", "training", "scoring", "reward_model")
    note = f"{_AVERAGED} difference: from the row with the reference in both, in points. {_INTERVALS}"
    return _accuracy_table(labels, rows, evaluation.accuracies, note)


def _choosers(evaluation: Evaluation) -> dict[str, Chooser]:
    """Reward model → the first of its best-of-n choosers that has an average; of one that was trained with several
    seeds, the mean over them."""
    first = first_aggregations(c for c in evaluation.choosers if evaluation.accuracies.overall(c) is not None)
    return {name: evaluation.method(chooser) for name, chooser in first.items()}


def _accuracy_table(
    labels: tuple[str, ...],
    rows: Sequence[tuple[tuple[str, ...], Chooser, Chooser | None]],
    accuracies: Accuracies,
    note: str,
) -> AblationTable:
    """A table of (labels, chooser, the chooser it is compared with)."""
    places = [*(accuracies.generators if len(accuracies.generators) > 1 else ()), None]
    by_place = [[_overall(accuracies, chooser, place) for _, chooser, _ in rows] for place in places]
    pairs = [
        (_overall(accuracies, chooser), None if base is None else _overall(accuracies, base))
        for _, chooser, base in rows
    ]
    made = _rows([names for names, _, _ in rows], by_place, pairs, accuracies.bootstrap)
    return AblationTable(made, labels, tuple(place or "avg" for place in places), note)


def _rows(
    labels: Sequence[tuple[str, ...]],
    values: Sequence[Sequence[BySeed]],
    pairs: Sequence[tuple[BySeed, BySeed | None]],
    bootstrap: Bootstrap,
) -> tuple[AblationRow, ...]:
    """Rows with intervals, and with differences where there is something to compare with.

    Args:
        values: by column, the accuracy of each row per seed and problem.
        pairs: what each row compares; None for a row that is compared with none.
    """
    by_column = [accuracy_intervals(bootstrap, column) for column in values]
    compared = [(i, ours, base) for i, (ours, base) in enumerate(pairs) if base is not None]
    differences = corrected(compare(bootstrap, [ours for _, ours, _ in compared], [base for _, _, base in compared]))
    by_row = {i: difference for (i, _, _), difference in zip(compared, differences, strict=True)}
    return tuple(
        AblationRow(names, tuple(column[i] for column in by_column), by_row.get(i)) for i, names in enumerate(labels)
    )


def _overall(accuracies: Accuracies, chooser: Chooser, generator: str | None = None) -> BySeed:
    values = accuracies.overall_by_seed(chooser, generator)
    assert values is not None  # _choosers has seen to it
    return values


def policies(evaluation: Evaluation) -> AblationTable | None:
    """Table 3: each reward model as a policy, sampled on the problems evaluated, against the model it started from."""
    results, accuracies, trainings = evaluation.results, evaluation.accuracies, evaluation.trainings
    facts = results.manifest.policies
    grades = results.policy_grades()
    samples = grades.groupby("generator")["sample"].max() + 1
    by_start: dict[str, list[str]] = {}
    for name in facts:
        if name in samples:
            by_start.setdefault(_start(results, facts[name].trained_by), []).append(name)
    texts: list[tuple[str, ...]] = []
    pairs: list[tuple[BySeed, BySeed | None]] = []
    for start, names in by_start.items():
        base = accuracies.by_seed(start, PASS_AT_1, 1) if start in accuracies.generators else None
        if base is not None:
            n = accuracies.samples[start].correct.shape[1]
            texts.append((start, "not trained", start, str(n)))
            pairs.append((base, None))
        for name in names:
            by = facts[name].trained_by
            method = trainings[by].training_method if by is not None and by in trainings else ""
            texts.append((by or facts[name].model or "", method, name, str(samples[name])))
            pairs.append((BySeed(policy_accuracy(results, name, grades, accuracies.problem_ids)[None]), base))
    if not texts:
        return None
    labels = ("model", "method", "policy", "responses")
    rows = _rows(texts, [[values for values, _ in pairs]], pairs, accuracies.bootstrap)
    note = (
        "pass@1: the share of right responses (%), sampled as the generators' are. difference: from the model that the "
        f"training started from, in points. {_INTERVALS}"
    )
    return AblationTable(rows, labels, ("pass@1",), note)


def _start(results: Results, trained: str | None) -> str:
    """The model that a training, or the first of several stages, started from; "" for none."""
    models = results.manifest.reward_models
    while trained in models and (train := models[trained].train) is not None:
        trained = str(train["base"])
    return trained or ""


def scoring_cost(evaluation: Evaluation) -> AblationTable | None:
    """Table 4: time and FLOPs of scoring, as shares of what sampling the responses took.

    A reward model that reads several token passes has a row per pass as well. Of the reward models that read alike and
    spend the same FLOPs the first one stands for all.
    """
    results, accuracies = evaluation.results, evaluation.accuracies
    models = results.manifest.reward_models
    sampled = {g: Cost.of(results, StageKind.SAMPLE.folder, g) for g in accuracies.generators}
    generation = {g: cost for g, cost in sampled.items() if cost.flops}
    rows, seen = [], set()
    for name in (t.reward_model for t in evaluation.headline if generation):
        parts = {role: (StageKind.TOKEN_PASS.folder, label) for role, label in models[name].token_passes.items()}
        if (verified := models[name].verifications) is not None:
            parts["verifications"] = (StageKind.VERIFY.folder, verified)
        parts["own"] = (StageKind.SCORE.folder, name)
        costs = {part: [Cost.of(results, *place, g) for g in generation] for part, place in parts.items()}
        total = [Cost.sum(of) for of in zip(*costs.values(), strict=True)]
        kind = (models[name].type, *costs, *(cost.flops for cost in total))
        if kind in seen:
            continue
        seen.add(kind)
        shown = {"all": total, **(costs if len(parts) > 2 else {})}
        for part, of in shown.items():
            pairs = zip(of, generation.values(), strict=True)
            shares = [share for cost, whole in pairs for share in (cost.time_of(whole), cost.flops / whole.flops)]
            rows.append(AblationRow((models[name].type, name, part), tuple(Fraction(share) for share in shares)))
    if not rows:
        return None
    labels = ("type", "reward_model", "part")
    values = tuple(f"{g} {what}" for g, whole in generation.items() for what in (whole.unit, "FLOPs"))
    note = (
        "Cost of scoring all responses in percent of what sampling them cost, from the ledger: time without loading "
        f"models; FLOPs from counted tokens. {_UNITS} A token pass that several reward "
        "models share is charged to each. own: what is computed from the passes, or by a model of its own. Of reward "
        "models that read alike and spend the same FLOPs the first one stands for all."
    )
    return AblationTable(tuple(rows), labels, values, note, compares=False)


_UNITS = (
    "time: seconds of the workers, each worker's counted, where sampling used no GPU. GPU time: GPU-seconds, which are "
    "a worker's seconds times its GPUs; what computes without a model is left out. –: sampling and scoring did not "
    "both run on GPUs, or how many they had is not known; of FLOPs: a server does not say what its model is."
)
