"""The graph of stages that an experiment stands for: which shards, from what, under which keys. Nothing runs here.

    sample -> grade
    rollout -> rollout-grade -> (reference pass) -> (complete -> label) -> train
    sample (+ train) -> token-pass -> score

A shard is one block of problems of one stage. Its key hashes what its component is, the problems, and the keys of
the shards it reads, so a change anywhere upstream reaches exactly what depends on it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.components import Artifacts, Pool, Spec, build, sweep, token_scorer_entry
from harness.config import Experiment
from harness.records import Problem, Sampling
from harness.registry import PassOf, Unavailable, UserError, find, suggest
from harness.store import digest, shard_key, shard_path

STAND_IN_CHARACTERS = 200  # of a problem that stands in for an unknown one, about the mean of MATH and GSM8K
STAGES = ("sample", "grade", "train", "score", "report")  # what --until takes, in order


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
        """The function of ``harness.tasks`` that computes a shard."""
        return {"rollout": "sample", "rollout-grade": "grade", "rollout-pass": "token-pass"}.get(self.name, self.name)


@dataclass(eq=False)
class Training:
    """Training of one reward model; its output is the folder ``trained/<who>``."""

    who: str
    spec: Spec
    key: str
    folder: Path
    rollouts: list[Shard]
    grades: list[Shard]
    passes: dict[str, list[Shard]]
    after: list[Stage | Training]
    completions: list[Shard] = field(default_factory=list)
    labels: list[Shard] = field(default_factory=list)
    name: str = "train"

    @property
    def used(self) -> int:
        """It learns from the first so many rollouts of each problem."""
        responses: int = getattr(self.spec.params, "responses")  # noqa: B009 -- declared by every trainer
        return responses

    @property
    def problems(self) -> set[str]:
        """Ids of the problems it learns from."""
        ids = [p.problem_id for shard in self.rollouts for p in shard.problems]
        return set(self.spec.cls.problems(self.spec.params, ids))

    @property
    def n_responses(self) -> int:
        """Rollouts it learns from."""
        return self.used * len(self.problems)


@dataclass
class Graph:
    """Everything an experiment needs, in an order in which it can run."""

    experiment: Experiment
    problems: dict[str, list[Problem]]
    generators: dict[str, Spec]
    reward_models: dict[str, Spec]
    passes: dict[str, dict[str, str]]  # reward model -> role -> label of the token pass
    trained_by: dict[str, str]  # reward model -> the entry whose training made its model
    n: int
    stages: list[Stage | Training]
    stand_ins: list[str]  # problem sets that are not to be had here, nameless problems standing in for them

    @property
    def results(self) -> Path:
        return self.experiment.folder


def build_graph(
    experiment: Experiment, extra: Sequence[tuple[str, dict[str, Any]]] = (), stand_ins: bool = False
) -> Graph:
    """Check every entry and lay out the stages.

    Args:
        extra: reward models (name, entry) beyond the experiment's own.
        stand_ins: for counting only: let nameless problems stand in for a set that is not to be had but says its size.

    Raises:
        UserError: for anything in the experiment that cannot work.
    """
    return _Builder(experiment, extra, stand_ins).graph


class _Builder:
    def __init__(self, experiment: Experiment, extra: Sequence[tuple[str, dict[str, Any]]], stand_ins: bool) -> None:
        self.experiment = experiment
        self.may_stand_in = stand_ins
        self.stand_ins: list[str] = []
        self.artifacts = Artifacts()
        self.models: dict[str, str] = {}
        self.stages: list[Stage | Training] = []
        self._passes: dict[tuple[Any, ...], Stage] = {}
        self._labelling: dict[str, list[Stage]] = {}
        self.trainings: dict[str, Training] = {}
        self.problems = self._load_problems()
        self.generators = self._generators()
        self.n = self._n()
        self.verifier = build("verifiers", "verifier", experiment.verifier, "verifier", {}, Pool(num_cpus=0))

        evaluated = self.problems[experiment.evaluation.problems]
        entries = self._expanded(extra)
        if any("train" in entry for entry in entries.values()):
            self._rollouts()  # first in line: training waits for them
        self.samples = {
            name: self._sample("sample", "responses", spec, evaluated, self.n) for name, spec in self.generators.items()
        }
        for stage in self.samples.values():
            self._grade("grade", "grades", stage)
        for name, entry in entries.items():
            if "train" in entry:
                entries[name] = self._train(name, entry)
        specs = {name: self._reward_model(name, entry) for name, entry in entries.items()}
        passes = {name: self._score(spec) for name, spec in specs.items()}
        by_model = {str(t.folder): t.who for t in self.trainings.values()}
        self.graph = Graph(
            experiment=experiment,
            problems=self.problems,
            generators=self.generators,
            reward_models=specs,
            passes={name: {role: self._pass_label(wanted) for role, wanted in p.items()} for name, p in passes.items()},
            trained_by={
                name: by_model[model]
                for name, spec in specs.items()
                for model in spec.paths("model").values()
                if model in by_model
            },
            n=self.n,
            stages=self.stages,
            stand_ins=self.stand_ins,
        )

    # -- what is compared -------------------------------------------------------------------------------------

    def _load_problems(self) -> dict[str, list[Problem]]:
        config = self.experiment
        needed = {config.evaluation.problems: "evaluation.problems"}
        if config.rollouts:
            needed[config.rollouts.problems] = "rollouts.problems"
        sets = {}
        for name, where in needed.items():
            if name not in config.problems:
                raise UserError(f"{where}: no problem set is named {name!r}{suggest(name, config.problems)}")
            spec = build("datasets", name, config.problems[name], f"problems.{name}", {})
            sets[name] = self._load(spec)
            if not sets[name]:
                raise UserError(f"problems.{name}: the set is empty")
        names = list(sets)
        if len(names) == 2:
            shared = {p.problem for p in sets[names[0]]} & {p.problem for p in sets[names[1]]}
            if shared:
                raise UserError(
                    f"problems: {names[0]} and {names[1]} share {len(shared)} problems, for instance {min(shared)!r}"
                )
        return sets

    def _load(self, spec: Spec) -> list[Problem]:
        try:
            return spec.cls(spec.params, spec.name).load()  # type: ignore[no-any-return]
        except Unavailable:
            size = spec.cls.declared_size(spec.params) if self.may_stand_in else None
            if size is None:
                raise
            self.stand_ins.append(spec.name)
            return [Problem(f"{i}", f"{spec.name} {i} ".ljust(STAND_IN_CHARACTERS, "."), "") for i in range(size)]

    def _generators(self) -> dict[str, Spec]:
        specs = {}
        for name, entry in self.experiment.generators.items():
            specs[name] = spec = build("generators", name, entry, f"generators.{name}", self.models)
            if model := spec.paths("model").get("model"):
                self.models[name] = model
        return specs

    def _n(self) -> int:
        config = self.experiment
        wanted, sizes = config.sampling.n, []
        for spec in self.generators.values():
            available = spec.cls.available_samples(spec.params)
            if available is None and wanted is None:
                raise UserError("sampling.n: missing: how many responses to sample per problem")
            if available is not None and wanted is not None and wanted > available:
                raise UserError(f"sampling.n: {wanted} wanted, {spec.where} has {available} responses to some problem")
            sizes.append(wanted or available or 0)
        n = min(sizes)
        if "n" in config.evaluation.model_fields_set and max(config.evaluation.n) > n:
            raise UserError(f"evaluation.n: {max(config.evaluation.n)} is more than the {n} responses per problem")
        return n

    def _expanded(self, extra: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """Entries with sweeps unrolled, and with what a reward model expands to (the models of a recorded file)."""
        entries: dict[str, dict[str, Any]] = {}
        for name, entry in [*self.experiment.reward_models.items(), *extra]:
            where = f"reward_models.{name}"
            if not isinstance(entry.get("type"), str):
                raise UserError(f"{where}: type: missing; `bonbench list` shows the registered ones")
            try:
                cls = find("reward_models", entry["type"])
                expanded = cls.expand({k: v for k, v in entry.items() if k != "type"})
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
            if expanded is not None:
                rows = [(label, {"type": entry["type"], **e}) for label, e in expanded.items()]
            else:
                rows = list(sweep(name, entry))
            for label, row in rows:
                if label in entries or label in self.generators:
                    raise UserError(f"{where}: the name {label!r} is taken")
                entries[label] = row
        return entries

    # -- stages -----------------------------------------------------------------------------------------------

    def _blocks(self, problems: list[Problem]) -> list[tuple[Problem, ...]]:
        size = self.experiment.problems_per_shard
        return [tuple(problems[i : i + size]) for i in range(0, len(problems), size)]

    def _sample(self, name: str, folder: str, spec: Spec, problems: list[Problem], n: int) -> Stage:
        config = self.experiment
        sampling = Sampling(**{**config.sampling.model_dump(), "n": n})
        identity = [self.artifacts.identity(spec), dataclasses.asdict(sampling), config.seed]
        shards = [
            Shard(
                folder=f"{folder}/{spec.name}",
                index=i,
                key=digest("sample", spec.name, *identity, [dataclasses.asdict(p) for p in block]),
                problems=block,
                generator=spec.name,
                n_responses=n * len(block),
            )
            for i, block in enumerate(self._blocks(problems))
        ]
        arguments = {"sampling": sampling, "run_seed": config.seed}
        return self._add(Stage(name, spec.name, spec, shards, arguments=arguments))

    def _grade(self, name: str, folder: str, sampled: Stage) -> Stage:
        identity = self.artifacts.identity(self.verifier)
        shards = [
            self._derive(s, f"{folder}/{sampled.who}", ["grade", identity], {"responses": s}) for s in sampled.shards
        ]
        return self._add(Stage(name, sampled.who, self.verifier, shards))

    def _token_pass(self, name: str, wanted: PassOf, sampled: Sequence[Stage], pool: Pool) -> Stage:
        """A model's pass over what was sampled; one pass serves every reward model that asks for the same."""
        entry = token_scorer_entry(wanted)
        key = (name, *sorted(entry.items()))
        if key not in self._passes:
            label = self._pass_label(wanted)
            spec = build("token_scorers", label, entry, label, self.models, pool)
            identity = self.artifacts.identity(spec)
            folder = {"token-pass": "token-passes", "rollout-pass": "rollout-passes"}[name]
            shards = [
                self._derive(s, f"{folder}/{label}/{s.generator}", ["token-pass", identity], {"responses": s})
                for stage in sampled
                for s in stage.shards
            ]
            trained = (t for t in self.trainings.values() if str(t.folder) == entry["model"])
            self._passes[key] = self._add(Stage(name, label, spec, shards, [*sampled, *trained]))
        return self._passes[key]

    def _train(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        """Add the training an entry asks for; return the entry with its trained model in place."""
        where, block = f"reward_models.{name}.train", entry["train"]
        if not isinstance(block, dict):
            raise UserError(f"{where}: a mapping is expected, for instance {{objective: dpo, base: middle}}")
        rollouts = self.experiment.rollouts
        assert rollouts is not None
        spec = build("trainers", name, {"type": entry["type"], **block}, where, self.models)
        wanted = getattr(spec.params, "responses", rollouts.n)
        if wanted > rollouts.n:
            raise UserError(f"{where}.responses: {wanted} wanted, rollouts.n is {rollouts.n}")
        sampled, graded = self._rollouts()
        passes = {
            role: self._token_pass("rollout-pass", model, [sampled], spec.pool)
            for role, model in spec.cls.token_passes(spec.params).items()
        }
        labelling = self._step_labels(spec, sampled, graded)
        reads = [sampled, graded, *passes.values(), *labelling]
        key = digest("train", self.artifacts.identity(spec), [[s.key for s in stage.shards] for stage in reads])
        folder = (self.experiment.folder / "trained" / name).resolve()
        self.artifacts.planned[str(folder)] = key
        self.models[name] = str(folder)
        self.trainings[name] = Training(
            who=name,
            spec=spec,
            key=key,
            folder=folder,
            rollouts=sampled.shards,
            grades=graded.shards,
            passes={role: stage.shards for role, stage in passes.items()},
            completions=labelling[0].shards if labelling else [],
            labels=labelling[1].shards if labelling else [],
            after=list(reads),
        )
        self.stages.append(self.trainings[name])
        base = spec.paths("model").get("base", "")
        rest = {k: v for k, v in entry.items() if k not in ("train", "type")}
        cls = find("reward_models", entry["type"])
        return {"type": entry["type"], **cls.with_trained(rest, str(folder), base, spec.params)}

    def _step_labels(self, spec: Spec, sampled: Stage, graded: Stage) -> list[Stage]:
        """The completions and the step labels that a trainer asks for; trainings that ask for as many share them."""
        n: int = spec.cls.completions(spec.params)
        if n == 0:
            return []
        who = f"{sampled.who}-{n}"
        if who not in self._labelling:
            config = self.experiment
            sampling = Sampling(**{**config.sampling.model_dump(), "n": n})
            generator = self.generators[sampled.who]
            identity = [self.artifacts.identity(generator), dataclasses.asdict(sampling), config.seed]
            completed = [
                self._derive(s, f"completions/{who}", ["complete", *identity], {"responses": s}) for s in sampled.shards
            ]
            arguments = {"sampling": sampling, "run_seed": config.seed}
            completing = self._add(Stage("complete", who, generator, completed, [sampled], arguments))
            labelled = []
            for rollouts, grades, completions in zip(sampled.shards, graded.shards, completed, strict=True):
                inputs = {"responses": rollouts, "grades": grades, "completions": completions}
                identity = ["label", self.artifacts.identity(self.verifier)]
                labelled.append(self._derive(rollouts, f"step-labels/{who}", identity, inputs))
            labelling = self._add(Stage("label", who, self.verifier, labelled, arguments={"n": n}))
            self._labelling[who] = [completing, labelling]
        return self._labelling[who]

    def _rollouts(self) -> tuple[Stage, Stage]:
        rollouts = self.experiment.rollouts
        if rollouts is None:
            raise UserError("rollouts: missing: training needs {generator: NAME, problems: train, n: 8}")
        if rollouts.generator not in self.generators:
            hint = suggest(rollouts.generator, self.generators)
            raise UserError(f"rollouts.generator: no generator is named {rollouts.generator!r}{hint}")
        for stage in self.stages:
            if stage.name == "rollout-grade":
                graded = stage
                sampled = next(s for s in self.stages if s.name == "rollout")
                assert isinstance(sampled, Stage) and isinstance(graded, Stage)
                return sampled, graded
        spec = self.generators[rollouts.generator]
        sampled = self._sample("rollout", "rollouts", spec, self.problems[rollouts.problems], rollouts.n)
        return sampled, self._grade("rollout-grade", "rollout-grades", sampled)

    def _reward_model(self, name: str, entry: dict[str, Any]) -> Spec:
        return build("reward_models", name, entry, f"reward_models.{name}", self.models)

    def _score(self, spec: Spec) -> Mapping[str, PassOf]:
        """Add the scoring of a reward model and the token passes it needs; return its passes by role."""
        wanted: Mapping[str, PassOf] = spec.cls.token_passes(spec.params)
        sampled = list(self.samples.values())
        passes = {role: self._token_pass("token-pass", of, sampled, spec.pool) for role, of in wanted.items()}
        identity = self.artifacts.identity(spec)
        shards = []
        for i, response in enumerate(shard for stage in sampled for shard in stage.shards):
            inputs = {"responses": response} | {role: stage.shards[i] for role, stage in passes.items()}
            folder = f"scores/{spec.name}/{response.generator}"
            shards.append(self._derive(response, folder, ["score", spec.name, identity], inputs))
        after: list[Stage | Training] = list(passes.values()) or list(sampled)
        trained = set(spec.paths("model").values())
        after += [t for t in self.trainings.values() if str(t.folder) in trained]
        self._add(Stage("score", spec.name, spec, shards, after))
        return wanted

    def _derive(self, source: Shard, folder: str, identity: list[Any], inputs: dict[str, Shard]) -> Shard:
        key = digest(*identity, {role: shard.key for role, shard in inputs.items()})
        return dataclasses.replace(source, folder=folder, key=key, inputs=inputs)

    def _add(self, stage: Stage) -> Stage:
        self.stages.append(stage)
        return stage

    def _pass_label(self, wanted: PassOf) -> str:
        """The short name of a token pass: its model's, and whatever else is asked of it."""
        if isinstance(wanted, str):
            return self._label(wanted)
        return "-".join([self._label(wanted["model"]), *(v for k, v in sorted(wanted.items()) if k != "model")])

    def _label(self, model: str) -> str:
        """The short name of a model: its name in the experiment, else what its path ends with."""
        for name, path in self.models.items():
            if path == model:
                return name
        return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.")[-60:]


def until(graph: Graph, last: str) -> list[Stage | Training]:
    """The graph's stages up to and including ``last`` (a name of :data:`STAGES`)."""
    group = dict.fromkeys(("rollout", "rollout-grade", "rollout-pass", "complete", "label"), "train")
    group["token-pass"] = "score"
    place = STAGES.index(last)
    return [stage for stage in graph.stages if STAGES.index(group.get(stage.name, stage.name)) <= place]
