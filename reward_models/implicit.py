"""The implicit process reward model ("Free Process Rewards without Process Labels", section 3)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bonbench.reward_models.known_models import KNOWN_IMPLICIT
from bonbench.reward_models.model_cards import implicit_cards
from bonbench.reward_models.text.forms import AS_WRITTEN, NUMBERED, Forms, form_of, numbered_too
from bonbench.reward_models.token_passes import PassParams, PassRewardModel
from harness.core.cards import Card
from harness.core.errors import UserError
from harness.core.hub_models import hub_id
from harness.core.params import ModelPath, OwnAggregation, PassOf
from harness.core.records import Solution, StepScores
from harness.core.splitters import StepSplitter
from harness.core.steps import step_of_token

Values = npt.NDArray[np.float64]


class ImplicitParams(PassParams):
    """Parameters of :class:`ImplicitPRM`. ``backend`` and what belongs to it are those of policy and reference.

    With a public implicit PRM as ``policy``, what an entry leaves out is known (``known_models.KNOWN_IMPLICIT``).
    """

    policy: ModelPath = Field(description="the model trained as an outcome reward model, or any other causal LM")
    reference: ModelPath | None = Field(description="the model that the policy was trained from; null drops its term")
    beta: float = Field(0.05, gt=0, description="factor of the log-ratio")
    coefficient: float = Field(
        1.0, gt=0, description="scales a response's score before the sigmoid of weighted voting, and nothing else"
    )
    steps: Forms = Field(
        AS_WRITTEN,
        description="both models read the response as it is, or rewritten as numbered paragraphs, as public implicit "
        "PRMs do; or how it is cut into steps: paragraphs, lines, sentences, {delimiter: ...}, {characters: ...}, "
        "{at_most: ...}, and for numbered paragraphs {numbered: ...} (docs/scoring.md)",
    )
    per: Literal["step", "token"] = Field(
        "step", description="what has a reward of its own; token: policy and reference must have one tokenizer"
    )
    aggregation: OwnAggregation = None

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, entry: Any) -> Any:
        policy = entry.get("policy") if isinstance(entry, dict) else None
        if not isinstance(policy, str):
            return entry
        known = KNOWN_IMPLICIT.get(hub_id(policy), {})
        if "steps" in entry and known.get("steps") == NUMBERED:
            entry = {**entry, "steps": numbered_too(entry["steps"])}
        return {**known, **entry}

    @model_validator(mode="after")
    def _rewards_steps(self) -> Self:
        if self.per == "token" and self.splitter() is not None:
            raise ValueError("per: token has no steps: leave steps out")
        return self

    def splitter(self) -> StepSplitter | None:
        return form_of(self.steps).splitter


class ImplicitPRM(PassRewardModel[ImplicitParams]):
    """r_i = beta * [log policy(y_i | y_<i) - log reference(y_i | y_<i)] for every token i of the response.

    A step's reward is the sum of r_i over its tokens; the end-of-turn token belongs to the last step. These
    are the single step rewards, not the running sums q_t, and *the* score of a response is by default the lowest
    of them (the paper's evaluation); ``sum`` gives the sequence's whole log-ratio, which is the last q_t.

    With ``reference: null`` the reference's term is dropped: r_i = beta * log policy(y_i | y_<i). With the
    untrained generator as ``policy`` that is the log-likelihood baseline.

    With ``too_long: truncate`` only the steps (or tokens) that both models have read whole have rewards.
    """

    Params = ImplicitParams
    score_type = "log-ratio"
    unscored_because = "longer than what a model of its token passes reads, or refused by its chat template"

    def __init__(self, params: ImplicitParams, name: str = "") -> None:
        super().__init__(params, name)
        self.coefficient = params.coefficient

    @classmethod
    def check(cls, params: ImplicitParams) -> None:
        """Raise :class:`UserError` for a policy that is its own reference."""
        if params.policy == params.reference:
            raise UserError(
                f"policy and reference are both {params.policy}: every reward would be 0; "
                "give another reference, or null for none"
            )

    @classmethod
    def cards(cls) -> Mapping[str, Card]:
        return implicit_cards()

    @classmethod
    def token_passes(cls, params: ImplicitParams) -> Mapping[str, PassOf]:
        models = {"policy": params.policy}
        if params.reference is not None:
            models["reference"] = params.reference
        more = {"steps": params.steps} if form_of(params.steps).numbered else {}
        return cls.passes(params, models, **more)

    @classmethod
    def with_trained(cls, entry: dict[str, Any], model: str, base: str, training: Any) -> dict[str, Any]:
        """The trained model is the policy, its training's reference and beta too, unless the entry says otherwise."""
        return {"policy": model, "reference": training.reference, "beta": training.beta, **entry}

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        return [self._scored(solution) for solution in batch]

    def _scored(self, solution: Solution) -> StepScores:
        ends, rewards = self._per_token(solution) if self.params.per == "token" else self._per_step(solution)
        if not ends:
            return self.unscored(solution)
        n_tokens = len(solution.logprobs["policy"].logprobs)
        return self.record(solution, (self.params.beta * rewards).tolist(), ends, n_tokens)

    def _per_step(self, solution: Solution) -> tuple[tuple[int, ...], Values]:
        """Ends of the steps, and the sums of their tokens' log-ratios [steps]."""
        ends = solution.step_ends

        def sums(role: str) -> Values:
            # Models with different tokenizers agree on steps, not on tokens: each is summed over its own.
            tokens = solution.logprobs[role]
            values = np.asarray(tokens.logprobs, dtype=np.float64)
            numbers = step_of_token(ends, tokens.token_ends)
            return np.bincount(numbers, weights=values, minlength=len(ends)).astype(np.float64, copy=False)

        steps = sums("policy")
        if self.params.reference is not None:
            steps = steps - sums("reference")
        if self.params.too_long == "truncate":
            read = min(tokens.token_ends[-1] if tokens.token_ends else 0 for tokens in solution.logprobs.values())
            whole = bisect_right(ends, read)
            ends, steps = ends[:whole], steps[:whole]
        return ends, steps

    def _per_token(self, solution: Solution) -> tuple[tuple[int, ...], Values]:
        """Ends of the tokens, and their log-ratios [tokens]; a response without tokens has one of 0."""
        policy = solution.logprobs["policy"]
        ends, rewards = policy.token_ends, np.asarray(policy.logprobs, dtype=np.float64)
        if self.params.reference is not None:
            reference = solution.logprobs["reference"]
            if self.params.too_long == "truncate":
                both = min(len(ends), len(reference.token_ends))
                ends, rewards = ends[:both], rewards[:both]
                token_ends, logprobs = reference.token_ends[:both], reference.logprobs[:both]
                reference = replace(reference, token_ends=token_ends, logprobs=logprobs)
            if reference.token_ends != ends:
                raise UserError(
                    f"{self.params.policy} and {self.params.reference} cut a response into different tokens: "
                    "rewards per token need one tokenizer, rewards per step do not"
                )
            rewards = rewards - np.asarray(reference.logprobs, dtype=np.float64)
        return (ends, rewards) if len(rewards) else ((len(solution.response.text),), np.zeros(1))
