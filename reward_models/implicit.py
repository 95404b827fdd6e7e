"""The implicit process reward model ("Free Process Rewards without Process Labels", section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from harness.records import Solution, StepScores
from harness.registry import ComponentParams, ModelPath, RewardModel, UserError
from harness.steps import step_ends, step_of_token


class ImplicitParams(ComponentParams):
    """Parameters of :class:`ImplicitPRM`.

    ``policy`` is the model trained as an outcome reward model, or any other causal LM. ``reference`` is the
    model it was trained from; an explicit null drops its term. ``coefficient`` scales a response's score
    before the sigmoid of weighted voting, and nothing else.
    """

    policy: ModelPath
    reference: ModelPath | None
    beta: float = Field(0.05, gt=0)
    coefficient: float = Field(1.0, gt=0)


class ImplicitPRM(RewardModel[ImplicitParams]):
    """r_i = beta * [log policy(y_i | y_<i) - log reference(y_i | y_<i)] for every token i of the response.

    A step's reward is the sum of r_i over its tokens; the end-of-turn token belongs to the last step. These
    are the single step rewards, not the running sums q_t, and *the* score of a response is by default the lowest
    of them (the paper's evaluation); ``sum`` gives the sequence's whole log-ratio, which is the last q_t.

    With ``reference: null`` the reference's term is dropped: r_i = beta * log policy(y_i | y_<i). With the
    untrained generator as ``policy`` that is the log-likelihood baseline.
    """

    Params = ImplicitParams
    score_type = "log-ratio"

    def __init__(self, params: ImplicitParams, name: str = "") -> None:
        super().__init__(params, name)
        self.coefficient = params.coefficient

    @classmethod
    def check(cls, params: ImplicitParams) -> None:
        if params.policy == params.reference:
            raise UserError(
                f"policy and reference are both {params.policy}: every reward would be 0; "
                "give another reference, or null for none"
            )

    @classmethod
    def token_passes(cls, params: ImplicitParams) -> dict[str, str]:
        passes = {"policy": params.policy}
        if params.reference is not None:
            passes["reference"] = params.reference
        return passes

    @classmethod
    def with_trained(cls, entry: dict[str, Any], model: str, base: str, training: Any) -> dict[str, Any]:
        """The trained model is the policy, its base the reference, its beta beta, unless the entry says otherwise."""
        return {"policy": model, "reference": base, "beta": training.beta, **entry}

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        return [self._scored(solution) for solution in batch]

    def _scored(self, solution: Solution) -> StepScores:
        policy = solution.logprobs["policy"]
        response = solution.response
        ends = step_ends(response.text)
        rewards = np.asarray(policy.logprobs, dtype=np.float64)
        token_steps = step_of_token(ends, policy.token_ends)
        steps = np.bincount(token_steps, weights=rewards, minlength=len(ends))
        if self.params.reference is not None:
            # Models with different tokenizers agree on steps, not on tokens: each is summed over its own.
            reference = solution.logprobs["reference"]
            steps -= np.bincount(
                step_of_token(ends, reference.token_ends),
                weights=np.asarray(reference.logprobs, dtype=np.float64),
                minlength=len(ends),
            )
        return StepScores(
            problem_id=response.problem_id,
            generator=response.generator,
            sample=response.sample,
            reward_model=self.name,
            step_rewards=tuple((self.params.beta * steps).tolist()),
            step_ends=ends,
            n_tokens=len(policy.logprobs),
        )
