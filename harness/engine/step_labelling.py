"""The stages that label the steps of rollouts: completions from the end of every step, and their counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.core.components import Generator, Verifier
from harness.core.errors import UserError
from harness.core.records import Problem
from harness.core.stages import StageKind, Task
from harness.engine.graph import Graded, Shard, Stage, Training
from harness.engine.labels import Labels
from harness.experiment.config import Experiment
from harness.experiment.model_files import Artifacts
from harness.experiment.problem_sets import rollouts_at
from harness.experiment.spec import Spec


class _Block(NamedTuple):
    """A block of rollouts, their grades, and the problems of the block whose rollouts get step labels."""

    responses: Shard
    grades: Shard
    labelled: tuple[Problem, ...]


class StepLabelling:
    """Makes the completions and the step labels of rollouts. Trainings that ask for the same share them.

    Args:
        labels: the names that stages have.
        producers: the trainings that make the models of a component.
    """

    def __init__(
        self,
        experiment: Experiment,
        generators: Mapping[str, Spec[Generator[Any]]],
        verifier: Spec[Verifier[Any]],
        artifacts: Artifacts,
        labels: Labels,
        producers: Callable[[Spec[Any]], list[Training]],
    ) -> None:
        self._experiment, self._generators, self._verifier = experiment, generators, verifier
        self._artifacts, self._labels, self._producers = artifacts, labels, producers
        self._made: dict[tuple[str, tuple[int, ...], frozenset[str]], list[Stage]] = {}

    def stages(self, rounds: tuple[int, ...], rollouts: Graded, is_labelled: Callable[[Problem], bool]) -> list[Stage]:
        """The completions and the step labels of every round, the last labels at the end.

        Args:
            rounds: how many completions each round has.
            is_labelled: whether the rollouts to a problem get step labels. A block without such problems has no shard.
        """
        set_ = rollouts.responses.who
        blocks = [
            _Block(responses, grades, labelled)
            for responses, grades in zip(rollouts.responses.shards, rollouts.grades.shards, strict=True)
            if (labelled := tuple(filter(is_labelled, responses.problems)))
        ]
        ids = [problem.problem_id for block in blocks for problem in block.labelled]
        asked = set_, rounds, frozenset(ids)
        if asked not in self._made:
            stages: list[Stage] = []
            if rounds and ids:
                label, identity = "-".join([set_, *map(str, rounds)]), [set_, rounds]
                if len(ids) < sum(len(shard.problems) for shard in rollouts.responses.shards):
                    label, identity = f"{label}-of-{len(ids)}", [*identity, ids]
                who = self._labels.claim(StageKind.COMPLETE, label, identity)
                for k, n in enumerate(rounds):
                    place = who if len(rounds) == 1 else f"{who}/round-{k + 1}"
                    stages += self._round(place, n, rollouts, blocks, stages[-1] if stages else None)
            self._made[asked] = stages
        return self._made[asked]

    def _round(self, who: str, n: int, rollouts: Graded, blocks: Sequence[_Block], before: Stage | None) -> list[Stage]:
        """``n`` completions of the prefixes that need any after the labels of the round ``before``, and the labels."""
        generator = self._completing(rollouts.responses.who)
        sampling, seed = self._experiment.sampling.of(n), self._experiment.seed
        completing = [Task.COMPLETE, self._artifacts.identity(generator), dataclasses.asdict(sampling), seed]
        labelling = [StageKind.LABEL.folder, self._artifacts.identity(self._verifier)]
        completed, labelled = [], []
        for i, (responses, grades, some) in enumerate(blocks):
            earlier = {"labels": before.shards[i]} if before else {}
            inputs = {"responses": responses, **earlier}
            completed.append(responses.derived(f"{StageKind.COMPLETE.folder}/{who}", completing, inputs, some))
            inputs = {"responses": responses, "grades": grades, "completions": completed[-1], **earlier}
            labelled.append(responses.derived(f"{StageKind.LABEL.folder}/{who}", labelling, inputs, some))
        return [
            Stage(
                kind=StageKind.COMPLETE,
                who=who,
                spec=generator,
                shards=completed,
                after=[rollouts.responses, before] if before else [rollouts.responses],
                trained=self._producers(generator),
                arguments={"sampling": sampling, "run_seed": seed},
            ),
            Stage(kind=StageKind.LABEL, who=who, spec=self._verifier, shards=labelled),
        ]

    def _completing(self, set_: str) -> Spec[Generator[Any]]:
        """The generator that completes the rollouts of a set."""
        config = self._experiment.rollouts[set_]
        generator = self._generators[config.completed_by or config.generator]
        if generator.cls.recorded:
            raise UserError(
                f"{rollouts_at(self._experiment, set_)}.completed_by: missing: name a generator that completes the "
                f"rollouts for step labels; the responses of {generator.name} are recorded"
            )
        return generator
