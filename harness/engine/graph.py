"""Shards, the stages and trainings that make them, and the graph of an experiment. Nothing runs here.

A shard is one block of problems of one stage. Its key is a hash of its component, its problems, and the keys of the
shards that it reads. So a change of one shard changes the keys of exactly those shards that depend on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.components import Generator, RewardModel
from harness.core.params import Mark
from harness.core.records import Problem
from harness.core.stages import StageKind, Task, Until
from harness.core.trainer import Trainer, TrainerParams
from harness.experiment.config import Experiment
from harness.experiment.spec import Spec
from harness.storage.keys import digest
from harness.storage.shards import ledger_path, shard_key, shard_path
from harness.storage.trained import trained_key


@dataclass(eq=False)
class Shard:
    """One block of one stage: ``<results>/<folder>/part-<index>.parquet``.

    ``of_set`` names the set of its problems where several sets are evaluated and it is not of the first one. It is in
    the file's name and in no key.
    ``columns`` are those that a stored shard must have beyond the usual ones. They are not in the key: a shard that has
    them serves whoever does not need them too.
    """

    folder: str
    index: int
    key: str
    problems: tuple[Problem, ...]
    generator: str
    inputs: dict[str, Shard] = field(default_factory=dict, repr=False)
    n_responses: int = 0
    columns: Collection[str] = ()
    of_set: str = ""

    def path(self, results: Path) -> Path:
        return shard_path(results / self.folder, self.index, self.of_set)

    def ledger(self, results: Path) -> Path:
        """The file with the costs of the shard."""
        return ledger_path(results, self.folder, self.index, self.of_set)

    def derived(
        self,
        folder: str,
        identity: Sequence[Any],
        inputs: Mapping[str, Shard],
        problems: Sequence[Problem] | None = None,
    ) -> Shard:
        """The shard that a component makes from ``inputs``.

        Args:
            identity: what determines the shard besides its inputs, as JSON.
            problems: those of the shard's problems that it is about (default: all).
        """
        some = self.problems if problems is None else tuple(problems)
        which = [] if some == self.problems else [[problem.problem_id for problem in some]]
        key = digest(*identity, *which, {role: shard.key for role, shard in inputs.items()})
        n_responses = self.n_responses // len(self.problems) * len(some) if which else self.n_responses
        return Shard(folder, self.index, key, some, self.generator, dict(inputs), n_responses, of_set=self.of_set)

    def stored(self, results: Path) -> bool:
        return shard_key(self.path(results), self.columns) == self.key

    def usable(self, results: Path) -> bool:
        """Whether it is stored, or a part of it (:mod:`harness.engine.parts`)."""
        return (shard_key(self.path(results), self.columns) or "").partition("-")[0] == self.key


@dataclass(eq=False, kw_only=True)
class Node(ABC):
    """A stage or a training, computed by the component ``spec``.

    ``after`` are the stages that must be complete before it starts, ``trained`` the trainings whose models it uses.
    """

    kind: StageKind
    who: str
    spec: Spec[Any]
    after: list[Stage] = field(default_factory=list, repr=False)
    trained: list[Training] = field(default_factory=list, repr=False)

    @property
    def requires(self) -> list[Node]:
        """All nodes that must be complete before this node starts."""
        return [*self.after, *self.trained]

    @abstractmethod
    def is_done(self, results: Path) -> bool:
        """Whether everything that the node makes is stored."""


@dataclass(eq=False, kw_only=True)
class Stage(Node):
    """Shards that one component computes."""

    shards: list[Shard]
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """The function of ``harness.engine.tasks`` that computes a shard."""
        assert self.kind.task is not None
        return self.kind.task

    @property
    def model(self) -> str | None:
        """The model that the stage runs; None for a stage that only compares, replays or calculates."""
        replays = self.task is Task.SAMPLE and self.spec.cls.recorded
        calculates = self.task is Task.SCORE and only_calculates(self.spec)
        return None if replays or calculates else self.spec.paths(Mark.MODEL).get("model")

    def is_done(self, results: Path) -> bool:
        return all(shard.stored(results) for shard in self.shards)


class Graded(NamedTuple):
    """Responses and their grades."""

    responses: Stage
    grades: Stage


@dataclass(eq=False, kw_only=True)
class Training(Node):
    """Training of one reward model; its output is the folder ``trained/<who>``.

    ``base`` is the training that makes the model from which this training starts; None for an untrained model.
    ``rollouts``, ``grades`` and all that is made of them have the shards of all ``sets``, in the same order.
    ``completions`` are the completions of all rounds, ``labels`` the labels after the last round. A block of problems
    without step labels has no shard of these.
    """

    kind: StageKind = StageKind.TRAIN
    spec: Spec[Trainer[Any]]
    key: str
    folder: Path
    rollouts: list[Shard]
    grades: list[Shard]
    passes: dict[str, list[Shard]]
    base: Training | None = None
    completions: list[Shard] = field(default_factory=list)
    labels: list[Shard] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)

    def is_done(self, results: Path) -> bool:
        return trained_key(self.folder) == self.key

    def ledger(self, results: Path) -> Path:
        """The file with the development costs of the reward model."""
        return ledger_path(results, f"{StageKind.TRAIN.folder}/{self.who}", 0)

    @property
    def params(self) -> TrainerParams:
        assert isinstance(self.spec.params, TrainerParams)  # the registry finds no other trainers
        return self.spec.params

    @property
    def used(self) -> int:
        """How many rollouts of each problem it learns from in each of its sets: the first ones."""
        return self.params.responses

    @cached_property
    def problem_ids(self) -> dict[tuple[str, str], str]:
        """(id, problem) -> the id by which the training knows it."""
        return training_ids(self.rollouts)

    @cached_property
    def problems(self) -> set[str]:
        """Ids, as it knows them, of the problems it learns from."""
        return set(self.spec.cls.problems(self.spec.params, list(self.problem_ids.values())))

    def problem_ids_in(self, shard: Shard) -> set[str]:
        """Ids, as the shard has them, of the problems it learns from."""
        ids = self.problem_ids
        return {p.problem_id for p in shard.problems if ids[p.problem_id, p.problem] in self.problems}

    @property
    def method(self) -> str:
        """The training method's name in the tables, with the methods of the trainings before it."""
        method = self.spec.cls.method(self.spec.params)
        return method if self.base is None else f"{self.base.method} + {method}"

    @property
    def lineage(self) -> list[Training]:
        """This training and the trainings before it, each once."""
        lineage: dict[Training, None] = {self: None}
        for training in self.trained:
            lineage |= dict.fromkeys(training.lineage)
        return list(lineage)

    @property
    def n_responses(self) -> int:
        """The number of rollouts that the training learns from."""
        each = {shard: min(self.used, shard.n_responses // len(shard.problems)) for shard in self.rollouts}
        return sum(n * len(self.problem_ids_in(shard)) for shard, n in each.items())


@dataclass
class Graph:
    """The nodes of an experiment, in an order in which they can run."""

    experiment: Experiment
    problems: dict[str, list[Problem]]
    generators: dict[str, Spec[Generator[Any]]]
    evaluated: list[str]  # the generators that are: all but those for rollouts alone
    reward_models: dict[str, Spec[RewardModel[Any]]]
    policies: dict[str, Spec[Generator[Any]]]
    passes: dict[str, dict[str, str]]  # reward model -> role -> label of the token pass
    verifications: dict[str, Stage]  # reward model -> what a generator wrote for it, where it asks for that
    n: int
    nodes: list[Node]
    stand_ins: list[str]  # problem sets that cannot be read here: nameless problems stand in for them
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)  # entries of further selection rules
    notes: list[str] = field(default_factory=list)  # sentences on the problems and responses that are compared
    seeds_of: Mapping[str, str] = field(default_factory=dict)  # one of several seeds -> the name that they go by

    @property
    def results(self) -> Path:
        return self.experiment.folder

    @cached_property
    def stages(self) -> list[Stage]:
        return [node for node in self.nodes if isinstance(node, Stage)]

    @cached_property
    def trainings(self) -> dict[str, Training]:
        """By the entry that asks for it."""
        return {node.who: node for node in self.nodes if isinstance(node, Training)}

    @cached_property
    def commits(self) -> dict[str, str]:
        """The models of the hub, as entries name them, as ``owner/name@commit``, where the commit is known."""
        return {getattr(n.spec.params, field): commit for n in self.nodes for field, commit in n.spec.commits}

    def stage(self, kind: StageKind, who: str) -> Stage:
        """The stage of a kind and name.

        Raises:
            KeyError: where there is none.
        """
        stage = next((s for s in self.stages if (s.kind, s.who) == (kind, who)), None)
        if stage is None:
            raise KeyError(f"{kind} {who}")
        return stage

    def producers(self, paths: Collection[str]) -> list[Training]:
        """The trainings that make the models at ``paths``, in the graph's order."""
        return producers(self.trainings.values(), paths)

    def untrained(self, model: str) -> str:
        """The untrained model at the beginning of a trained model's lineage; for any other model, the model."""
        bases = {str(training.folder): training.params.base for training in self.trainings.values()}
        while model in bases:
            model = bases[model]
        return model

    def trained_by(self, spec: Spec[Any]) -> Training | None:
        """The training that makes the model of a component, or of the generator that writes for it: of several models
        the first that is trained here."""
        paths = list(spec.paths(Mark.MODEL).values())
        if spec.kind == "reward_models" and (writes := self.verifications.get(spec.name)):
            paths += writes.spec.paths(Mark.MODEL).values()
        makers = (maker for path in paths for maker in self.producers([path]))
        return next(makers, None)

    def until(self, last: Until) -> list[Node]:
        """The nodes that a run with ``--until last`` computes."""
        return [node for node in self.nodes if last.includes(node.kind.until)]

    def needed(self, training: Training) -> list[Node]:
        """The nodes that a training needs. The training is the last of them."""
        needed: set[Node] = set()
        waiting: list[Node] = [training]
        while waiting:
            node = waiting.pop()
            if node not in needed:
                needed.add(node)
                waiting += node.requires
        return [node for node in self.nodes if node in needed]


def only_calculates(spec: Spec[RewardModel[Any]]) -> bool:
    """Whether a reward model runs no model of its own: it has members, or it reads token passes, which run all of its
    models, or verifications."""
    if spec.cls.members(spec.params):
        return True
    asked = spec.cls.token_passes(spec.params)
    passed = [value for one in asked.values() for value in ([one] if isinstance(one, str) else one.values())]
    reads = bool(asked) or spec.cls.verifications(spec.params) is not None
    return reads and all(model in passed for model in spec.paths(Mark.MODEL).values())


def training_ids(rollouts: Iterable[Shard]) -> dict[tuple[str, str], str]:
    """(id, problem) -> the id by which a training knows a problem of its rollouts.

    The sets of the rollouts may have given one id to several problems.
    """
    ids: dict[tuple[str, str], str] = {}
    taken: Counter[str] = Counter()
    for problem in (p for shard in rollouts for p in shard.problems):
        id_ = problem.problem_id
        if (id_, problem.problem) not in ids:
            taken[id_] += 1
            ids[id_, problem.problem] = id_ if taken[id_] == 1 else f"{id_}~{taken[id_]}"
    return ids


def producers(trainings: Iterable[Training], paths: Collection[str]) -> list[Training]:
    """Those of some trainings that make the models at ``paths``."""
    return [training for training in trainings if str(training.folder) in paths]
