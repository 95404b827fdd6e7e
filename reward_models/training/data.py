"""Graded solutions as flat arrays that travel to the training workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.records import GradedSolution
from harness.registry import UserError
from reward_models.training.pairs import Indices, pair_up

if TYPE_CHECKING:
    from reward_models.training.trainer import ImplicitTrainerParams


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Encoded rollouts and the examples made of them.

    Rollout i has the tokens ``ids[starts[i]:starts[i + 1]]``, of which the first ``n_prompt[i]`` are the
    prompt's; ``reference[i]`` is the sum of the reference's log-probabilities of the rest. ``examples`` are
    rows of rollout indices, (correct, incorrect) pairs or single ones; ``units`` as in
    :func:`reward_models.training.batches.epoch_batches`.
    """

    ids: npt.NDArray[np.int32]
    starts: Indices
    n_prompt: Indices
    reference: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_]
    examples: Indices
    units: Indices

    @property
    def lengths(self) -> Indices:
        return np.diff(self.starts)


def build_rollouts(data: Sequence[GradedSolution], params: ImplicitTrainerParams) -> tuple[Rollouts, dict[str, int]]:
    """Encode the first ``params.responses`` rollouts of each problem and form the examples.

    Returns:
        The rollouts, and how many were left out by reason.

    Raises:
        UserError: when no example is left.
    """
    from transformers import AutoTokenizer

    from reward_models.encoding import SolutionEncoder

    used = [item for item in data if item.solution.response.sample < params.responses]
    encoder = SolutionEncoder(AutoTokenizer.from_pretrained(params.base), params.base)
    solutions = [item.solution for item in used]
    encoded = encoder.encode(
        [(s.problem.problem, s.response.text, s.response.finish_reason == "stop") for s in solutions]
    )
    dropped: Counter[str] = Counter()
    kept = []
    for item, tokens in zip(used, encoded, strict=True):
        n_response = len(tokens.token_ends)
        n_reference = len(item.solution.logprobs["reference"].logprobs)
        if n_response != n_reference:
            response = item.solution.response
            raise RuntimeError(
                f"sample {response.sample} of problem {response.problem_id!r} has {n_response} tokens, "
                f"its reference pass {n_reference}"
            )
        if n_response == 0:
            dropped["empty response"] += 1
        elif len(tokens.ids) > params.max_length:
            dropped["longer than max_length"] += 1
        else:
            kept.append((item, tokens))

    numbers: dict[str, int] = {}
    problems = [numbers.setdefault(item.solution.problem.problem_id, len(numbers)) for item, _ in kept]
    correct = [item.correct for item, _ in kept]
    if params.objective == "dpo":
        examples = pair_up(problems, correct, params.pairs, params.seed)
        units = np.array([problems[right] for right, _ in examples], dtype=np.int64)
        dropped["all right or all wrong"] = len(kept) - len(np.unique(examples))
        if not len(examples):
            raise UserError(
                f"no pair to train on: none of the {len(numbers)} problems has both a right and a wrong response "
                f"among its first {params.responses}"
            )
    else:
        examples = np.arange(len(kept), dtype=np.int64)[:, None]
        units = np.arange(len(kept), dtype=np.int64)
        if len(set(correct)) < 2:
            kind = "right" if any(correct) else "wrong"
            raise UserError(f"nothing to tell apart: all {len(kept)} responses to train on are {kind}")
    lengths = [len(tokens.ids) for _, tokens in kept]
    rollouts = Rollouts(
        ids=np.fromiter((t for _, tokens in kept for t in tokens.ids), dtype=np.int32, count=sum(lengths)),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        n_prompt=np.array([tokens.n_prompt for _, tokens in kept], dtype=np.int64),
        reference=np.array([np.sum(item.solution.logprobs["reference"].logprobs) for item, _ in kept]),
        correct=np.array(correct, dtype=bool),
        examples=examples,
        units=units,
    )
    return rollouts, {reason: count for reason, count in dropped.items() if count}
