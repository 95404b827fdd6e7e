"""Data of the trainings that judge steps or tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.text.layouts import step_ends
from bonbench.reward_models.training.by_shards import Place, made
from bonbench.reward_models.training.chosen import Encoded
from bonbench.reward_models.training.data import Prepared, Rollouts, describe, every, prepare, single
from bonbench.reward_models.training.held_out import about, split
from bonbench.reward_models.training.params import StepLabelParams, StepTokenTrainerParams, TrainingParams
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.targets import EveryReadTargets, ReadTargets
from harness.core.errors import UserError
from harness.core.records import GradedSolution

if TYPE_CHECKING:
    from bonbench.reward_models.training.encode import Encode


def build_steps(
    data: Sequence[GradedSolution], params: StepTokenTrainerParams, place: Place | None = None
) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts read at their steps' ends, with the steps' labels as targets, and facts about them.

    Raises:
        UserError: when all steps are good, or all bad.
    """
    prepared = prepare(data, params, at_step_ends, [labels], place)
    examples, apart = split(prepared, every(prepared), params)
    targets = ReadTargets(step_targets(prepared, params))
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, targets, apart=apart)
    return rollouts, {**describe(prepared, examples), **about(prepared, apart), **count_steps(rollouts)}


def at_step_ends(params: TrainingParams) -> Encode:
    from bonbench.reward_models.training.encode import for_layout

    return for_layout(params.base, step_ends, params)


def at_every_token(params: TrainingParams) -> Encode:
    from bonbench.reward_models.training.encode import for_every_token

    return for_every_token(params.base, params)


def labels(items: Iterable[GradedSolution], _: object) -> Mapping[str, npt.NDArray[np.float32]]:
    """The labels of the solutions' steps (``labels`` [steps]).

    Raises:
        UserError: for a solution without labels.
    """
    return {"labels": np.array([label for item in items for label in _labels(item)], dtype=np.float32)}


def step_targets(prepared: Prepared, params: StepLabelParams) -> npt.NDArray[np.float32]:
    """What each step of the rollouts, whose ``labels`` were asked for, should come to [steps], in their order.

    Raises:
        UserError: when all steps are good, or all bad.
    """
    targets: npt.NDArray[np.float32] = prepared.columns["labels"]
    if params.labels == "hard":
        targets = (targets > 0).astype(np.float32)
    if len(np.unique(targets)) < 2:
        raise UserError(f"nothing to tell apart: the {len(targets)} steps to train on all have the same label")
    return targets


def build_tokens(
    data: Sequence[GradedSolution], params: TrainingParams, place: Place | None = None
) -> tuple[Rollouts, Prepared, dict[str, object]]:
    """Rollouts read at each token of the response, with the response's correctness as target, and facts about them.

    Raises:
        UserError: when all responses are right, or all wrong.
    """
    prepared = prepare(data, params, at_every_token, (), place)
    examples, apart = split(prepared, single(prepared, params), params)
    targets = EveryReadTargets(prepared.correct)
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, targets, apart=apart)
    return rollouts, prepared, {**describe(prepared, examples), **about(prepared, apart)}


def relabelled(
    prepared: Prepared, params: TrainingParams, labels: npt.NDArray[np.float32], place: Place | None = None
) -> Rollouts:
    """The same rollouts read at their steps' ends, with a label for each step as target: ``labels`` [steps]."""
    again = Encoded(params, prepared.batches, prepared.rows, at_step_ends)
    sequences = Sequences.in_arrays(made(again, "steps", place))
    examples, apart = split(prepared, every(prepared), params)
    return Rollouts(sequences, examples.rows, examples.units, ReadTargets(labels), apart=apart)


def count_steps(rollouts: Rollouts) -> dict[str, float]:
    """Facts about the labels of the steps that are learnt from."""
    targets = rollouts.targets.batch(np.unique(rollouts.examples), rollouts.sequences)["targets"]
    return {"n_steps": len(targets), "n_good_steps": float(targets.sum())}


def _labels(item: GradedSolution) -> tuple[float, ...]:
    if item.steps is None:
        response = item.solution.response
        raise UserError(f"no step labels: sample {response.sample} of problem {response.problem_id!r} has none")
    return item.steps
