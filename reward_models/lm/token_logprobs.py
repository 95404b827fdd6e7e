"""Log-probabilities of response tokens under a causal language model: the pass that implicit rewards share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from bonbench.reward_models.text.layouts import numbered
from harness.core.components import ComponentParams, Device, ModelFacts, ModelPath, Precision, Runtime, TokenScorer
from harness.core.errors import UserError
from harness.core.records import Solution, TokenLogprobs


class CausalLMParams(ComponentParams):
    """Parameters of :class:`CausalLMScorer`."""

    model: ModelPath = Field(description="a folder in `transformers` format or a hub id")
    steps: Literal["as-written", "numbered"] = Field(
        "as-written", description="the model reads the response as it is, or rewritten as numbered paragraphs"
    )
    dtype: Precision = "auto"
    device: Device = "auto"
    max_batch_tokens: Runtime[int | None] = Field(
        None,
        ge=1,
        description="tokens that go through the model at once, padding included; null: what suits the device",
    )


class CausalLMScorer(TokenScorer[CausalLMParams]):
    """Scores with any chat model in `transformers` format.

    The model reads its chat template around the problem, then the response, then the end-of-turn token if the
    response has finish_reason "stop". Equal responses to a problem are scored once.

    Raises:
        UserError: when the model cannot be loaded, or a solution is longer than the model's positions reach.
    """

    Params = CausalLMParams

    def __init__(self, params: CausalLMParams, name: str = "") -> None:
        super().__init__(params, name)
        from transformers import AutoTokenizer

        from bonbench.reward_models.lm.causal_lm import load
        from bonbench.reward_models.text.encoding import SolutionEncoder

        self.model = load(params.model, params.dtype, params.device)
        self.encoder = SolutionEncoder(AutoTokenizer.from_pretrained(params.model), params.model)

    def describe(self) -> ModelFacts:
        return ModelFacts(self.model.config.to_dict(), str(self.model.device))

    def logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        """Log-probabilities of the tokens of each response, in nats, in the order of the batch.

        Raises:
            UserError: for a solution longer than the model's positions.
        """
        from bonbench.reward_models.lm.causal_lm import response_logprobs

        rewritten = [self._rewritten(s.response.text) for s in batch]
        keys = [
            (s.problem.problem, text, s.response.finish_reason == "stop")
            for s, (text, _) in zip(batch, rewritten, strict=True)
        ]
        distinct = list(dict.fromkeys(keys))
        encoded = dict(zip(distinct, self.encoder.encode(distinct), strict=True))
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        for solution, key in zip(batch, keys, strict=True):
            length = len(encoded[key].ids)
            if limit is not None and length > limit:
                response = solution.response
                raise UserError(
                    f"{self.params.model} reads {limit} tokens, sample {response.sample} of {response.generator} for "
                    f"problem {response.problem_id!r} has {length} with its prompt: lower sampling.max_tokens"
                )
        values = dict(
            zip(
                distinct,
                response_logprobs(self.model, [encoded[key] for key in distinct], self.params.max_batch_tokens),
                strict=True,
            )
        )
        return [
            TokenLogprobs(
                problem_id=solution.response.problem_id,
                generator=solution.response.generator,
                sample=solution.response.sample,
                logprobs=tuple(values[key]),
                token_ends=tuple(origins[end] if origins else end for end in encoded[key].token_ends),
                n_prompt_tokens=encoded[key].n_prompt,
            )
            for solution, key, (_, origins) in zip(batch, keys, rewritten, strict=True)
        ]

    def _rewritten(self, text: str) -> tuple[str, list[int]]:
        """What the model reads of a response, and for each offset in it the one in the response ([]: the same)."""
        return numbered(text) if self.params.steps == "numbered" else (text, [])
