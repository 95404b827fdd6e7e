"""AutoPSV: process rewards from an outcome-supervised verifier's confidence (Lu et al. 2024, arXiv 2405.16802)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bonbench.reward_models.training.by_shards import Place
from bonbench.reward_models.training.confidence import confidence
from bonbench.reward_models.training.fit import fit
from bonbench.reward_models.training.job import Job, absolute
from bonbench.reward_models.training.params import AutoPSVTrainerParams
from bonbench.reward_models.training.rollout_trainer import RolloutTrainer
from harness.core.files import replacing
from harness.core.records import GradedSolution
from harness.core.trainer import TrainingFacts
from harness.core.workers import Launcher, Progress

_NO_CONFIDENCE = 1e-5
_FACTS_FILE = "facts.json"


class AutoPSVTrainer(RolloutTrainer[AutoPSVTrainerParams]):
    """Trains an outcome-supervised verifier, labels steps by its confidence, and makes it a process-supervised one.

    1. A head with one output is put on the base model, and its value at every token of a response is regressed (squared
       error) to whether the response is correct.
    2. The values at the steps' ends label the steps (:func:`labels_from_confidence`).
    3. From there the model's value at each step's end is regressed to the step's label.

    The trained folder is any `AutoModelForTokenClassification` with one label, and is scored as ``head-prm``. The
    response is fed as there: in the chat template, without the end of its turn. A training that was killed goes on from
    what it had: the first verifier, the shards of values, the state of either fit.

    Raises:
        UserError: when the rollouts hold nothing to learn from.
    """

    Params = AutoPSVTrainerParams
    output_head = False

    @classmethod
    def method(cls, params: AutoPSVTrainerParams) -> str:
        return "AutoPSV"

    @classmethod
    def judges_steps(cls, params: AutoPSVTrainerParams) -> bool:
        return True

    @classmethod
    def reads(cls, params: AutoPSVTrainerParams) -> float:
        return params.epochs + params.of_steps.epochs + 1 / 3  # twice trained on, once read for the labels

    @classmethod
    def rehearse(cls, params: AutoPSVTrainerParams) -> None:
        from bonbench.reward_models.training.labelled_steps import at_every_token
        from bonbench.reward_models.training.rehearsal import rehearse

        rehearse("value", params, at_every_token)

    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Progress, launch: Launcher
    ) -> TrainingFacts:
        """Train both verifiers on ``data`` and write the trained folder.

        Returns:
            What :func:`reward_models.training.fit.fit` (tokens and steps of both, the rest of the second) and
            :func:`reward_models.training.data.describe` do; ``outcome``: loss and accuracy of the first verifier;
            ``n_steps`` learnt from and ``n_good_steps`` among them.
        """
        from bonbench.reward_models.training.labelled_steps import build_tokens, count_steps, relabelled

        params, output = self.params.model_copy(update={"base": absolute(self.params.base)}), output.resolve()
        verifier = output / "outcome"
        with Place.within(output, progress, launch) as place:
            rollouts, prepared, about_data = build_tokens(data, params, place)
            outcome = Job("value", params, rollouts, params.base, verifier, f"{self.name}, outcome verifier")
            first = _once(verifier / _FACTS_FILE, lambda: fit(outcome, progress, launch))
            values = confidence(str(verifier), prepared, params, place)
            labels = [label for of_steps in values for label in labels_from_confidence(of_steps, params.drop)]
            labelled = relabelled(prepared, params, np.array(labels, dtype=np.float32), place)
            second = fit(Job("value", params.of_steps, labelled, str(verifier), output, self.name), progress, launch)
        shutil.rmtree(verifier)
        sequences = rollouts.sequences
        both = replace(
            second,
            train_tokens=first.train_tokens + second.train_tokens,
            train_positions=first.train_positions + second.train_positions,
            forward_tokens=first.forward_tokens + second.forward_tokens + int(sequences.lengths.sum()),
            forward_positions=first.forward_positions + second.forward_positions + int(sequences.positions().sum()),
        )
        counted, of_first = count_steps(labelled), ("loss", "reward_accuracy", "validation")
        about_labels = {
            "steps": first.extra["steps"] + second.extra["steps"],
            "outcome": {key: first.extra[key] for key in of_first if key in first.extra},
            **counted,
            "n_good_steps": int(counted["n_good_steps"]),
        }
        return both.saying(about_data | about_labels)


def labels_from_confidence(values: Sequence[float], drop: float) -> list[int]:
    """1 for each step before the first error, 0 from it on.

    v_t is the verifier's value at the end of step t. The first error is the first step t whose relative change in
    confidence, (v_t - v_{t-1}) / v_{t-1}, is below -drop (Lu et al. 2024, arXiv 2405.16802, section 3). The first step
    has no predecessor. A value below 1e-5 is an error too, for it leaves nothing to compare the next one with. A
    regression may come out below 0, where the ratio's sign says the opposite: such values count as 0.
    """
    confident = 0.0
    for t, value in enumerate(values):
        value = max(value, 0.0)
        if value < _NO_CONFIDENCE or (t and (value - confident) / confident < -drop):
            return [1] * t + [0] * (len(values) - t)
        confident = value
    return [1] * len(values)


def _once(file: Path, compute: Callable[[], TrainingFacts]) -> TrainingFacts:
    """What ``compute`` gave when it was first completed: it is kept in ``file``."""
    if not file.exists():
        facts = compute()
        with replacing(file) as partial:
            partial.write_text(json.dumps(asdict(facts)))
    return TrainingFacts(**json.loads(file.read_text()))
