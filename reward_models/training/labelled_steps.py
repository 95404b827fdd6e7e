"""Data of the trainings that judge steps or tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.text.layouts import step_ends
from bonbench.reward_models.training.data import Prepared, Rollouts, describe, every, prepare, single
from bonbench.reward_models.training.encode import for_every_token, for_layout
from bonbench.reward_models.training.held_out import about, split
from bonbench.reward_models.training.params import StepLabelParams, StepTokenTrainerParams, TrainingParams
from bonbench.reward_models.training.targets import ReadTargets
from harness.core.errors import UserError
from harness.core.records import GradedSolution


def build_steps(data: Sequence[GradedSolution], params: StepTokenTrainerParams) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts read at their steps' ends, with the steps' labels as targets, and facts about them.

    Raises:
        UserError: when all steps are good, or all bad.
    """
    prepared = prepare(data, params, for_layout(params.base, step_ends, params.user_template))
    examples, apart = split(prepared, every(prepared), params)
    targets = ReadTargets(step_targets(prepared, params))
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, targets, apart=apart)
    return rollouts, {**describe(prepared, examples), **about(prepared, apart), **count_steps(rollouts)}


def step_targets(prepared: Prepared, params: StepLabelParams) -> npt.NDArray[np.float32]:
    """What each step of the rollouts should come to [steps], in their order.

    Raises:
        UserError: when all steps are good, or all bad.
    """
    targets = np.array([label for item in prepared.items for label in _labels(item)], dtype=np.float32)
    if params.labels == "hard":
        targets = (targets > 0).astype(np.float32)
    if len(set(targets.tolist())) < 2:
        raise UserError(f"nothing to tell apart: the {len(targets)} steps to train on all have the same label")
    return targets


def build_tokens(
    data: Sequence[GradedSolution], params: TrainingParams
) -> tuple[Rollouts, Prepared, dict[str, object]]:
    """Rollouts read at each token of the response, with the response's correctness as target, and facts about them.

    Raises:
        UserError: when all responses are right, or all wrong.
    """
    prepared = prepare(data, params, for_every_token(params.base, params.user_template))
    examples, apart = split(prepared, single(prepared, params), params)
    correct = np.repeat(prepared.correct, prepared.sequences.n_reads).astype(np.float32)
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, ReadTargets(correct), apart=apart)
    return rollouts, prepared, {**describe(prepared, examples), **about(prepared, apart)}


def relabelled(prepared: Prepared, params: TrainingParams, labels: Sequence[Sequence[float]]) -> Rollouts:
    """The same rollouts read at their steps' ends, with a label for each step as target."""
    encode = for_layout(params.base, step_ends, params.user_template)
    encoded = encode([item.solution for item in prepared.items])
    again = replace(prepared, encoded=encoded)
    examples, apart = split(again, every(again), params)
    targets = np.array([label for of_steps in labels for label in of_steps], dtype=np.float32)
    return Rollouts(again.sequences, examples.rows, examples.units, ReadTargets(targets), apart=apart)


def count_steps(rollouts: Rollouts) -> dict[str, float]:
    """Facts about the labels of the steps that are learnt from."""
    targets = rollouts.targets.batch(np.unique(rollouts.examples), rollouts.sequences)["targets"]
    return {"n_steps": len(targets), "n_good_steps": float(targets.sum())}


def _labels(item: GradedSolution) -> tuple[float, ...]:
    if item.steps is None:
        response = item.solution.response
        raise UserError(f"no step labels: sample {response.sample} of problem {response.problem_id!r} has none")
    return item.steps
