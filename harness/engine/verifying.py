"""The stages in which generators answer what reward models ask about responses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core.components import Generator
from harness.core.stages import StageKind, Task
from harness.core.verifications import Verifications
from harness.engine.graph import Stage, Training
from harness.engine.labels import Labels, pass_label
from harness.experiment.config import Experiment
from harness.experiment.generators import Generators
from harness.experiment.model_files import Artifacts
from harness.experiment.spec import Spec
from harness.experiment.verifying import verifying_generator
from harness.storage.keys import digest


class Verifying:
    """Makes the verifications of responses. Reward models that ask for the same share them.

    Args:
        labels: the names that stages have.
        producers: the trainings that make the models of a component.
    """

    def __init__(
        self,
        experiment: Experiment,
        generators: Generators,
        artifacts: Artifacts,
        labels: Labels,
        producers: Callable[[Spec[Any]], list[Training]],
    ) -> None:
        self._seed, self._generators = experiment.seed, generators.specs
        self._solvers = {*generators.evaluated, *(rollouts.generator for rollouts in experiment.rollouts.values())}
        self._artifacts, self._labels, self._producers = artifacts, labels, producers
        self._made: dict[tuple[Any, ...], Stage] = {}

    def stage(
        self, asked: Verifications, samples: Sequence[Stage], asker: Spec[Any], models: Mapping[str, str]
    ) -> Stage:
        """The replies to what is asked about all responses of some generators.

        Args:
            models: what a name means where a model is asked for (name -> folder or hub id).

        Raises:
            UserError: where the generator is wrong for it.
        """
        spec = self._generator(asked, asker, models)
        identity = [Task.VERIFY, spec.name, self._artifacts.identity(spec), asked.identity, self._seed]
        key = (*(stage.who for stage in samples), digest(*identity))
        if key in self._made:
            shared = self._made[key]
            shared.spec = dataclasses.replace(shared.spec, pool=shared.spec.pool.at_least(spec.pool))
            return shared
        who = self._labels.claim(StageKind.VERIFY, f"{spec.name}-{asked.label}", identity)
        self._made[key] = Stage(
            kind=StageKind.VERIFY,
            who=who,
            spec=spec,
            shards=[
                shard.derived(f"{StageKind.VERIFY.folder}/{who}/{stage.who}", identity, {"responses": shard})
                for stage in samples
                for shard in stage.shards
            ],
            after=list(samples),
            trained=self._producers(spec),
            arguments={"asked": asked, "run_seed": self._seed},
        )
        return self._made[key]

    def _generator(self, asked: Verifications, asker: Spec[Any], models: Mapping[str, str]) -> Spec[Generator[Any]]:
        named = asked.generator
        name = pass_label(named if isinstance(named, str) else str(named.get("model", named.get("type"))), models)
        where = f"{asker.where}.generator"
        return verifying_generator(asked, name, where, self._generators, self._solvers, models, asker.pool)
