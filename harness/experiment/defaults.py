"""What the entries of an experiment have in common: its ``defaults:`` block, written into every entry.

A default is for the entries that have such a parameter and do not give it themselves, be it as null. Resources
(``replicas``, ``num_cpus``, ``num_gpus``) are for the entries whose component names a model: what only calculates holds
no GPU.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.core.errors import UserError, suggest
from harness.core.params import Mark
from harness.core.registry import find
from harness.core.terms import Kind
from harness.experiment.config import Experiment
from harness.experiment.spec import Pool, marked
from harness.experiment.training_seeds import has_seed

Entry = Mapping[str, Any]

_SEEDS = ("seed", "seeds")


def with_defaults(
    experiment: Experiment, extra: Sequence[tuple[str, Entry]] = ()
) -> tuple[Experiment, list[tuple[str, Entry]]]:
    """An experiment, and ``extra`` reward models (name, entry), with the defaults in their entries.

    Raises:
        UserError: for a default that no entry can take, and for an entry of an unknown type.
    """
    defaults = experiment.defaults
    generators = _Block("generators", defaults.generators)
    reward_models = _Block("reward_models", defaults.reward_models)
    trainings = _Block("train", defaults.train)

    def trained(name: str, entry: Entry) -> Entry:
        where = f"reward_models.{name}"
        filled = reward_models.fill("reward_models", entry, where)
        if isinstance(block := entry.get("train"), Mapping):
            filled["train"] = trainings.fill("trainers", block, f"{where}.train", filled.get("type"))
        return filled

    def sampling(entries: Mapping[str, Entry], where: str) -> dict[str, Entry]:
        return {name: generators.fill("generators", entry, f"{where}.{name}") for name, entry in entries.items()}

    policies = sampling(experiment.policies.models, "policies.models")
    filled = experiment.model_copy(
        update={
            "generators": sampling(experiment.generators, "generators"),
            "reward_models": {name: trained(name, entry) for name, entry in experiment.reward_models.items()},
            "policies": experiment.policies.model_copy(update={"models": policies}),
        }
    )
    more = [(name, trained(name, entry)) for name, entry in extra]
    for block in (generators, reward_models, trainings):
        block.check()
    return filled, more


class _Block:
    """The defaults of one kind of entries, which of them were of use, and what the entries could have taken."""

    def __init__(self, name: str, values: Entry) -> None:
        self._name, self._values = name, values
        self._taken: set[str] = set()
        self._known: set[str] = set()

    def fill(self, kind: Kind, entry: Entry, where: str, type_: Any = None) -> dict[str, Any]:
        """The entry with the defaults that it can take and does not give. ``type_`` is its type if neither says one."""
        type_ = {"type": type_, **self._values, **entry}["type"]
        if not isinstance(type_, str):  # it is refused where it is built
            return dict(entry)
        try:
            known = _known(kind, type_)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        taken = {key: value for key, value in self._values.items() if key in known}
        self._known |= set(known)
        self._taken |= set(taken)
        if kind == "trainers" and not entry.keys().isdisjoint(_SEEDS):  # one seed or several: the entry has said it
            taken = {key: value for key, value in taken.items() if key not in _SEEDS}
        return {**taken, **entry}

    def check(self) -> None:
        """Raise :class:`UserError` for a default that none of the entries can take."""
        for key in self._values:
            if self._known and key not in self._taken:
                raise UserError(f"defaults.{self._name}.{key}: no entry has such a key{suggest(key, self._known)}")


def _known(kind: Kind, type_: str) -> Collection[str]:
    """The keys of an entry that a default may give."""
    params = find(kind, type_).Params
    runs = set(marked(params, Mark.MODEL)) - set(marked(params, Mark.TOKENIZER))
    resources = list(Pool.model_fields) if kind == "trainers" or runs else []
    seeds = ["seeds"] if kind == "trainers" and has_seed(params) else []
    return ["type", *params.model_fields, *resources, *seeds]
