"""Sampling with any causal language model in `transformers` format, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from bonbench.generators.prompted import PromptedGenerator, PromptedParams, beginnings, fitting
from bonbench.generators.prompts import Codec
from bonbench.generators.tokenizers import tokenizer_of
from harness.core.components import ModelFacts
from harness.core.devices import placed
from harness.core.memory import halving
from harness.core.model_sizes import ModelSizes
from harness.core.params import Device, Precision, Runtime
from harness.core.records import Problem, Response, Sampling
from harness.core.weighing import MOST_PROBABLE, Weighed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bonbench.generators.decoding import Likely, Sampled

#: Bytes of key-value cache that a batch may take, by kind of device.
_CACHE_BYTES = {"cpu": 2**30, "cuda": 2**34}
_MAX_ROWS = {"cpu": 512, "cuda": 4096}


class TransformersParams(PromptedParams):
    """Parameters of :class:`TransformersGenerator`, with those of the prompt."""

    dtype: Precision = "auto"
    device: Device = "auto"
    batch_size: Runtime[int | None] = Field(
        None,
        ge=1,
        description="sequences sampled at once; null: as many as a cache of 1 GiB (CPU) or 16 GiB (GPU) holds; it does "
        "not change the responses, rounding of logits aside",
    )
    keep_token_ids: bool = Field(False, description="store the sampled tokens with every response")


class TransformersGenerator(PromptedGenerator[TransformersParams]):
    """Samples from a causal language model.

    :mod:`generators.prompts` says what the prompt is. A response ends at any end-of-turn token that the model's
    generation config or its tokenizer names.

    Raises:
        UserError: when the model cannot be loaded, or there is no prompt to give it; for a prompt that leaves no room
            for a response, where ``too_long`` makes an error of it.
    """

    Params = TransformersParams
    shares_process = True

    def __init__(self, params: TransformersParams, name: str = "") -> None:
        super().__init__(params, name)
        import torch
        from transformers import AutoModelForCausalLM

        from bonbench.generators.decoding import check_sampling
        from bonbench.generators.loading import avoid_cudnn_attention, load_model

        avoid_cudnn_attention()
        placement = placed(params.device, torch.cuda)
        # Most CPUs are several times slower at 16 bits.
        dtype = "float32" if params.dtype == "auto" and not placement else params.dtype
        model = load_model(AutoModelForCausalLM, params.model, dtype=dtype, **placement)
        tokenizer = tokenizer_of(params.model)
        self.codec = Codec(params, tokenizer, params.model, model.generation_config.eos_token_id, params.date)
        self.model = model.eval()
        check_sampling(self.model, params.model)
        self._rows_that_fitted: int | None = None  # at once, where memory was too short for more

    def describe(self) -> ModelFacts:
        return ModelFacts(self.model.config.to_dict(), str(self.model.device))

    def complete(
        self,
        problems: Sequence[Problem],
        prefixes: Sequence[str],
        sampling: Sampling,
        seeds: Mapping[str, Sequence[int]],
    ) -> list[Response]:
        import numpy as np

        from bonbench.generators.decoding import sample
        from bonbench.generators.loading import check_tokens
        from bonbench.generators.uniforms import seed_array

        prompts = fitting(self.codec, self.params, self._limit, problems, prefixes, sampling.max_tokens)
        check_tokens(self.model, max((max(prompt.ids) for prompt in prompts), default=0), self.params.model)
        # Prompts of similar length share a batch, so that little of it is padding.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids))
        rows = [(i, j) for i in order for j in range(sampling.n)]
        longest = max((len(prompt.ids) for prompt in prompts), default=0)
        batch_size = self.params.batch_size or self._rows_that_fit(longest, sampling)
        responses: dict[tuple[int, int], Response] = {}  # (prompt, sample) -> response

        def sampled(start: int, n_rows: int) -> tuple[list[tuple[int, int]], Sampled]:
            batch = rows[start : start + n_rows]
            local = {i: k for k, i in enumerate(dict.fromkeys(i for i, _ in batch))}
            return batch, sample(
                self.model,
                [prompts[i].ids for i in local],
                [local[i] for i, _ in batch],
                seed_array([seeds[prompts[i].problem.problem_id][j] for i, j in batch]),
                self.codec.stop_ids,
                np.array([prompts[i].max_tokens for i, _ in batch], dtype=np.int64),
                sampling.temperature,
                sampling.top_p,
            )

        while len(responses) < len(rows):
            most = min(batch_size, self._rows_that_fitted or batch_size, len(rows) - len(responses))
            (batch, result), fitted = halving(
                partial(sampled, len(responses)), most, least=1, unit="responses", who=self.params.model
            )
            if fitted < most:
                self._rows_that_fitted = fitted
            for row, (i, j) in enumerate(batch):
                n_tokens = int(result.lengths[row])
                tokens = result.tokens[row, :n_tokens].tolist()
                responses[i, j] = Response(
                    problem_id=prompts[i].problem.problem_id,
                    generator=self.name,
                    sample=j,
                    text=self.codec.decode(prompts[i].ids, tokens),
                    n_prompt_tokens=len(prompts[i].ids),
                    n_tokens=n_tokens,
                    finish_reason="stop" if result.stopped[row] else "length",
                    seed=seeds[prompts[i].problem.problem_id][j],
                    token_ids=tuple(tokens) if self.params.keep_token_ids else None,
                )
        return [responses[i, j] for i in range(len(prompts)) for j in range(sampling.n)]

    def weigh(self, problems: Sequence[Problem], prefixes: Sequence[str], answers: tuple[str, str]) -> list[Weighed]:
        from bonbench.generators.weighing import share

        yes, no = self.codec.answers(answers)
        ids = beginnings(self.codec, self._limit, problems, prefixes)
        places = list(ids)
        found = [Weighed(None, 0)] * len(problems)
        start = 0
        while start < len(places):
            longest = len(ids[places[start]])
            fit = self.params.batch_size or self._rows_that_fit(longest, Sampling(n=1, max_tokens=1))
            rest = [ids[place] for place in places[start:]]
            read = partial(_most_probable_of_first, self.model, rest)
            likely, _ = halving(read, min(fit, len(rest)), least=1, unit="replies", who=self.params.model)
            for place, row in zip(places[start:], likely, strict=False):
                found[place] = Weighed(share(row, yes, no), len(ids[place]))
            start += len(likely)
        return found

    @property
    def _limit(self) -> int | None:
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    def _rows_that_fit(self, prompt_length: int, sampling: Sampling) -> int:
        sizes = ModelSizes.from_config(self.model.config.to_dict())
        per_token = sizes.cache_per_token * self.model.dtype.itemsize
        device = self.model.device.type
        rows = _CACHE_BYTES.get(device, 2**30) // (per_token * (prompt_length + sampling.max_tokens))
        return int(min(max(rows, 1), _MAX_ROWS.get(device, 256)))


def _most_probable_of_first(model: PreTrainedModel, prompts: Sequence[list[int]], n_rows: int) -> Likely:
    from bonbench.generators.decoding import most_probable

    return most_probable(model, prompts[:n_rows], MOST_PROBABLE)
