"""Data of the trainings that reward whole responses: implicit models and outcome reward models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.records import GradedSolution
from harness.registry import UserError
from reward_models.layouts import chat_turns
from reward_models.training.data import Prepared, Rollouts, describe, in_pairs, prepare, single
from reward_models.training.encode import for_layout, for_likelihood
from reward_models.training.implicit import PAIRED, ImplicitTrainerParams
from reward_models.training.mismatched import mismatched
from reward_models.training.outcome import OutcomeTrainerParams


def build_rollouts(data: Sequence[GradedSolution], params: ImplicitTrainerParams) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts and examples for an implicit reward model, and facts about them.

    Raises:
        UserError: when no example is left.
    """
    encode = for_likelihood(params.base)
    prepared = prepare(data, params, encode)
    if params.objective in PAIRED:
        examples, units = in_pairs(prepared, params, params.pairs)
    else:
        examples, units = single(prepared, params, params.balance)
    crossed = None
    if params.objective == "kto":
        if params.reference not in (params.base, None) and not _same_vocabulary(params):
            raise UserError(f"reference: kto needs one with the tokenizer of {params.base}")
        crossed = mismatched(prepared, encode, params.max_length, params.seed)
    rollouts = Rollouts(
        prepared.sequences,
        prepared.correct,
        examples,
        units,
        reference=_reference(prepared, params),
        mismatched=crossed,
    )
    return rollouts, describe(prepared, examples)


def build_outcomes(data: Sequence[GradedSolution], params: OutcomeTrainerParams) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts and examples for an outcome reward model, and facts about them.

    Raises:
        UserError: when no example is left.
    """
    prepared = prepare(data, params, for_layout(params.base, chat_turns))
    if params.objective == "bradley-terry":
        examples, units = in_pairs(prepared, params, params.pairs)
    else:
        examples, units = single(prepared, params)
    return Rollouts(prepared.sequences, prepared.correct, examples, units), describe(prepared, examples)


def _reference(prepared: Prepared, params: ImplicitTrainerParams) -> npt.NDArray[np.float64]:
    """Log-probability of each response under the reference; 0 without one."""
    if params.reference is None:
        return np.zeros(len(prepared.items))
    sums = []
    for item, tokens in zip(prepared.items, prepared.encoded, strict=True):
        logprobs = item.solution.logprobs["reference"].logprobs
        if params.reference == params.base and len(logprobs) != len(tokens.reads):
            response = item.solution.response
            raise RuntimeError(
                f"sample {response.sample} of problem {response.problem_id!r} has {len(tokens.reads)} tokens, "
                f"its reference pass {len(logprobs)}"
            )
        sums.append(np.sum(logprobs))
    return np.array(sums)


def _same_vocabulary(params: ImplicitTrainerParams) -> bool:
    from transformers import AutoTokenizer

    ours, theirs = (AutoTokenizer.from_pretrained(m).get_vocab() for m in (params.base, params.reference))
    return bool(ours == theirs)
