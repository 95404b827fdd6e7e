"""Which reward models an experiment has: sweeps unrolled, files of recorded scores opened, trainings put in order."""

from __future__ import annotations

import itertools
import math
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from harness.core.errors import UserError, suggest
from harness.core.params import ComponentParams, Mark
from harness.core.registry import find
from harness.experiment.config import Experiment
from harness.experiment.names import check_name
from harness.experiment.spec import marked
from harness.experiment.training_seeds import by_seed

#: Lists in a ``train:`` block that are one value, and no sweep.
_LISTS = ("rollouts", "report_to", "seeds")

_MOST_ENTRIES = 1000  # that one entry stands for


@dataclass(frozen=True)
class Entries:
    """The reward models of an experiment: name -> entry.

    ``trained`` are the names of the entries with a ``train:`` block. An entry comes after the entries whose trained
    models it needs. ``seeds_of`` has, for an entry that is one of several ``seeds`` of a training, the name that they
    go by: that of the first of them.
    """

    reward_models: Mapping[str, Mapping[str, Any]]
    trained: Sequence[str]
    seeds_of: Mapping[str, str]


def expand(experiment: Experiment, extra: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> Entries:
    """The reward models that an experiment compares, and ``extra`` ones (name, entry).

    Raises:
        UserError: for an entry without a type or with an unknown one, a name that is taken or cannot name a folder,
            and trainings that wait for each other.
    """
    entries: dict[str, Mapping[str, Any]] = {}
    seeds_of: dict[str, str] = {}
    for name, entry in [*experiment.reward_models.items(), *extra]:
        where = f"reward_models.{name}"
        for label, (row, first) in _stands_for(name, entry, where).items():
            try:
                check_name(label)
            except ValueError as error:
                raise UserError(f"{where}: {error}; give it another name, in a separate entry") from None
            if label in entries or label in experiment.generators:
                raise UserError(f"{where}: the name {label!r} is taken by another entry; choose another name")
            entries[label] = row
            if first:
                seeds_of[label] = first
    return Entries(entries, _bases_first(entries), seeds_of)


def sweep(name: str, entry: Mapping[str, Any], whole: Collection[str] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """One entry for every combination of the lists in ``entry`` and its ``train:`` block.

    ``dpo: {train: {responses: [2, 4]}}`` stands for ``dpo-2`` and ``dpo-4``; null reads ``no-<key>``. The lists in
    ``train.rollouts``, ``train.report_to``, ``train.seeds`` and under the ``whole`` keys of the entry are one value
    each.

    Raises:
        UserError: for an empty list, and for lists with more combinations than anybody means.
    """
    lists: list[tuple[tuple[str, ...], list[Any]]] = [
        ((k,), v) for k, v in entry.items() if isinstance(v, list) and k not in whole
    ]
    train = entry.get("train")
    if isinstance(train, Mapping):
        lists += [(("train", k), v) for k, v in train.items() if isinstance(v, list) and k not in _LISTS]
    for keys, choices in lists:
        if not choices:
            raise UserError(
                f"{'.'.join(keys)}: an empty list stands for no entry at all: give it a value, or remove it"
            )
    if (n := math.prod(len(choices) for _, choices in lists)) > _MOST_ENTRIES:
        raise UserError(f"its lists stand for {n:,} entries, more than {_MOST_ENTRIES:,}: shorten them")
    for values in itertools.product(*(v for _, v in lists)):
        expanded: dict[str, Any] = dict(entry)
        if isinstance(train, Mapping):
            expanded["train"] = dict(train)
        label = name
        for (keys, _), value in zip(lists, values, strict=True):
            (expanded["train"] if len(keys) == 2 else expanded)[keys[-1]] = value
            label += f"-no-{keys[-1]}" if value is None else f"-{value}"
        yield label, expanded


def _stands_for(name: str, entry: Mapping[str, Any], where: str) -> dict[str, tuple[Mapping[str, Any], str]]:
    """The entries that an entry stands for: those of its sweep, each with every one of its seeds, or those that its
    reward model expands to. Of several seeds each has the name of the first with it, any other entry ""."""
    type_ = entry.get("type")
    if not isinstance(type_, str):
        raise UserError(f"{where}: type: missing; `bonbench list` shows the registered ones")
    made: dict[str, tuple[Mapping[str, Any], str]] = {}
    try:
        cls = find("reward_models", type_)
        expanded = cls.expand({k: v for k, v in entry.items() if k != "type"})
        if expanded is not None:
            return {label: ({"type": type_, **parameters}, "") for label, parameters in expanded.items()}
        for value, swept in sweep(name, entry, sequences(cls.Params)):
            seeds = dict(by_seed(value, swept))
            if taken := [label for label in seeds if label in made and made[label][0] != seeds[label]]:
                raise UserError(f"its lists make two entries named {taken[0]!r}: write them as separate entries")
            made |= {label: (one, value if len(seeds) > 1 else "") for label, one in seeds.items()}
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return made


def sequences(params: type[ComponentParams]) -> list[str]:
    """The parameters that are sequences, so that a list is one value of them."""
    kinds = {name: typing.get_origin(field.annotation) for name, field in params.model_fields.items()}
    return [name for name, kind in kinds.items() if kind in (list, tuple)]


def members_first(members: Mapping[str, Sequence[str]]) -> list[str]:
    """The reward models, each after the ones whose scores it reads.

    Args:
        members: whose scores each of them reads.

    Raises:
        UserError: where there is no reward model of such a name, and where reward models wait for each other.
    """
    for name, others in members.items():
        if unknown := next((other for other in others if other not in members), None):
            choices = [other for other in members if other != name]
            raise UserError(f"reward_models.{name}: no reward model is named {unknown!r}{suggest(unknown, choices)}")
    return _in_order(members, "", "reward models that wait for each other's scores")


def _bases_first(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The entries with a training. An entry comes after the entries whose trained models it needs."""
    training = {name for name, entry in entries.items() if "train" in entry}
    needs = {name: _trained_models(name, entries[name], training) for name in entries if name in training}
    return _in_order(needs, ".train", "trainings that wait for each other")


def _in_order(needs: Mapping[str, Collection[str]], part: str, circle: str) -> list[str]:
    """The entries, each after those that it needs; ``part`` of an entry is to blame for a ``circle``."""
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        names = error.args[1]
        raise UserError(f"reward_models.{names[0]}{part}: {circle}: {' -> '.join(names)}") from None


def _trained_models(name: str, entry: Mapping[str, Any], training: Collection[str]) -> list[str]:
    """The entries of ``training`` whose models the training of an entry names."""
    where, block = f"reward_models.{name}.train", entry["train"]
    if not isinstance(block, dict):
        raise UserError(f"{where}: a mapping is expected, for instance {{objective: dpo, base: middle}}")
    type_ = block.get("type", entry["type"])
    if not isinstance(type_, str):
        raise UserError(f"{where}.type: the name of a trainer is expected (it is {type_!r})")
    try:
        params = find("trainers", type_).Params
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    models = [block.get(field) for field in marked(params, Mark.MODEL)]
    return [model for model in models if isinstance(model, str) and model in training]
