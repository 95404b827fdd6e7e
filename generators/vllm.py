"""Sampling with vLLM's offline engine, inside the actor that asks for it.

The engine runs in the actor's own process. Then nothing outlives a killed actor, an engine that cannot start says why,
and all requests of a call are queued before the first step, so that the same call is scheduled in the same way.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from bonbench.generators.prompted import Prompt, PromptedGenerator, PromptedParams, fitting
from bonbench.generators.prompts import Codec
from harness.core.components import ModelFacts
from harness.core.errors import UserError, cannot_load, first_error, shortened
from harness.core.hub_models import hub_id, pretrained
from harness.core.records import Problem, Response, Sampling

#: Engine arguments on CPU, where they differ from vLLM's own. A seeded request must not have its prompt split over two
#: steps there (vLLM would rewind its random numbers, which torch cannot do on CPU), hence no chunked prefill.
#: Compiling a model takes longer than most CPU runs. Blocks of 32 tokens share more of a prompt than those of 128.
_ON_CPU = {
    "enable_chunked_prefill": False,
    "enforce_eager": True,
    "block_size": 32,
    "kv_cache_memory_bytes": 2 << 30,
}
#: Where the user's environment does not say otherwise: the engine in this process, no chatter, no reports home.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}


class VLLMParams(PromptedParams):
    """Parameters of :class:`VLLMGenerator`, with those of the prompt.

    With tensor or pipeline parallelism one actor holds all the GPUs, of one node: set the entry's ``num_gpus`` to the
    product of both sizes.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="auto: as the model is stored")
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs that share each layer; num_gpus must hold them")
    pipeline_parallel_size: int = Field(1, ge=1, description="GPUs, or groups of them, that share the layers out")
    max_model_len: int | None = Field(
        None, ge=1, description="tokens of prompt and response at most; null: what the model's positions reach"
    )
    enable_prefix_caching: bool = Field(True, description="read what prompts share once")
    engine: dict[str, Any] = Field(
        {},
        description="any other argument of vLLM's engine (gpu_memory_utilization, max_num_seqs, quantization …); it "
        "has the last word",
    )
    stop: tuple[str, ...] = Field((), description="strings that end a response and do not belong to it")
    keep_token_ids: bool = Field(False, description="store the sampled tokens with every response")

    @field_validator("engine")
    @classmethod
    def _another_model(cls, engine: dict[str, Any]) -> dict[str, Any]:
        if "model" in engine:
            raise ValueError("the model is a parameter of its own")
        return engine

    @field_validator("stop")
    @classmethod
    def _not_empty(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if "" in stop:
            raise ValueError("an empty string would end every response")
        return stop


class VLLMGenerator(PromptedGenerator[VLLMParams]):
    """Samples from a causal language model with vLLM.

    :mod:`generators.prompts` says what the prompt is. A response ends at any end-of-turn token that the model's
    generation config or its tokenizer names, or at a string of ``stop``.

    Raises:
        UserError: when vLLM is not installed, rejects its arguments or cannot load the model, or there is no prompt to
            give the model; for a prompt that leaves no room for a response, where ``too_long`` makes an error of it.
    """

    Params = VLLMParams

    @classmethod
    def max_sequences(cls, params: VLLMParams) -> int | None:
        return params.engine.get("max_num_seqs")

    def __init__(self, params: VLLMParams, name: str = "") -> None:
        super().__init__(params, name)
        if importlib.util.find_spec("vllm") is None:
            raise UserError("vLLM is not installed where the model is to run: pip install 'bonbench[vllm]'")
        for variable, value in _ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        from transformers import AutoConfig, AutoTokenizer
        from vllm import LLM

        options: dict[str, Any] = pretrained(params.model)
        options |= {key: params.engine[key] for key in ("revision", "trust_remote_code") if key in params.engine}
        try:
            config = AutoConfig.from_pretrained(**options)
            tokenizer = AutoTokenizer.from_pretrained(**options)
        except (OSError, ValueError) as error:
            raise cannot_load(params.model, error) from error
        try:
            self.llm = LLM(**_engine_arguments(params, config))
        except (TypeError, ValueError, OSError) as error:
            raise UserError(f"vLLM refuses {params.model} with these arguments: {_reason(error)}") from error
        generation = self.llm.model_config.try_get_generation_config() or {}
        self.codec = Codec(params, tokenizer, params.model, generation.get("eos_token_id"))

    def describe(self) -> ModelFacts:
        from vllm.platforms import current_platform

        return ModelFacts(self.llm.model_config.hf_config.to_dict(), current_platform.device_type)

    def complete(
        self,
        problems: Sequence[Problem],
        prefixes: Sequence[str],
        sampling: Sampling,
        seeds: Mapping[str, Sequence[int]],
    ) -> list[Response]:
        limit = self.llm.model_config.max_model_len
        prompts = fitting(self.codec, self.params, limit, problems, prefixes, sampling.max_tokens)
        # One request per sample: a request for n samples would seed them with consecutive numbers. It would cost as
        # much, as vLLM splits it into n requests; in both cases the prefix cache holds the prompt once.
        rows = [(prompt, j) for prompt in prompts for j in range(sampling.n)]
        requests = [{"prompt_token_ids": prompt.ids} for prompt, _ in rows]
        seed_of = [seeds[prompt.problem.problem_id][j] for prompt, j in rows]
        settings = [
            self._sampling(sampling, prompt.max_tokens, seed) for (prompt, _), seed in zip(rows, seed_of, strict=True)
        ]
        # What an earlier call left in the cache would change the shape of the batches, hence the rounding of logits.
        self.llm.reset_prefix_cache()
        outputs = self.llm.generate(requests, settings, use_tqdm=False)
        return [
            self._response(prompt, j, seed, output.outputs[0])
            for (prompt, j), seed, output in zip(rows, seed_of, outputs, strict=True)
        ]

    @classmethod
    def _context(cls, params: VLLMParams, positions: int | None) -> int | None:
        given = params.engine.get("max_model_len", params.max_model_len)
        return given if isinstance(given, int) else positions

    def _sampling(self, sampling: Sampling, max_tokens: int, seed: int) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=max_tokens,
            seed=seed,
            stop=list(self.params.stop),
            stop_token_ids=self.codec.stop_ids,
            detokenize=bool(self.params.stop),  # text is decoded here; vLLM needs it to see the strings
        )

    def _response(self, prompt: Prompt, sample: int, seed: int, completion: Any) -> Response:
        problem_id = prompt.problem.problem_id
        if completion.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended a response to {problem_id!r} with {completion.finish_reason!r}")
        tokens = tuple(completion.token_ids)
        text = self.codec.decode(prompt.ids, tokens)
        if isinstance(completion.stop_reason, str):
            text = text.partition(completion.stop_reason)[0]
        return Response(
            problem_id=problem_id,
            generator=self.name,
            sample=sample,
            text=text,
            n_prompt_tokens=len(prompt.ids),
            n_tokens=len(tokens),
            finish_reason=completion.finish_reason,
            seed=seed,
            token_ids=tokens if self.params.keep_token_ids else None,
        )


def _engine_arguments(params: VLLMParams, config: Any) -> dict[str, Any]:
    """Arguments of ``vllm.LLM``: what suits the platform, then the parameters, then ``engine``."""
    import torch
    from vllm.platforms import current_platform

    n_devices = params.tensor_parallel_size * params.pipeline_parallel_size
    if current_platform.is_cuda_alike() and n_devices > current_platform.device_count():
        raise UserError(
            f"tensor_parallel_size x pipeline_parallel_size is {n_devices}, the actor sees "
            f"{current_platform.device_count()} GPUs: set num_gpus: {n_devices} on the entry"
        )
    # vLLM's own "auto" would halve the precision of a float32 model.
    stored_float32 = params.dtype == "auto" and config.get_text_config().dtype == torch.float32
    arguments: dict[str, Any] = {
        **(_ON_CPU if current_platform.is_cpu() else {}),
        "model": hub_id(params.model),
        "dtype": "float32" if stored_float32 else params.dtype,
        "tensor_parallel_size": params.tensor_parallel_size,
        "pipeline_parallel_size": params.pipeline_parallel_size,
        "distributed_executor_backend": "uni" if n_devices == 1 else "mp",
        "enable_prefix_caching": params.enable_prefix_caching,
    }
    if revision := pretrained(params.model).get("revision"):
        arguments |= {"revision": revision, "tokenizer_revision": revision}
    if params.max_model_len is not None:
        arguments["max_model_len"] = params.max_model_len
    return arguments | params.engine


def _reason(error: Exception) -> str:
    """What vLLM has to say, in one line; pydantic's heading and links left out."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return first_error(error)
    return shortened(str(error))
