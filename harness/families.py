"""Which method a reward model is an instance of: what lines, colours and headline rows go by.

Reward models trained in the same way on more or less data are one method at several data scales. Scoring with and
without the reference model are two methods of one family: they share a colour and differ in line and marker.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.results import Results


@dataclass(frozen=True, slots=True)
class Instance:
    """A reward model as an instance of a method.

    ``family`` is the training method's name (the entry's own where nothing was trained);
    ``reference`` is False where the family is scored both ways and this one drops the reference; ``scale`` is the
    number of responses per problem it was trained on, None if untrained.
    """

    reward_model: str
    family: str
    reference: bool
    scale: int | None

    @property
    def trained(self) -> bool:
        return self.scale is not None

    @property
    def method(self) -> str:
        """Name of the method, for people."""
        return self.family if self.reference else f"{self.family}, no reference"


def instances(results: Results) -> dict[str, Instance]:
    """Every reward model of a run, in the experiment's order."""
    models = results.manifest.reward_models
    found = {}
    for name, facts in models.items():
        train = facts.train or (models[facts.trained_by].train if facts.trained_by in models else None)
        if train is None:
            found[name] = Instance(name, name, True, None)
            continue
        found[name] = Instance(
            name, train["method"], "reference" in facts.token_passes, int(train.get("responses") or 0)
        )
    both = {i.family for i in found.values() if i.reference}
    return {name: Instance(name, i.family, i.reference or i.family not in both, i.scale) for name, i in found.items()}


def headline(found: dict[str, Instance]) -> list[Instance]:
    """One instance of each method: the one trained on most data."""
    best: dict[str, Instance] = {}
    for instance in found.values():
        current = best.get(instance.method)
        if current is None or (instance.scale or 0) > (current.scale or 0):
            best[instance.method] = instance
    return list(best.values())
