"""Makes the shards of each stage: what they read, their keys and their folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.core.components import Generator, RewardModel, Verifier
from harness.core.errors import UserError
from harness.core.hub_models import canonical
from harness.core.params import Mark, PassOf, ReadsParams
from harness.core.records import Problem
from harness.core.registry import find
from harness.core.stages import StageKind, Task
from harness.core.trainer import Trainer, TrainerParams
from harness.engine.graph import Graded, Shard, Stage, Training, only_calculates, producers, training_ids
from harness.engine.labels import Labels, pass_label
from harness.engine.step_labelling import StepLabelling
from harness.engine.tasks import score_role
from harness.engine.verifying import Verifying
from harness.experiment.config import Experiment
from harness.experiment.entries import asked_with, build, pool_of, token_scorer_entry
from harness.experiment.generators import Generators
from harness.experiment.model_files import Artifacts
from harness.experiment.problem_sets import rollout_sets, rollouts_at
from harness.experiment.spec import Pool, Spec
from harness.storage.keys import digest


class Scored(NamedTuple):
    """The scores of a reward model, and what it reads: token passes (role -> stage) and verifications, if any."""

    stage: Stage
    passes: Mapping[str, Stage]
    verifications: Stage | None

    @property
    def reads(self) -> list[Stage]:
        return [*self.passes.values(), *([self.verifications] if self.verifications else [])]


@dataclass(frozen=True)
class _Lessons:
    """What a training reads of one set of rollouts. ``labelling`` are completions and labels by turns."""

    rollouts: Graded
    passes: Mapping[str, Stage]
    labelling: Sequence[Stage]

    @property
    def stages(self) -> list[Stage]:
        return [*self.rollouts, *self.passes.values(), *self.labelling]


class Layout:
    """Makes the stages of one experiment. A stage that several entries need is made once, and they share it.

    ``models`` maps names to models: the name of a generator to its model, and the name of an entry to the folder of its
    training, once that training is made. ``asks`` maps them to the parameters of the prompt with which the model is
    asked. ``artifacts`` knows the identities of models.
    """

    def __init__(
        self,
        experiment: Experiment,
        problems: Mapping[str, Sequence[Problem]],
        generators: Generators,
        verifier: Spec[Verifier[Any]],
    ) -> None:
        self.models = dict(generators.models)
        self.asks: dict[str, dict[str, Any]] = generators.asks
        self._experiment, self._problems, self._verifier = experiment, problems, verifier
        self._generators = generators.specs
        self.artifacts = Artifacts()
        self._trainings: dict[str, Training] = {}
        self._rollouts: dict[str, Graded] = {}
        self._passes: dict[tuple[Any, ...], Stage] = {}
        self._labels = Labels()
        self._labelling = StepLabelling(
            experiment, generators.specs, verifier, self.artifacts, self._labels, self._producers
        )
        self._verifying = Verifying(experiment, generators, self.artifacts, self._labels, self._producers)

    # -- responses and grades -----------------------------------------------------------------------------------

    def sampling(
        self, kind: StageKind, who: str, spec: Spec[Generator[Any]], sets: Mapping[str, Sequence[Problem]], n: int
    ) -> Stage:
        """``n`` responses to each problem of some sets. No shard has problems of two sets."""
        sampling, seed = self._experiment.sampling.of(n), self._experiment.seed
        identity = [self.artifacts.identity(spec), dataclasses.asdict(sampling), seed]
        size = self._experiment.problems_in_shard(n)
        shards = [
            Shard(
                folder=f"{kind.folder}/{who}",
                index=index,
                key=digest(Task.SAMPLE, spec.name, *identity, [dataclasses.asdict(p) for p in block]),
                problems=block,
                generator=spec.name,
                n_responses=n * len(block),
                of_set=name if place else "",
            )
            for place, (name, problems) in enumerate(sets.items())
            for index, block in enumerate(_blocks(problems, size))
        ]
        arguments = {"sampling": sampling, "run_seed": seed}
        if kind is StageKind.ROLLOUT and spec.cls.recorded:
            arguments["fewer"] = True
        return Stage(kind=kind, who=who, spec=spec, shards=shards, trained=self._producers(spec), arguments=arguments)

    def grading(self, kind: StageKind, sampled: Stage, by: Spec[Verifier[Any]] | None = None) -> Stage:
        """The grades of responses ``by`` a verifier, by default the experiment's. They follow shard by shard."""
        verifier = self._verifier if by is None else by
        folder, identity = f"{kind.folder}/{sampled.who}", [Task.GRADE, self.artifacts.identity(verifier)]
        shards = [shard.derived(folder, identity, {"responses": shard}) for shard in sampled.shards]
        return Stage(kind=kind, who=sampled.who, spec=verifier, shards=shards)

    def rollouts(self, set_: str) -> Graded:
        """A set of rollouts, graded."""
        if set_ not in self._rollouts:
            config = self._experiment.rollouts[set_]
            spec, problems = self._generators[config.generator], self._problems[config.problems]
            sampled = self.sampling(StageKind.ROLLOUT, set_, spec, {config.problems: problems}, config.n)
            self._rollouts[set_] = Graded(sampled, self.grading(StageKind.ROLLOUT_GRADE, sampled))
        return self._rollouts[set_]

    def rollout_sets(self, name: str, block: Mapping[str, Any]) -> list[str]:
        """The sets of rollouts that a ``train:`` block asks for."""
        where = f"reward_models.{name}.train.rollouts"
        return rollout_sets(self._experiment, self._problems, self._generators, block.get("rollouts"), where)

    def policy(self, name: str, entry: Mapping[str, Any], sets: Mapping[str, Sequence[Problem]], n: int) -> Graded:
        """The responses of a policy, which may be a model that is trained here, and their grades.

        Raises:
            UserError: where it has fewer responses than are asked for: ``n``, where the experiment does not say.
        """
        spec: Spec[Generator[Any]] = build(
            "generators", name, entry, f"policies.models.{name}", self.models, asks=self.asks
        )
        problems = [problem for of_set in sets.values() for problem in of_set]
        asked, available = self._experiment.policies.n or n, spec.cls.available_samples(spec.params, problems)
        short = next((id_ for id_, count in (available or {}).items() if count < asked), None)
        if available is not None and short is not None:
            raise UserError(
                f"policies.n: {asked} wanted, but problem {short!r} has {available[short]} responses of {spec.where}"
            )
        sampled = self.sampling(StageKind.POLICY, name, spec, sets, asked)
        return Graded(sampled, self.grading(StageKind.POLICY_GRADE, sampled))

    # -- token passes and scores --------------------------------------------------------------------------------

    def scoring(self, spec: Spec[RewardModel[Any]], samples: Sequence[Stage], members: Mapping[str, Stage]) -> Scored:
        """The scores of a reward model. ``members`` are the scores of others that it reads.

        Raises:
            UserError: where its steps are others than its model has learnt to judge.
        """
        self._check_steps(spec)
        asked = spec.cls.token_passes(spec.params)
        passes = {role: self._token_pass(StageKind.TOKEN_PASS, model, samples, spec) for role, model in asked.items()}
        question = spec.cls.verifications(spec.params)
        verified = self._verifying.stage(question, samples, spec, self.models) if question else None
        reads = passes | ({"verifications": verified} if verified else {})
        identity = [Task.SCORE, spec.name, self.artifacts.identity(spec)]
        shards = []
        for i, response in enumerate(shard for stage in samples for shard in stage.shards):
            inputs = {"responses": response} | {role: stage.shards[i] for role, stage in reads.items()}
            inputs |= {score_role(name): stage.shards[i] for name, stage in members.items()}
            folder = f"{StageKind.SCORE.folder}/{spec.name}/{response.generator}"
            shards.append(response.derived(folder, identity, inputs))
        stage = Stage(
            kind=StageKind.SCORE,
            who=spec.name,
            # What the entry asks for is for its passes, where the rest is arithmetic.
            spec=dataclasses.replace(spec, pool=Pool()) if only_calculates(spec) else spec,
            shards=shards,
            after=[*reads.values(), *members.values()] or list(samples),
            trained=self._producers(spec),
            arguments={"asked": question} if question else {},
        )
        return Scored(stage, passes, verified)

    def _check_steps(self, spec: Spec[RewardModel[Any]]) -> None:
        """Raise :class:`UserError` where a model that learnt the labels of steps would be asked about other steps."""
        model = next(iter(spec.paths(Mark.MODEL).values()), None)
        training = self._trained_at(model) if model is not None else None
        if training is None or not training.spec.cls.judges_steps(training.spec.params):
            return
        if isinstance(spec.params, ReadsParams) and (parameter := spec.params.other_steps()):
            raise UserError(
                f"{spec.where}.{parameter}: the model of {training.who} has learnt to judge the usual steps of a whole "
                f"response: leave {parameter} out"
            )

    def _token_pass(self, kind: StageKind, asked: PassOf, sampled: Sequence[Stage], asker: Spec[Any]) -> Stage:
        """A model's pass over responses. Whoever asks for the same shares it; it has the resources that any asks for,
        so that the order of the entries does not decide where it runs. Of the prompt's parameters that the asker does
        not know, the model's are those that it has elsewhere in the experiment."""
        label, pool, entry = pass_label(asked, self.models), asker.pool, token_scorer_entry(asked)
        names = (name for name, path in self.models.items() if path == entry["model"])
        elsewhere = next(filter(None, map(self.asks.get, names)), {})
        unknown = {name: value for name, value in elsewhere.items() if name not in type(asker.params).model_fields}
        entry = asked_with(unknown, entry, find("token_scorers", entry["type"]).Params)
        spec: Spec[Any] = build("token_scorers", label, entry, label, self.models, pool)
        identity, columns = self.artifacts.identity(spec), spec.cls.columns(spec.params)
        key = (kind, *(stage.who for stage in sampled), digest(identity))
        if key in self._passes:
            shared = self._passes[key]
            pool = shared.spec.pool.at_least(pool)
            if len(columns) > len(shared.spec.cls.columns(shared.spec.params)):
                shared.spec = dataclasses.replace(shared.spec, params=spec.params)
                for shard in shared.shards:
                    shard.columns = columns
            shared.spec = dataclasses.replace(shared.spec, pool=pool)
            return shared
        label = self._labels.claim(kind, label, identity)
        several = kind is StageKind.ROLLOUT_PASS and len(self._rollouts) > 1
        self._passes[key] = Stage(
            kind=kind,
            who=f"{label}/{sampled[0].who}" if several else label,
            spec=dataclasses.replace(spec, name=label, where=label),
            shards=[
                shard.derived(f"{kind.folder}/{label}/{stage.who}", [Task.TOKEN_PASS, identity], {"responses": shard})
                for stage in sampled
                for shard in stage.shards
            ],
            after=list(sampled),
            trained=self._producers(spec),
        )
        for shard in self._passes[key].shards:
            shard.columns = columns
        return self._passes[key]

    # -- trainings ----------------------------------------------------------------------------------------------

    def training(self, name: str, entry: Mapping[str, Any]) -> Training:
        """The training that an entry asks for. From here on the entry's name stands for the trained model."""
        sets = self.rollout_sets(name, entry["train"])
        base = self._trained_at(str(entry["train"].get("base")))
        spec = self._trainer(name, entry, sets, base)
        ids = training_ids(_shards(self.rollouts(set_).responses for set_ in sets))
        labelled = set(spec.cls.labelled(spec.params, list(ids.values())))
        lessons = [self._lessons(spec, set_, lambda p: ids[p.problem_id, p.problem] in labelled) for set_ in sets]
        reads = [stage for lesson in lessons for stage in lesson.stages]
        identity = self.artifacts.identity(spec)
        folder = (self._experiment.folder / StageKind.TRAIN.folder / name).resolve()
        training = Training(
            who=name,
            spec=spec,
            key=digest(StageKind.TRAIN, identity, [[shard.key for shard in stage.shards] for stage in reads]),
            folder=folder,
            sets=sets,
            rollouts=_shards(lesson.rollouts.responses for lesson in lessons),
            grades=_shards(lesson.rollouts.grades for lesson in lessons),
            passes={role: _shards(lesson.passes[role] for lesson in lessons) for role in lessons[0].passes},
            base=base,
            completions=_shards(s for lesson in lessons for s in lesson.labelling if s.kind is StageKind.COMPLETE),
            labels=_shards(lesson.labelling[-1] for lesson in lessons if lesson.labelling),
            after=reads,
            trained=self._producers(spec),
        )
        self._trainings[name] = training
        self.models[name] = str(folder)
        self.asks[name] = spec.asks
        self.artifacts.planned[str(folder)] = training.key
        return training

    def _trained_at(self, model: str) -> Training | None:
        """The training of a model that is spelled by its entry's name, or as its folder; None for any other."""
        named = self._trainings.get(model)
        return named or next(iter(producers(self._trainings.values(), [canonical(model)])), None)

    def with_trained(self, entry: Mapping[str, Any], training: Training) -> dict[str, Any]:
        """An entry with its trained model in the place of its ``train:`` block. It asks as the training did."""
        base = training.spec.paths(Mark.MODEL).get("base", "")
        rest = {key: value for key, value in entry.items() if key not in ("train", "type")}
        cls = find("reward_models", entry["type"])
        trained = cls.with_trained(rest, str(training.folder), base, training.spec.params)
        return {"type": entry["type"], **asked_with(training.spec.asks, trained, cls.Params)}

    def _trainer(
        self, name: str, entry: Mapping[str, Any], sets: Sequence[str], base: Training | None
    ) -> Spec[Trainer[Any]]:
        """How an entry's model is trained, starting from a ``base`` that is itself trained, if any. It learns from as
        many responses as there are, where it does not say how many. It asks as its base was asked in training, else as
        the generator of its rollouts asked, where it does not say how. What runs a model for it, its token passes, has
        the resources of the entry."""
        where = f"reward_models.{name}.train"
        block = {"type": entry["type"], **{k: v for k, v in entry["train"].items() if k != "rollouts"}}
        cls = find("trainers", block["type"])
        if base is not None:
            block = cls.with_base(block, base.spec.params)
        asker = self._generators[self._experiment.rollouts[sets[0]].generator] if base is None else base.spec
        block = asked_with(asker.asks, block, cls.Params)
        pool = pool_of(entry, f"reward_models.{name}")
        spec: Spec[Trainer[Any]] = build("trainers", name, block, where, self.models, pool)
        assert isinstance(spec.params, TrainerParams)
        available = max(self._experiment.rollouts[set_].n for set_ in sets)
        if spec.params.responses <= available:
            return spec
        if "responses" not in block:
            return build("trainers", name, {**block, "responses": available}, where, self.models, pool)
        places = " and ".join(f"{rollouts_at(self._experiment, set_)}.n" for set_ in sets)
        are = "is" if len(sets) == 1 else "are at most"
        raise UserError(f"{where}.responses: {block['responses']} wanted, {places} {are} {available}")

    def _lessons(self, spec: Spec[Trainer[Any]], set_: str, is_labelled: Callable[[Problem], bool]) -> _Lessons:
        rollouts = self.rollouts(set_)
        asked = spec.cls.token_passes(spec.params)
        passes = {
            role: self._token_pass(StageKind.ROLLOUT_PASS, model, [rollouts.responses], spec)
            for role, model in asked.items()
        }
        labelling = self._labelling.stages(tuple(spec.cls.completions(spec.params)), rollouts, is_labelled)
        return _Lessons(rollouts, passes, labelling)

    # -- what they have in common -------------------------------------------------------------------------------

    def _producers(self, spec: Spec[Any]) -> list[Training]:
        return producers(self._trainings.values(), spec.paths(Mark.MODEL).values())


def _blocks(problems: Sequence[Problem], size: int) -> Iterator[tuple[Problem, ...]]:
    return (tuple(problems[start : start + size]) for start in range(0, len(problems), size))


def _shards(stages: Iterable[Stage]) -> list[Shard]:
    return [shard for stage in stages for shard in stage.shards]
