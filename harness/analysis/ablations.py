"""Trainings that differ in one respect: what the analysis tables set side by side.

Which entries these are follows from the facts about their trainings, not from their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.analysis.evaluation import Evaluation
from harness.analysis.seed_groups import repetitions
from harness.analysis.trainings import Scale, TrainedAs, TrainingData
from harness.storage.results import Results

#: Facts about a training that are said by its data, or that follow from the others.
_NOT_SETTINGS = {"rollouts", "responses", "instructions", "label_share", "dedup", "method", "facts"}


#: What a training may change of another one's: the set of problems, the generators of the rollouts, whether
#: near-duplicates are left out, or that it goes on from the other's model.
Changed = Literal["problems", "rollouts", "dedup", "stage"]


@dataclass(frozen=True, slots=True)
class Variation:
    """A reward model whose training differs from the ``base``'s in one respect, which ``change`` names."""

    reward_model: str
    change: str
    kind: Changed


@dataclass(frozen=True, slots=True)
class ReferenceUse:
    """One method with and without a reference model. ``cells`` are (trained with it, scored with it) -> reward model;
    ``untrained`` scores with the model that the trainings started from, alone."""

    method: str
    cells: dict[tuple[bool, bool], str]
    untrained: str | None


def data_variations(evaluation: Evaluation) -> dict[str, list[Variation]]:
    """Reward models by what one change of their training data, or a further stage of training, makes of another one.

    A change is: other problems, other generators of the rollouts, near-duplicates left out, a training that goes on
    from the other's model. Instructions and responses, of which there may be more or less, are scales and no such
    change. A base is the entry that most others differ from in one change; where that is a tie, the one with the
    simpler data.
    """
    entries = _once(evaluation)
    changes = {
        base.name: [Variation(other.name, *change) for other in entries.values() if (change := _change(base, other))]
        for base in entries.values()
    }
    bases: dict[str, list[Variation]] = {}
    while changes:
        base = max(changes, key=lambda name: (len(changes[name]), entries[name].plainness))
        if not changes[base]:
            break
        bases[base] = changes.pop(base)
        taken = {base, *(v.reward_model for v in bases[base])}
        changes = {
            name: [v for v in variations if v.reward_model not in taken]
            for name, variations in changes.items()
            if name not in taken
        }
    return bases


def scales(evaluation: Evaluation, by: Scale) -> dict[str, list[str]]:
    """Method → its reward models that differ only in the amount of data ``by``, from the least data to the most.

    Methods with only one such reward model are left out.
    """
    entries = _once(evaluation)
    groups: dict[str, list[str]] = {}
    for method in dict.fromkeys(t.training.method for t in entries.values()):
        members = [t for t in entries.values() if t.training.method == method]
        # The reward model with most responses, among those on the method's usual data. All others are compared with it.
        base = max(members, key=lambda t: (t.training.usual, t.data.responses))
        by_scale: dict[float, str] = {}
        for t in members:
            if t.settings == base.settings and t.data.apart_from(by) == base.data.apart_from(by):
                by_scale.setdefault(getattr(t.data, by), t.name)
        if len(by_scale) > 1:
            groups[method] = [by_scale[scale] for scale in sorted(by_scale)]
    return groups


def reference_uses(evaluation: Evaluation) -> list[ReferenceUse]:
    """The methods that were trained with and without a reference model, all else the same, and scored both ways.

    Where a method has several such pairs of trainings, the pair on most data is used.
    """
    results = evaluation.results
    models = results.manifest.reward_models
    best: dict[str, tuple[tuple[float, int], ReferenceUse]] = {}
    entries = _once(evaluation)
    for usual in entries.values():
        alone = next((t for t in entries.values() if usual.with_reference and _only_lacks_reference(t, usual)), None)
        if alone is None:
            continue
        cells = _scored(results, usual.name, True) | _scored(results, alone.name, False)
        if len(cells) < 4:
            continue
        policy = {"policy": usual.train.get("base")}
        untrained = (m for m, f in models.items() if f.train is None and not f.trained_by and f.token_passes == policy)
        size, method = (usual.data.instructions, usual.data.responses), usual.training.training_method
        if method not in best or size > best[method][0]:
            best[method] = (size, ReferenceUse(method, cells, next(untrained, None)))
    return [use for _, use in best.values()]


def seeds(evaluation: Evaluation) -> dict[str, dict[int, str]]:
    """Reward model → seed → the reward model that was trained in the same way with that seed, itself among them."""
    entries = _trained(evaluation)
    siblings: dict[str, dict[int, str]] = {}
    for entry in entries.values():
        alike = (other for other in entries.values() if _apart_from_seed(entry) == _apart_from_seed(other))
        siblings[entry.name] = {}
        for other in alike:
            siblings[entry.name].setdefault(int(other.train.get("seed") or 0), other.name)
    return siblings


def _apart_from_seed(entry: _Trained) -> tuple[object, ...]:
    return entry.data, entry.passes, {k: v for k, v in entry.settings.items() if k != "seed"}


@dataclass(frozen=True, slots=True)
class _Trained:
    """An entry that trains the model it scores with. ``train`` are the manifest's facts about the training, ``passes``
    the roles of the token passes it scores from."""

    name: str
    training: TrainedAs
    data: TrainingData
    train: Mapping[str, Any]
    passes: frozenset[str]

    @property
    def settings(self) -> dict[str, Any]:
        """How the training went, whatever its data."""
        return {k: v for k, v in self.train.items() if k not in _NOT_SETTINGS}

    @property
    def with_reference(self) -> bool:
        return self.train.get("reference") is not None

    @property
    def plainness(self) -> tuple[int, ...]:
        return -(self.data.before is not None), -(self.data.dedup is not None), -len(self.data.rollouts)


def _trained(evaluation: Evaluation) -> dict[str, _Trained]:
    models = evaluation.results.manifest.reward_models
    return {
        name: _Trained(name, training, training.data, train, frozenset(models[name].token_passes))
        for name, training in evaluation.trainings.items()
        if training.data is not None
        and (train := models[name].train) is not None
        and models[name].trained_by in (None, name)
    }


def _once(evaluation: Evaluation) -> dict[str, _Trained]:
    """Of each training the first of its ``seeds``: seeds are no change of a training."""
    again = repetitions(evaluation.results.manifest)
    return {name: entry for name, entry in _trained(evaluation).items() if name not in again}


def _only_lacks_reference(one: _Trained, other: _Trained) -> bool:
    """Whether ``one`` was trained as ``other`` was, but without a reference model."""
    return (
        one.data == other.data
        and "reference" in one.train
        and not one.with_reference
        and {**one.settings, "reference": None} == {**other.settings, "reference": None}
    )


def _scored(results: Results, trained: str, with_reference: bool) -> dict[tuple[bool, bool], str]:
    """The entries that score with a trained model, by whether they read a reference; its own entry before others."""
    models = results.manifest.reward_models
    entries: dict[tuple[bool, bool], str] = {}
    for name in [trained, *models]:
        facts = models[name]
        if results.training_model(name) == trained and facts.type == models[trained].type:
            entries.setdefault((with_reference, "reference" in facts.token_passes), name)
    return entries


def _change(base: _Trained, other: _Trained) -> tuple[str, Changed] | None:
    """What ``other`` changes of ``base``; None where that is nothing, or more than one thing."""
    ours, theirs = base.data, other.data
    if base.passes != other.passes:
        return None
    if theirs.before == base.name:
        stage = other.training.training_method.removeprefix(base.training.training_method).removeprefix(" + ")
        return f"+ {stage}", "stage"
    if base.settings != other.settings:
        return None
    if (ours.responses, ours.instructions) != (theirs.responses, theirs.instructions):
        return None
    changes: list[tuple[str, Changed]] = []
    if ours.problems != theirs.problems:
        added = theirs.problems - ours.problems
        more = "+ problems: " if ours.problems < theirs.problems else "problems: "
        changes.append((more + ", ".join(sorted(added or theirs.problems)), "problems"))
    if ours.generators != theirs.generators:
        shares = (f"{r.responses} of {r.generator}" for r in theirs.rollouts)
        changes.append((f"rollouts: {', '.join(shares)}", "rollouts"))
    if ours.dedup != theirs.dedup:
        kept = theirs.dedup is None
        changes.append(("near-duplicates kept" if kept else f"de-duplicated (at {theirs.dedup:g})", "dedup"))
    return changes[0] if len(changes) == 1 else None
