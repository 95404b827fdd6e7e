"""Which method a reward model is an instance of: what lines, colours and headline rows go by.

Reward models trained in the same way on more or less data are one method at several data scales. Scoring with and
without the reference model are two methods of one family: they share a colour and differ in line and marker.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from harness.storage.results import Results

Scale = Literal["responses", "instructions"]


class Rollouts(NamedTuple):
    """The first ``responses`` rollouts of a generator to each problem of a set."""

    generator: str
    problems: str
    responses: int


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a reward model was trained on: rollouts to a share of the ``instructions`` (the problems), near-duplicates
    left out at the threshold ``dedup``. ``before`` is the entry whose model the training went on from, None where that
    is not a trained one.
    """

    rollouts: tuple[Rollouts, ...]
    instructions: float = 1.0
    dedup: float | None = None
    before: str | None = None

    @classmethod
    def of(cls, train: Mapping[str, Any], trained: Mapping[str, Any]) -> TrainingData:
        """From the facts about a training in the manifest.

        Args:
            trained: those entries that were themselves trained.
        """
        sets = train.get("rollouts") or [{"generator": "", "problems": "", "responses": train.get("responses") or 0}]
        return cls(
            rollouts=tuple(Rollouts(s["generator"], s["problems"], int(s["responses"])) for s in sets),
            instructions=float(train.get("instructions") or 1.0),
            dedup=train.get("dedup"),
            before=base if (base := train.get("base")) in trained else None,
        )

    @property
    def generators(self) -> frozenset[str]:
        return frozenset(r.generator for r in self.rollouts)

    @property
    def problems(self) -> frozenset[str]:
        return frozenset(r.problems for r in self.rollouts)

    @property
    def responses(self) -> int:
        """Rollouts per problem, of all generators."""
        return max(sum(r.responses for r in self.rollouts if r.problems == p) for p in self.problems)

    def apart_from(self, scale: Scale) -> tuple[object, ...]:
        """Everything that decides the data but how much of it there is in one respect."""
        other = self.instructions if scale == "responses" else self.responses
        return self.generators, self.problems, self.dedup, self.before, other


@dataclass(frozen=True, slots=True)
class Instance:
    """A reward model as an instance of a method.

    ``family`` is the training method's name (the entry's own where nothing was trained);
    ``reference`` is False where the family is scored both ways and this one drops the reference; ``data`` is what it
    was trained on, None if untrained. ``usual`` says that this is what the method is usually trained on in this run,
    but for the number of responses: only such instances compare as data scales of the method.
    """

    reward_model: str
    family: str
    reference: bool = True
    data: TrainingData | None = None
    usual: bool = True

    @property
    def trained(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> int | None:
        """The number of responses per problem it was trained on."""
        return self.data.responses if self.data else None

    @property
    def method(self) -> str:
        """Name of the method, for people."""
        return self.family if self.reference else f"{self.family}, no reference"


def instances(results: Results) -> dict[str, Instance]:
    """Every reward model of a run, in the experiment's order."""
    models = results.manifest.reward_models
    trained = {name: facts.train for name, facts in models.items() if facts.train is not None}
    found = {}
    for name, facts in models.items():
        train = facts.train or (trained.get(facts.trained_by) if facts.trained_by else None)
        if train is None:
            found[name] = Instance(name, name)
            continue
        data = TrainingData.of(train, trained)
        found[name] = Instance(name, train["method"], "reference" in facts.token_passes, data)
    both = {i.family for i in found.values() if i.reference}
    found = {name: replace(i, reference=i.reference or i.family not in both) for name, i in found.items()}
    usual = _usual(found.values())
    return {
        name: replace(i, usual=i.data is None or i.data.apart_from("responses") == usual[i.method])
        for name, i in found.items()
    }


def _usual(found: Collection[Instance]) -> dict[str, tuple[object, ...]]:
    """What each method is trained on apart from the number of responses: what most of its instances are; of several
    such what covers more of the instructions, then what comes first."""
    kinds: dict[str, Counter[tuple[object, ...]]] = defaultdict(Counter)
    share: dict[tuple[object, ...], float] = {}
    for instance in found:
        if instance.data is not None:
            kind = instance.data.apart_from("responses")
            kinds[instance.method][kind] += 1
            share[kind] = instance.data.instructions
    return {method: max(counts, key=lambda kind: (counts[kind], share[kind])) for method, counts in kinds.items()}


def headline(found: dict[str, Instance]) -> list[Instance]:
    """One instance of each method: of those on its usual data the one trained on most."""
    best: dict[str, Instance] = {}
    for instance in found.values():
        current = best.get(instance.method)
        if instance.usual and (current is None or (instance.scale or 0) > (current.scale or 0)):
            best[instance.method] = instance
    return list(best.values())
