"""Data of the trainings of implicit models and of outcome reward models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.text.layouts import chat_turns
from bonbench.reward_models.training.by_shards import Place, starts
from bonbench.reward_models.training.chosen import Column
from bonbench.reward_models.training.data import (
    Prepared,
    Rollouts,
    describe,
    every,
    in_pairs,
    prepare,
    single,
)
from bonbench.reward_models.training.held_out import about, split
from bonbench.reward_models.training.labelled_steps import count_steps, labels, step_targets
from bonbench.reward_models.training.mismatched import mismatched, texts
from bonbench.reward_models.training.params import (
    PAIRED,
    ImplicitTrainerParams,
    OutcomeTrainerParams,
    TrainingParams,
)
from bonbench.reward_models.training.targets import PairTargets, ResponseTargets, StepTargets, Targets
from harness.core.records import GradedSolution, TokenLogprobs
from harness.core.steps import step_ends, step_of_token

if TYPE_CHECKING:
    from bonbench.reward_models.text.pieces import Marked
    from bonbench.reward_models.training.encode import Encode


def build_rollouts(
    data: Sequence[GradedSolution], params: ImplicitTrainerParams, place: Place | None = None
) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts and examples for an implicit reward model, and facts about them.

    Raises:
        UserError: when no example is left.
    """
    at_responses = params.level == "response"
    columns: list[Column] = [partial(_references, params)] if at_responses else [partial(_steps, params), labels]
    columns += [texts] if params.objective == "kto" else []
    prepared = prepare(data, params, for_their_likelihood, columns, place)
    targets: Targets
    if params.objective in PAIRED:
        examples, targets = in_pairs(prepared, params, params.pairs), PairTargets(prepared.columns["reference"])
    elif at_responses:
        examples = single(prepared, params, params.balance)
        targets = ResponseTargets(prepared.correct, prepared.columns["reference"])
    else:
        examples, targets = every(prepared), _step_targets(prepared, params)
    examples, apart = split(prepared, examples, params)
    crossed = mismatched(prepared, params, for_their_likelihood, place) if params.objective == "kto" else None
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, targets, crossed, apart)
    of_steps = {} if at_responses else count_steps(rollouts)
    return rollouts, {**describe(prepared, examples), **about(prepared, apart), **of_steps}


def build_outcomes(
    data: Sequence[GradedSolution], params: OutcomeTrainerParams, place: Place | None = None
) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts and examples for an outcome reward model, and facts about them.

    Raises:
        UserError: when no example is left.
    """
    prepared = prepare(data, params, as_chats, (), place)
    targets: Targets
    if params.objective in PAIRED:
        examples, targets = in_pairs(prepared, params, params.pairs), PairTargets()
    else:
        examples, targets = single(prepared, params), ResponseTargets(prepared.correct)
    examples, apart = split(prepared, examples, params)
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, targets, apart=apart)
    return rollouts, {**describe(prepared, examples), **about(prepared, apart)}


def for_their_likelihood(params: TrainingParams) -> Encode:
    from bonbench.reward_models.training.encode import for_likelihood

    return for_likelihood(params.base, params)


def as_chats(params: TrainingParams) -> Encode:
    from bonbench.reward_models.training.encode import for_layout

    return for_layout(params.base, chat_turns, params)


def _references(
    params: ImplicitTrainerParams, items: Sequence[GradedSolution], encoded: Sequence[Marked]
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Log-probability of each response under the reference (``reference`` [rollouts]); 0 without one."""
    sums = np.zeros(len(items))
    if params.reference is not None:
        for row, (item, tokens) in enumerate(zip(items, encoded, strict=True)):
            sums[row] = np.sum(_read(item, tokens, params).logprobs)
    return {"reference": sums}


def _steps(
    params: ImplicitTrainerParams, items: Sequence[GradedSolution], encoded: Sequence[Marked]
) -> Mapping[str, npt.NDArray[Any]]:
    """How many steps each response has (``n_steps`` [rollouts]), how many reads each step (``reads_of_step`` [steps]),
    and its log-probability under the reference (``reference`` [steps]); 0 without one."""
    ends = [step_ends(item.solution.response.text) for item in items]
    n_steps = np.array(list(map(len, ends)), dtype=np.int64)
    first = starts(n_steps)
    reads, sums = np.zeros(first[-1], dtype=np.int64), np.zeros(first[-1])
    for row, (item, tokens) in enumerate(zip(items, encoded, strict=True)):
        own = slice(first[row], first[row + 1])
        np.add.at(reads[own], np.array(tokens.steps, dtype=np.int64), 1)
        if params.reference is not None:
            # A reference with another tokenizer agrees on steps, not on tokens: it is summed over its own.
            read = _read(item, tokens, params)
            np.add.at(sums[own], step_of_token(ends[row], read.token_ends), read.logprobs)
    return {"n_steps": n_steps, "reads_of_step": reads, "reference": sums}


def _step_targets(prepared: Prepared, params: ImplicitTrainerParams) -> StepTargets:
    """The targets of the rollouts' steps.

    Raises:
        UserError: when all steps are good, or all bad.
    """
    columns = prepared.columns
    return StepTargets(
        starts=starts(columns["n_steps"]),
        n_reads=columns["reads_of_step"],
        values=step_targets(prepared, params),
        reference=columns["reference"],
    )


def _read(item: GradedSolution, tokens: Marked, params: ImplicitTrainerParams) -> TokenLogprobs:
    """What the reference made of a response."""
    read = item.solution.logprobs["reference"]
    if params.reference == params.base and len(read.logprobs) != len(tokens.reads):
        response = item.solution.response
        raise RuntimeError(
            f"sample {response.sample} of problem {response.problem_id!r} has {len(tokens.reads)} tokens, "
            f"its reference pass {len(read.logprobs)}"
        )
    return read
