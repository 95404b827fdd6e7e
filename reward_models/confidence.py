"""How sure a generator is of its own responses: baselines that need no reward model, off a token pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from bonbench.reward_models.token_passes import PassParams, PassRewardModel
from harness.core.params import ModelPath, PassOf
from harness.core.records import Solution, StepScores, TokenLogprobs


class ConfidenceParams(PassParams):
    """Parameters of :class:`Confidence`. ``backend`` and what belongs to it are those of the token pass."""

    model: ModelPath = Field(description="whose confidence: the generator by its name, or any other causal LM")
    measure: Literal["log-probability", "entropy", "self-certainty"] = Field(
        "self-certainty",
        description="of each token: log p of it, minus the entropy of what it was drawn from, or how far that is from "
        "uniform",
    )
    window: int | None = Field(
        None,
        ge=1,
        description="the score is the lowest mean over so many tokens in a row; null: the mean over all tokens",
    )

    @model_validator(mode="after")
    def _needs_the_distribution(self) -> ConfidenceParams:
        if self.backend == "vllm" and self.measure != "log-probability":
            raise ValueError(f"vLLM gives log-probabilities alone: let backend be transformers for {self.measure}")
        return self


class Confidence(PassRewardModel[ConfidenceParams]):
    """The mean of a number that a language model has for every token of a response, its end-of-turn token included.

    ``log-probability`` is log p(y_t | y_<t); its mean is the log-likelihood without its taste for short responses.
    ``entropy`` is minus the entropy of p(. | y_<t), so that more is surer. ``self-certainty`` is KL(U || p(. | y_<t))
    with U uniform over the vocabulary (Kang et al. 2025, "Scalable Best-of-N Selection for Large Language Models via
    Self-Certainty"). With a ``window`` the score is the lowest mean of a window, as the weakest stretch of a response
    tells most of it (the lowest group confidence of Fu et al. 2025, "Deep Think with Confidence", whose groups are of
    2,048 tokens); a response shorter than the window is one window. All are in nats.
    """

    Params = ConfidenceParams
    reward = "ORM"
    unscored_because = "longer than the model of its token pass reads"

    @classmethod
    def token_passes(cls, params: ConfidenceParams) -> Mapping[str, PassOf]:
        more = {} if params.measure == "log-probability" else {"statistics": True}
        return cls.passes(params, {"model": params.model}, **more)

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        return [self._scored(solution) for solution in batch]

    def _scored(self, solution: Solution) -> StepScores:
        values = self._values(solution.logprobs["model"])
        score = lowest_mean(values, self.params.window)
        return self.record(solution, (score,), (len(solution.response.text),), len(values))

    def _values(self, tokens: TokenLogprobs) -> Sequence[float]:
        """The number of each token, higher where the model is surer."""
        match self.params.measure:
            case "log-probability":
                return tokens.logprobs
            case "entropy":
                assert tokens.entropies is not None  # it was asked for
                return [-entropy for entropy in tokens.entropies]
            case "self-certainty":
                assert tokens.self_certainty is not None
                return tokens.self_certainty


def lowest_mean(values: Sequence[float], window: int | None) -> float:
    """The lowest mean of ``window`` values in a row, or of all where there are fewer; of no values 0."""
    if not values:
        return 0.0
    width = len(values) if window is None else min(window, len(values))
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return float(((sums[width:] - sums[:-width]) / width).min())
