"""What runs: shards, the stages and trainings that make them, and the graph these are in. Nothing runs here.

A shard is one block of problems of one stage. Its key hashes what its component is, the problems, and the keys of
the shards it reads, so a change anywhere upstream reaches exactly what depends on it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.components import TrainerParams
from harness.core.records import Problem
from harness.experiment.config import Experiment
from harness.experiment.spec import Spec
from harness.storage.shards import shard_key, shard_path

STAGES = ("sample", "grade", "train", "score", "report")  # what --until takes, in order
_TASKS = {
    "rollout": "sample",
    "rollout-grade": "grade",
    "rollout-pass": "token-pass",
    "policy": "sample",
    "policy-grade": "grade",
}


@dataclass(eq=False)
class Shard:
    """One block of one stage: ``<results>/<folder>/part-<index>.parquet``."""

    folder: str
    index: int
    key: str
    problems: tuple[Problem, ...]
    generator: str
    inputs: dict[str, Shard] = field(default_factory=dict)
    n_responses: int = 0

    def path(self, results: Path) -> Path:
        return shard_path(results / self.folder, self.index)

    def stored(self, results: Path) -> bool:
        return shard_key(self.path(results)) == self.key


@dataclass(eq=False)
class Stage:
    """Shards that one component computes. ``after`` lists what must be complete before its actors start."""

    name: str
    who: str
    spec: Spec
    shards: list[Shard]
    after: list[Stage | Training] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The function of ``harness.engine.tasks`` that computes a shard."""
        return _TASKS.get(self.name, self.name)


@dataclass(eq=False)
class Training:
    """Training of one reward model; its output is the folder ``trained/<who>``.

    ``base`` is the training whose model it starts from, where another entry trains that. ``rollouts`` and what was made
    of them are those of all the ``sets`` it learns from, in one order. ``completions`` are those of all rounds,
    ``labels`` what came of the last one.
    """

    who: str
    spec: Spec
    key: str
    folder: Path
    rollouts: list[Shard]
    grades: list[Shard]
    passes: dict[str, list[Shard]]
    after: list[Stage | Training]
    base: Training | None = None
    completions: list[Shard] = field(default_factory=list)
    labels: list[Shard] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    name: str = "train"

    @property
    def params(self) -> TrainerParams:
        assert isinstance(self.spec.params, TrainerParams)  # the registry finds no other trainers
        return self.spec.params

    @property
    def used(self) -> int:
        """It learns from the first so many rollouts of each problem in each of its sets."""
        return self.params.responses

    @cached_property
    def problem_ids(self) -> dict[tuple[str, str], str]:
        """(id, problem) -> the id by which the training knows it: its sets may have given one to several problems."""
        found: dict[tuple[str, str], str] = {}
        taken: Counter[str] = Counter()
        for problem in (p for shard in self.rollouts for p in shard.problems):
            id_ = problem.problem_id
            if (id_, problem.problem) not in found:
                taken[id_] += 1
                found[id_, problem.problem] = id_ if taken[id_] == 1 else f"{id_}~{taken[id_]}"
        return found

    @cached_property
    def problems(self) -> set[str]:
        """Ids, as it knows them, of the problems it learns from."""
        return set(self.spec.cls.problems(self.spec.params, list(self.problem_ids.values())))

    def own(self, shard: Shard) -> set[str]:
        """Ids, as the shard has them, of the problems it learns from."""
        ids = self.problem_ids
        return {p.problem_id for p in shard.problems if ids[p.problem_id, p.problem] in self.problems}

    @property
    def method(self) -> str:
        """What the tables call it, with the stages before it."""
        own: str = self.spec.cls.method(self.spec.params)
        return own if self.base is None else f"{self.base.method} + {own}"

    @property
    def lineage(self) -> list[Training]:
        """It and the trainings that came before it, each once."""
        found = {self: None}
        for training in self.after:
            if isinstance(training, Training):
                found |= dict.fromkeys(training.lineage)
        return list(found)

    @property
    def n_responses(self) -> int:
        """Rollouts it learns from."""
        return sum(min(self.used, s.n_responses // len(s.problems)) * len(self.own(s)) for s in self.rollouts)


@dataclass
class Graph:
    """Everything an experiment needs, in an order in which it can run."""

    experiment: Experiment
    problems: dict[str, list[Problem]]
    generators: dict[str, Spec]
    evaluated: list[str]  # the generators that are: all but those for rollouts alone
    reward_models: dict[str, Spec]
    policies: dict[str, Spec]
    passes: dict[str, dict[str, str]]  # reward model -> role -> label of the token pass
    trained_by: dict[str, str]  # reward model -> the entry whose training made its model
    n: int
    stages: list[Stage | Training]
    stand_ins: list[str]  # problem sets that are not to be had here, nameless problems standing in for them

    @property
    def results(self) -> Path:
        return self.experiment.folder


def until(graph: Graph, last: str) -> list[Stage | Training]:
    """The graph's stages up to and including ``last`` (a name of :data:`STAGES`)."""
    group = dict.fromkeys(("rollout", "rollout-grade", "rollout-pass", "complete", "label"), "train")
    group |= dict.fromkeys(("token-pass", "policy", "policy-grade"), "score")
    place = STAGES.index(last)
    return [stage for stage in graph.stages if STAGES.index(group.get(stage.name, stage.name)) <= place]


def needed(training: Training, graph: Graph) -> list[Stage | Training]:
    """The graph's stages without which a training cannot be, itself the last."""
    found: set[Stage | Training] = {training}
    waiting = [training.after]
    while waiting:
        new = [stage for stage in waiting.pop() if stage not in found]
        found.update(new)
        waiting += [stage.after for stage in new]
    return [stage for stage in graph.stages if stage in found]
