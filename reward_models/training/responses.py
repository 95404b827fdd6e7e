"""Data of the trainings of implicit models and of outcome reward models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.text.layouts import chat_turns
from bonbench.reward_models.text.pieces import Marked
from bonbench.reward_models.text.positions import positions
from bonbench.reward_models.training.data import (
    Mismatched,
    Prepared,
    Rollouts,
    describe,
    every,
    in_pairs,
    prepare,
    single,
)
from bonbench.reward_models.training.encode import Encode, for_layout, for_likelihood
from bonbench.reward_models.training.held_out import about, split
from bonbench.reward_models.training.labelled_steps import count_steps, step_targets
from bonbench.reward_models.training.mismatched import mismatched
from bonbench.reward_models.training.params import PAIRED, ImplicitTrainerParams, OutcomeTrainerParams
from bonbench.reward_models.training.targets import PairTargets, ResponseTargets, StepTargets, Targets
from harness.core.errors import UserError
from harness.core.hub_models import pretrained
from harness.core.records import GradedSolution, TokenLogprobs
from harness.core.steps import step_ends, step_of_token


def build_rollouts(data: Sequence[GradedSolution], params: ImplicitTrainerParams) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts and examples for an implicit reward model, and facts about them.

    Raises:
        UserError: when no example is left.
    """
    encode = for_likelihood(params.base, params.user_template)
    prepared = prepare(data, params, encode)
    targets: Targets
    if params.objective in PAIRED:
        examples, targets = in_pairs(prepared, params, params.pairs), PairTargets(_reference(prepared, params))
    elif params.level == "response":
        examples = single(prepared, params, params.balance)
        targets = ResponseTargets(prepared.correct, _reference(prepared, params))
    else:
        examples, targets = every(prepared), _steps(prepared, params)
    examples, apart = split(prepared, examples, params)
    crossed = _mismatched(prepared, params, encode) if params.objective == "kto" else None
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, targets, crossed, apart)
    of_steps = count_steps(rollouts) if params.level == "step" else {}
    return rollouts, {**describe(prepared, examples), **about(prepared, apart), **of_steps}


def build_outcomes(data: Sequence[GradedSolution], params: OutcomeTrainerParams) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts and examples for an outcome reward model, and facts about them.

    Raises:
        UserError: when no example is left.
    """
    prepared = prepare(data, params, for_layout(params.base, chat_turns, params.user_template))
    targets: Targets
    if params.objective in PAIRED:
        examples, targets = in_pairs(prepared, params, params.pairs), PairTargets()
    else:
        examples, targets = single(prepared, params), ResponseTargets(prepared.correct)
    examples, apart = split(prepared, examples, params)
    rollouts = Rollouts(prepared.sequences, examples.rows, examples.units, targets, apart=apart)
    return rollouts, {**describe(prepared, examples), **about(prepared, apart)}


def _mismatched(prepared: Prepared, params: ImplicitTrainerParams, encode: Encode) -> Mismatched:
    """Rollouts crossed with other problems' responses. A response is one term; at level step each of its steps is.

    Raises:
        UserError: when the reference has another tokenizer, or there is only one problem.
    """
    if params.reference not in (params.base, None) and not _same_vocabulary(params):
        raise UserError(f"reference: kto needs a reference model with the tokenizer of {params.base}")
    limits = [positions(model) for model in (params.base, params.reference) if model is not None]
    shortest = min([params.max_length, *(limit for limit in limits if limit is not None)])
    crossed, n_steps = mismatched(prepared, encode, shortest, params.seed)
    return Mismatched(crossed, n_steps if params.level == "step" else np.ones_like(n_steps))


def _reference(prepared: Prepared, params: ImplicitTrainerParams) -> npt.NDArray[np.float64]:
    """Log-probability of each response under the reference; 0 without one."""
    if params.reference is None:
        return np.zeros(len(prepared.items))
    return np.array([np.sum(_read(item, tokens, params).logprobs) for item, tokens in _both(prepared)])


def _steps(prepared: Prepared, params: ImplicitTrainerParams) -> StepTargets:
    """The steps of the rollouts; the reference's log-probability of each is 0 without one.

    Raises:
        UserError: when all steps are good, or all bad.
    """
    values = step_targets(prepared, params)
    ends = [step_ends(item.solution.response.text) for item in prepared.items]
    sums = [np.zeros(len(each)) for each in ends]
    if params.reference is not None:
        for row, (item, tokens) in enumerate(_both(prepared)):
            # A reference with another tokenizer agrees on steps, not on tokens: it is summed over its own.
            read = _read(item, tokens, params)
            np.add.at(sums[row], step_of_token(ends[row], read.token_ends), read.logprobs)
    return StepTargets(
        starts=np.cumsum([0, *map(len, ends)]),
        of_read=np.concatenate([np.array(tokens.steps, dtype=np.int32) for tokens in prepared.encoded]),
        values=values,
        reference=np.concatenate(sums),
    )


def _both(prepared: Prepared) -> Iterable[tuple[GradedSolution, Marked]]:
    return zip(prepared.items, prepared.encoded, strict=True)


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


def _same_vocabulary(params: ImplicitTrainerParams) -> bool:
    from transformers import AutoTokenizer

    models = params.base, params.reference or ""
    ours, theirs = (AutoTokenizer.from_pretrained(**pretrained(model)).get_vocab() for model in models)
    return bool(ours == theirs)
