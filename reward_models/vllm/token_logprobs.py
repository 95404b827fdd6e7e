"""Log-probabilities of response tokens under a causal language model in an engine of vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bonbench.reward_models.token_scorer import LMScorer, LMScorerParams
from bonbench.reward_models.vllm.params import EngineParams
from harness.core.components import ModelFacts

if TYPE_CHECKING:
    from bonbench.generators.vllm_engine import Request
    from bonbench.reward_models.text.encoding import Encoded


class VLLMScorerParams(LMScorerParams, EngineParams):
    """Parameters of :class:`VLLMScorer`."""


class VLLMScorer(LMScorer[VLLMScorerParams]):
    """Scores with vLLM's log-probabilities of a prompt's tokens.

    vLLM reads all of every text: its prefix cache has keys and values of a beginning, and not the hidden states that
    log-probabilities are made of.

    Raises:
        UserError: when vLLM is not installed, rejects its arguments or cannot load the model.
    """

    Params = VLLMScorerParams

    def __init__(self, params: VLLMScorerParams, name: str = "") -> None:
        from bonbench.reward_models.vllm.engine import model_config, positions, start

        self.config = model_config(params.model)
        super().__init__(params, name)
        self.limit = params.context(positions(self.config))
        arguments = {"max_model_len": self.limit, "enable_prefix_caching": False}
        self._engine = start(params.model, params.dtype, params, **arguments)

    @classmethod
    def context(cls, params: VLLMScorerParams) -> int | None:
        from bonbench.reward_models.text.positions import positions

        return params.context(positions(params.model))

    def describe(self) -> ModelFacts:
        from bonbench.generators.vllm_start import device

        return ModelFacts(self.config.to_dict(), device())

    def read(self, solutions: Sequence[Encoded]) -> list[list[float]]:
        from vllm import SamplingParams

        from bonbench.reward_models.text.encoding import with_response

        results: list[list[float]] = [[] for _ in solutions]
        scored = with_response(solutions)
        requests: list[Request] = []
        for k in scored:
            *beginning, last = solutions[k].ids
            # vLLM samples a token in any case. Asking for the last one's probability there leaves room for it.
            asked = SamplingParams(
                max_tokens=1,
                temperature=0,
                prompt_logprobs=0,
                logprob_token_ids=[last],
                flat_logprobs=True,
                detokenize=False,
            )
            requests.append((beginning, asked))
        for place, output in self._engine.outputs(requests):
            solution = solutions[scored[place]]
            # The first token has none.
            of_prompt = output.prompt_logprobs.logprobs[solution.n_prompt - 1 :]
            of_last = output.outputs[0].logprobs[0][solution.ids[-1]].logprob
            results[scored[place]] = [*of_prompt, of_last]
        return results
