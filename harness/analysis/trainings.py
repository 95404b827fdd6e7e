"""What each reward model of a run was trained as: what lines, colours and headline rows go by.

Reward models that were trained in the same way on more or less data are one method at several data scales. Scoring with
the reference model and scoring without it are two methods of one training method. They share a colour and differ in
line and marker.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from harness.analysis.seed_groups import repetitions
from harness.storage.results import Results

Scale = Literal["responses", "instructions"]


class Rollouts(NamedTuple):
    """The first ``responses`` rollouts of a generator to each problem of a set."""

    generator: str
    problems: str
    responses: int


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a reward model was trained on.

    ``instructions`` is the share of the problems whose rollouts were used. ``dedup`` is the threshold from which on
    near-duplicates are left out, None where all are used. ``before`` is the entry whose trained model the training
    started from, None where the training started from an untrained model.
    """

    rollouts: tuple[Rollouts, ...]
    instructions: float = 1.0
    dedup: float | None = None
    before: str | None = None

    @classmethod
    def of(cls, train: Mapping[str, Any], trained: Mapping[str, Any]) -> TrainingData:
        """From the facts about a training in the manifest.

        Args:
            train: the facts.
            trained: the entries of the run that train a model.
        """
        sets = train.get("rollouts") or [{"generator": "", "problems": "", "responses": train.get("responses") or 0}]
        return cls(
            rollouts=tuple(Rollouts(s["generator"], s["problems"], int(s["responses"])) for s in sets),
            # Of the problems whose rollouts have step labels, where these are only a share.
            instructions=float(train.get("instructions") or 1.0) * float(train.get("label_share") or 1.0),
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
        """The number of rollouts per problem, over all generators."""
        return max(sum(r.responses for r in self.rollouts if r.problems == p) for p in self.problems)

    def apart_from(self, scale: Scale) -> tuple[object, ...]:
        """All that says what the data are, but for their amount in the respect ``scale``."""
        other = self.instructions if scale == "responses" else self.responses
        return self.generators, self.problems, self.dedup, self.before, other


@dataclass(frozen=True, slots=True)
class TrainedAs:
    """What a reward model was trained as.

    Attributes:
        training_method: the name of the training method; the entry's own name where nothing was trained.
        reference: False where other entries score with a reference model after the same training method, and this one
            scores without.
        in_words: whether its verdict is read in replies that the trained model writes.
        data: what the model was trained on; None where nothing was trained.
        trained_by: the entry that trained the model; None where nothing was trained in this run.
        usual: whether the data are, but for the number of responses, what this method is usually trained on in this
            run. Only such reward models are compared as data scales of the method.
    """

    reward_model: str
    training_method: str
    reference: bool = True
    in_words: bool = False
    data: TrainingData | None = None
    trained_by: str | None = None
    usual: bool = True

    @property
    def trained(self) -> bool:
        """Whether there was a training."""
        return self.data is not None

    @property
    def scale(self) -> int | None:
        """The number of responses per problem that the model was trained on."""
        return self.data.responses if self.data else None

    @property
    def method(self) -> str:
        """The name of the method for people: the training method, and how scoring differs from the usual one."""
        method = self.training_method if self.reference else f"{self.training_method}, no reference"
        return f"{method}, in words" if self.in_words else method


def trained_as(results: Results) -> dict[str, TrainedAs]:
    """What every reward model of a run was trained as, in the experiment's order."""
    models = results.manifest.reward_models
    facts_by_name = {name: facts.train for name, facts in models.items() if facts.train is not None}
    trainings = {}
    for name, facts in models.items():
        train = facts.train or (facts_by_name.get(facts.trained_by) if facts.trained_by else None)
        if train is None:
            trainings[name] = TrainedAs(name, name)
            continue
        data = TrainingData.of(train, facts_by_name)
        with_reference = "reference" in facts.token_passes
        in_words = facts.verifications is not None
        trainings[name] = TrainedAs(name, train["method"], with_reference, in_words, data, results.training_model(name))
    scored_with = {t.training_method for t in trainings.values() if t.reference}
    trainings = {
        name: replace(t, reference=t.reference or t.training_method not in scored_with) for name, t in trainings.items()
    }
    again = repetitions(results.manifest)  # what is usual is not decided by how often it was repeated
    usual = _usual([training for name, training in trainings.items() if name not in again])
    return {
        name: replace(t, usual=t.data is None or t.data.apart_from("responses") == usual[t.method])
        for name, t in trainings.items()
    }


def _usual(trainings: Collection[TrainedAs]) -> dict[str, tuple[object, ...]]:
    """Method → its usual training data, apart from the number of responses.

    The usual data are those of most reward models of the method. Where several kinds of data are equally frequent, the
    kind that covers the largest share of the problems is chosen, and then the kind that comes first.
    """
    counts: dict[str, Counter[tuple[object, ...]]] = defaultdict(Counter)
    share: dict[tuple[object, ...], float] = {}
    for training in trainings:
        if training.data is not None:
            kind = training.data.apart_from("responses")
            counts[training.method][kind] += 1
            share[kind] = training.data.instructions
    return {
        method: max(of_method, key=lambda kind: (of_method[kind], share[kind])) for method, of_method in counts.items()
    }


def headline(trainings: Iterable[TrainedAs]) -> list[TrainedAs]:
    """One reward model of each method: of the ones on the method's usual data, the one with the largest scale."""
    best: dict[str, TrainedAs] = {}
    for training in trainings:
        current = best.get(training.method)
        if training.usual and (current is None or (training.scale or 0) > (current.scale or 0)):
            best[training.method] = training
    return list(best.values())
