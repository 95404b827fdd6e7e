"""The graph of stages that an experiment stands for: which shards, from what, under which keys. Nothing runs here.

    sample -> grade
    rollout -> rollout-grade -> (reference pass) -> (complete -> label, in rounds) -> train (-> train)
    sample (+ train) -> token-pass -> score
    (train) -> policy -> policy-grade

What these are: :mod:`harness.engine.graph`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from harness.core.components import PassOf, TrainerParams
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling
from harness.core.registry import find
from harness.core.stages import StageKind, Task
from harness.engine.graph import Graph, Node, Shard, Stage, Training, producers
from harness.experiment.config import Experiment
from harness.experiment.entries import build, sweep, token_scorer_entry
from harness.experiment.model_files import Artifacts
from harness.experiment.problem_sets import load_problem_sets, rollout_sets, rollouts_at
from harness.experiment.spec import Pool, Spec, marked
from harness.storage.shards import digest


def build_graph(
    experiment: Experiment,
    extra: Sequence[tuple[str, dict[str, Any]]] = (),
    stand_ins: bool = False,
    evaluation: bool = True,
) -> Graph:
    """Check every entry and lay out the stages.

    Args:
        extra: reward models (name, entry) beyond the experiment's own.
        stand_ins: for counting only: let nameless problems stand in for a set that is not to be had but says its size.
        evaluation: whether there must be something to evaluate. An experiment may otherwise do without problems to
            evaluate on: nothing is sampled or scored then, and trainings are all there is.

    Raises:
        UserError: for anything in the experiment that cannot work.
    """
    return _Builder(experiment, extra, stand_ins, evaluation).graph


class _Builder:
    def __init__(
        self, experiment: Experiment, extra: Sequence[tuple[str, dict[str, Any]]], may_stand_in: bool, evaluation: bool
    ) -> None:
        self.experiment = experiment
        self.artifacts = Artifacts()
        self.models: dict[str, str] = {}
        self.nodes: list[Node] = []
        self._passes: dict[tuple[Any, ...], Stage] = {}
        self._labelling: dict[str, list[Stage]] = {}
        self._rollouts: dict[str, tuple[Stage, Stage]] = {}
        self.trainings: dict[str, Training] = {}
        self.problems, stand_ins = load_problem_sets(experiment, evaluation, may_stand_in)
        evaluated = self.problems.get(experiment.evaluation.problems, [])
        self.generators: dict[str, Spec] = {}
        self.evaluated = self._generators()
        if evaluation and not self.evaluated:
            raise UserError("generators: none is evaluated: each says `evaluate: false`")
        if not evaluated:
            self.evaluated = []
        self.n = self._n()
        self.verifier = build("verifiers", "verifier", experiment.verifier, "verifier", {}, Pool(num_cpus=0))

        entries = self._expanded(extra)
        trained = _bases_first(entries)
        for name in trained:  # first in line: training waits for them
            for set_ in self._sets(name, entries[name]["train"]):
                self._sampled_and_graded(set_)
        self.samples = [
            self._sample(StageKind.SAMPLE, name, self.generators[name], evaluated, self.n) for name in self.evaluated
        ]
        for stage in self.samples:
            self._grade(StageKind.GRADE, stage)
        for name in trained:
            entries[name] = self._train(name, entries[name])
        specs, passes, policies = {}, {}, {}
        if self.evaluated:
            specs = {name: self._reward_model(name, entry) for name, entry in entries.items()}
            passes = {name: self._score(spec) for name, spec in specs.items()}
            for name, entry in experiment.policies.models.items():
                policies[name] = self._policy(name, entry, evaluated)
        self.graph = Graph(
            experiment=experiment,
            problems=self.problems,
            generators=self.generators,
            evaluated=self.evaluated,
            reward_models=specs,
            policies=policies,
            passes={name: {role: self._pass_label(wanted) for role, wanted in p.items()} for name, p in passes.items()},
            n=self.n,
            nodes=self.nodes,
            stand_ins=stand_ins,
        )

    # -- what is compared -------------------------------------------------------------------------------------

    def _generators(self) -> list[str]:
        """Check the generators; the names of those to evaluate."""
        evaluated = []
        for name, entry in self.experiment.generators.items():
            where = f"generators.{name}"
            entry = dict(entry)
            evaluate = entry.pop("evaluate", True)
            if not isinstance(evaluate, bool):
                raise UserError(f"{where}.evaluate: true or false is expected (it is {evaluate!r})")
            self.generators[name] = spec = build("generators", name, entry, where, self.models)
            if model := spec.paths("model").get("model"):
                self.models[name] = model
            if evaluate:
                evaluated.append(name)
        return evaluated

    def _n(self) -> int:
        config = self.experiment
        wanted, sizes = config.sampling.n, []
        for spec in (self.generators[name] for name in self.evaluated):
            available = spec.cls.available_samples(spec.params)
            if available is None and wanted is None:
                raise UserError("sampling.n: missing: how many responses to sample per problem")
            if available is not None and wanted is not None and wanted > available:
                raise UserError(
                    f"sampling.n: {wanted} wanted, {spec.where} has {available} responses to some problem "
                    "(one for rollouts alone says `evaluate: false`)"
                )
            sizes.append(wanted or available or 0)
        if not sizes:
            return 0
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

    def _sample(self, kind: StageKind, who: str, spec: Spec, problems: list[Problem], n: int) -> Stage:
        """``n`` responses to each problem."""
        config = self.experiment
        sampling = Sampling(**{**config.sampling.model_dump(), "n": n})
        identity = [self.artifacts.identity(spec), dataclasses.asdict(sampling), config.seed]
        shards = [
            Shard(
                folder=f"{kind.folder}/{who}",
                index=i,
                key=digest(Task.SAMPLE, spec.name, *identity, [dataclasses.asdict(p) for p in block]),
                problems=block,
                generator=spec.name,
                n_responses=n * len(block),
            )
            for i, block in enumerate(self._blocks(problems))
        ]
        arguments = {"sampling": sampling, "run_seed": config.seed}
        if kind is StageKind.ROLLOUT and spec.cls.recorded:
            arguments["fewer"] = True
        return self._add(Stage(kind=kind, who=who, spec=spec, shards=shards, arguments=arguments))

    def _grade(self, kind: StageKind, sampled: Stage) -> Stage:
        identity = self.artifacts.identity(self.verifier)
        shards = [
            self._derive(s, f"{kind.folder}/{sampled.who}", [Task.GRADE, identity], {"responses": s})
            for s in sampled.shards
        ]
        return self._add(Stage(kind=kind, who=sampled.who, spec=self.verifier, shards=shards))

    def _token_pass(self, kind: StageKind, wanted: PassOf, sampled: Sequence[Stage], pool: Pool) -> Stage:
        """A model's pass over what was sampled; one pass serves every reward model that asks for the same."""
        entry = token_scorer_entry(wanted)
        key = (kind, *(stage.who for stage in sampled), *sorted(entry.items()))
        if key not in self._passes:
            label = self._pass_label(wanted)
            several = kind is StageKind.ROLLOUT_PASS and len(self._rollouts) > 1
            who = f"{label}/{sampled[0].who}" if several else label
            spec = build("token_scorers", label, entry, label, self.models, pool)
            identity = self.artifacts.identity(spec)
            shards = [
                self._derive(s, f"{kind.folder}/{label}/{stage.who}", [Task.TOKEN_PASS, identity], {"responses": s})
                for stage in sampled
                for s in stage.shards
            ]
            self._passes[key] = self._add(
                Stage(kind=kind, who=who, spec=spec, shards=shards, after=[*sampled], trained=self._producers(spec))
            )
        return self._passes[key]

    def _train(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        """Add the training an entry asks for; return the entry with its trained model in place."""
        sets = self._sets(name, entry["train"])
        earlier = self.trainings.get(str(entry["train"].get("base")))
        spec = self._trainer(name, entry, sets, earlier)
        rollouts, grades, completions, labels = [], [], [], []
        passes: dict[str, list[Shard]] = {}
        reads: list[Stage] = []
        for set_ in sets:
            sampled, graded = self._sampled_and_graded(set_)
            own_passes = {
                role: self._token_pass(StageKind.ROLLOUT_PASS, model, [sampled], spec.pool)
                for role, model in spec.cls.token_passes(spec.params).items()
            }
            labelling = self._step_labels(spec, sampled, graded)
            rollouts += sampled.shards
            grades += graded.shards
            for role, stage in own_passes.items():
                passes.setdefault(role, []).extend(stage.shards)
            completions += [s for stage in labelling if stage.kind is StageKind.COMPLETE for s in stage.shards]
            labels += labelling[-1].shards if labelling else []
            reads += [sampled, graded, *own_passes.values(), *labelling]
        key = digest(StageKind.TRAIN, self.artifacts.identity(spec), [[s.key for s in stage.shards] for stage in reads])
        folder = (self.experiment.folder / StageKind.TRAIN.folder / name).resolve()
        self.artifacts.planned[str(folder)] = key
        self.models[name] = str(folder)
        self.trainings[name] = Training(
            who=name,
            spec=spec,
            key=key,
            folder=folder,
            sets=sets,
            rollouts=rollouts,
            grades=grades,
            passes=passes,
            base=earlier,
            completions=completions,
            labels=labels,
            after=reads,
            trained=self._producers(spec),
        )
        self.nodes.append(self.trainings[name])
        base = spec.paths("model").get("base", "")
        rest = {k: v for k, v in entry.items() if k not in ("train", "type")}
        cls = find("reward_models", entry["type"])
        return {"type": entry["type"], **cls.with_trained(rest, str(folder), base, spec.params)}

    def _trainer(self, name: str, entry: dict[str, Any], sets: Sequence[str], base: Training | None) -> Spec:
        """How an entry's model is trained, starting from a ``base`` that is itself trained, if any. It learns from as
        many responses as there are, where it does not say how many."""
        where = f"reward_models.{name}.train"
        block = {"type": entry["type"], **{k: v for k, v in entry["train"].items() if k != "rollouts"}}
        if base is not None:
            block = find("trainers", block["type"]).with_base(block, base.spec.params)
        spec = build("trainers", name, block, where, self.models)
        there = max(self.experiment.rollouts[set_].n for set_ in sets)
        assert isinstance(spec.params, TrainerParams)
        if spec.params.responses <= there:
            return spec
        if "responses" not in block:
            return build("trainers", name, {**block, "responses": there}, where, self.models)
        places = " and ".join(f"{rollouts_at(self.experiment, set_)}.n" for set_ in sets)
        are = "is" if len(sets) == 1 else "are at most"
        raise UserError(f"{where}.responses: {block['responses']} wanted, {places} {are} {there}")

    def _step_labels(self, spec: Spec, sampled: Stage, graded: Stage) -> list[Stage]:
        """The completions and the step labels that a trainer asks for, round by round, the labels last; trainings that
        ask for the same rounds share them."""
        rounds: Sequence[int] = spec.cls.completions(spec.params)
        who = "-".join([sampled.who, *map(str, rounds)])
        if who not in self._labelling:
            stages: list[Stage] = []
            for k, n in enumerate(rounds):
                place = who if len(rounds) == 1 else f"{who}/round-{k + 1}"
                stages += self._round(place, n, sampled, graded, stages[-1] if stages else None)
            self._labelling[who] = stages
        return self._labelling[who]

    def _round(self, who: str, n: int, sampled: Stage, graded: Stage, before: Stage | None) -> list[Stage]:
        """``n`` completions of the prefixes that need any after the labels of the round ``before``, and the labels."""
        config = self.experiment
        of = config.rollouts[sampled.who]
        generator = self.generators[of.completed_by or of.generator]
        if generator.cls.recorded:
            raise UserError(
                f"{rollouts_at(config, sampled.who)}.completed_by: missing: labels of steps need a generator that can "
                f"go on after each, and the responses of {generator.name} are recorded"
            )
        sampling = Sampling(**{**config.sampling.model_dump(), "n": n})
        identity = [Task.COMPLETE, self.artifacts.identity(generator), dataclasses.asdict(sampling), config.seed]
        verifying = [StageKind.LABEL.folder, self.artifacts.identity(self.verifier)]
        completed, labelled = [], []
        for i, (rollouts, grades) in enumerate(zip(sampled.shards, graded.shards, strict=True)):
            known = {"labels": before.shards[i]} if before else {}
            completed.append(
                self._derive(rollouts, f"{StageKind.COMPLETE.folder}/{who}", identity, {"responses": rollouts, **known})
            )
            inputs = {"responses": rollouts, "grades": grades, "completions": completed[-1], **known}
            labelled.append(self._derive(rollouts, f"{StageKind.LABEL.folder}/{who}", verifying, inputs))
        arguments = {"sampling": sampling, "run_seed": config.seed}
        after = [sampled, before] if before else [sampled]
        completing = Stage(
            kind=StageKind.COMPLETE, who=who, spec=generator, shards=completed, after=after, arguments=arguments
        )
        labelling = Stage(kind=StageKind.LABEL, who=who, spec=self.verifier, shards=labelled)
        return [self._add(completing), self._add(labelling)]

    def _sets(self, name: str, block: Mapping[str, Any]) -> list[str]:
        where = f"reward_models.{name}.train.rollouts"
        return rollout_sets(self.experiment, self.problems, self.generators, block.get("rollouts"), where)

    def _sampled_and_graded(self, name: str) -> tuple[Stage, Stage]:
        """The stages of a set of rollouts."""
        if name not in self._rollouts:
            of = self.experiment.rollouts[name]
            spec, problems = self.generators[of.generator], self.problems[of.problems]
            sampled = self._sample(StageKind.ROLLOUT, name, spec, problems, of.n)
            self._rollouts[name] = sampled, self._grade(StageKind.ROLLOUT_GRADE, sampled)
        return self._rollouts[name]

    def _policy(self, name: str, entry: dict[str, Any], problems: list[Problem]) -> Spec:
        """Add the sampling and grading of a policy, once it is trained."""
        spec = build("generators", name, entry, f"policies.models.{name}", self.models)
        n = self.experiment.policies.n or self.n
        available = spec.cls.available_samples(spec.params)
        if available is not None and available < n:
            raise UserError(f"policies.n: {n} wanted, {spec.where} has {available} responses to some problem")
        sampled = self._sample(StageKind.POLICY, name, spec, problems, n)
        sampled.trained = self._producers(spec)
        self._grade(StageKind.POLICY_GRADE, sampled)
        return spec

    def _reward_model(self, name: str, entry: dict[str, Any]) -> Spec:
        return build("reward_models", name, entry, f"reward_models.{name}", self.models)

    def _score(self, spec: Spec) -> Mapping[str, PassOf]:
        """Add the scoring of a reward model and the token passes it needs; return its passes by role."""
        wanted: Mapping[str, PassOf] = spec.cls.token_passes(spec.params)
        sampled = self.samples
        passes = {role: self._token_pass(StageKind.TOKEN_PASS, of, sampled, spec.pool) for role, of in wanted.items()}
        identity = self.artifacts.identity(spec)
        shards = []
        for i, response in enumerate(shard for stage in sampled for shard in stage.shards):
            inputs = {"responses": response} | {role: stage.shards[i] for role, stage in passes.items()}
            folder = f"{StageKind.SCORE.folder}/{spec.name}/{response.generator}"
            shards.append(self._derive(response, folder, [Task.SCORE, spec.name, identity], inputs))
        self._add(
            Stage(
                kind=StageKind.SCORE,
                who=spec.name,
                spec=spec,
                shards=shards,
                after=list(passes.values()) or list(sampled),
                trained=self._producers(spec),
            )
        )
        return wanted

    def _derive(self, source: Shard, folder: str, identity: list[Any], inputs: dict[str, Shard]) -> Shard:
        key = digest(*identity, {role: shard.key for role, shard in inputs.items()})
        return dataclasses.replace(source, folder=folder, key=key, inputs=inputs)

    def _producers(self, spec: Spec) -> list[Training]:
        return producers(self.trainings.values(), spec.paths("model").values())

    def _add(self, stage: Stage) -> Stage:
        self.nodes.append(stage)
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


def _bases_first(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The entries that train, each behind those whose trained models it starts from or refers to.

    Raises:
        UserError: where trainings wait for each other, or one is not a mapping.
    """
    needs: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if "train" not in entry:
            continue
        where, block = f"reward_models.{name}.train", entry["train"]
        if not isinstance(block, dict):
            raise UserError(f"{where}: a mapping is expected, for instance {{objective: dpo, base: middle}}")
        try:
            params = find("trainers", block.get("type", entry["type"])).Params
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        named = [block.get(field_name) for field_name in marked(params, "model")]
        needs[name] = [other for other in named if isinstance(other, str) and "train" in entries.get(other, {})]
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        cycle = error.args[1]
        raise UserError(
            f"reward_models.{cycle[0]}.train: trainings that wait for each other: {' -> '.join(cycle)}"
        ) from None
