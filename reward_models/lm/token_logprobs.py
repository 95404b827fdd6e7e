"""Log-probabilities of response tokens under a causal language model: the pass that implicit rewards share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from bonbench.reward_models.token_scorer import LMScorer, LMScorerParams
from harness.core.components import Device, ModelFacts, Runtime

if TYPE_CHECKING:
    from bonbench.reward_models.text.encoding import Encoded


class CausalLMParams(LMScorerParams):
    """Parameters of :class:`CausalLMScorer`."""

    device: Device = "auto"
    max_batch_tokens: Runtime[int | None] = Field(
        None,
        ge=1,
        description="tokens that go through the model at once, padding included; null: what suits the device",
    )


class CausalLMScorer(LMScorer[CausalLMParams]):
    """Scores with transformers in this process; equal beginnings of responses go through the model once.

    Raises:
        UserError: when the model cannot be loaded.
    """

    Params = CausalLMParams
    shares_process = True

    def __init__(self, params: CausalLMParams, name: str = "") -> None:
        from bonbench.reward_models.lm.causal_lm import load

        self.model = load(params.model, params.dtype, params.device)
        self.limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        super().__init__(params, name)

    @classmethod
    def context(cls, params: CausalLMParams) -> int | None:
        from bonbench.reward_models.text.positions import positions

        return positions(params.model)

    def describe(self) -> ModelFacts:
        return ModelFacts(self.model.config.to_dict(), str(self.model.device))

    def read(self, solutions: Sequence[Encoded]) -> list[list[float]]:
        from bonbench.reward_models.lm.causal_lm import response_logprobs

        return response_logprobs(self.model, solutions, self.params.max_batch_tokens)

    def read_statistics(self, solutions: Sequence[Encoded]) -> list[list[list[float]]]:
        from bonbench.reward_models.lm.token_statistics import response_statistics

        return response_statistics(self.model, solutions, self.params.max_batch_tokens)
