"""Sampling with vLLM, inside the actor that asks for it. The actor's shards share the batches of one engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from bonbench.generators.prompted import Prompt, PromptedGenerator, PromptedParams, beginnings, fitting
from bonbench.generators.prompts import Codec
from bonbench.generators.tokenizers import tokenizer_of
from bonbench.generators.vllm_start import device, find_vllm, on_cpu, start_engine, stored_dtype, without_remote_code
from bonbench.generators.weighing import share
from harness.core import shard_progress
from harness.core.components import ModelFacts
from harness.core.errors import cannot_load
from harness.core.hub_models import pretrained
from harness.core.records import Problem, Response, Sampling
from harness.core.weighing import MOST_PROBABLE, Weighed


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
    def _no_other_model(cls, engine: dict[str, Any]) -> dict[str, Any]:
        if "model" in engine:
            raise ValueError("the model is a parameter of its own")
        return without_remote_code(engine)

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
    shards_at_once = 64

    @classmethod
    def max_sequences(cls, params: VLLMParams) -> int | None:
        return params.engine.get("max_num_seqs")

    def __init__(self, params: VLLMParams, name: str = "") -> None:
        super().__init__(params, name)
        find_vllm()
        from transformers import AutoConfig

        revision = {"revision": params.engine["revision"]} if "revision" in params.engine else {}
        try:
            config = AutoConfig.from_pretrained(**pretrained(params.model) | revision)
        except Exception as error:  # a wrong value in a config.json raises whatever the config's code meets first
            raise cannot_load(params.model, error) from error
        tokenizer = tokenizer_of(params.model, **revision)
        own = _arguments(params, config)
        sizes = params.tensor_parallel_size, params.pipeline_parallel_size
        self.engine = start_engine(params.model, *sizes, own, params.engine)
        generation = self.engine.model_config.try_get_generation_config() or {}
        self.codec = Codec(params, tokenizer, params.model, generation.get("eos_token_id"), params.date)

    def describe(self) -> ModelFacts:
        return ModelFacts(self.engine.model_config.hf_config.to_dict(), device())

    def complete(
        self,
        problems: Sequence[Problem],
        prefixes: Sequence[str],
        sampling: Sampling,
        seeds: Mapping[str, Sequence[int]],
    ) -> list[Response]:
        limit = self.engine.model_config.max_model_len
        prompts = fitting(self.codec, self.params, limit, problems, prefixes, sampling.max_tokens)
        # One request per sample: a request for n samples would seed them with consecutive numbers. It would cost as
        # much, as vLLM splits it into n requests; in both cases the prefix cache holds the prompt once.
        rows = [(prompt, j) for prompt in prompts for j in range(sampling.n)]
        seed_of = [seeds[prompt.problem.problem_id][j] for prompt, j in rows]
        requests = [
            (prompt.ids, self._sampling(sampling, prompt.max_tokens, seed))
            for (prompt, _), seed in zip(rows, seed_of, strict=True)
        ]
        shard_progress.report(0, len(rows))
        responses: dict[int, Response] = {}
        for row, output in self.engine.outputs(requests):
            responses[row] = self._response(*rows[row], seed_of[row], output.outputs[0])
            shard_progress.report(len(responses), len(rows))
        return [responses[row] for row in range(len(rows))]

    def weigh(self, problems: Sequence[Problem], prefixes: Sequence[str], answers: tuple[str, str]) -> list[Weighed]:
        from vllm import SamplingParams

        yes, no = self.codec.answers(answers)
        ids = beginnings(self.codec, self.engine.model_config.max_model_len, problems, prefixes)
        places = list(ids)
        asked = SamplingParams(temperature=0, max_tokens=1, logprobs=MOST_PROBABLE, detokenize=False)
        found = [Weighed(None, 0)] * len(problems)
        for row, output in self.engine.outputs([(ids[place], asked) for place in places]):
            likely = [(token, one.logprob) for token, one in output.outputs[0].logprobs[0].items()]
            n_cached = output.num_cached_tokens or 0
            found[places[row]] = Weighed(share(likely, yes, no), len(ids[places[row]]) - n_cached, n_cached)
        return found

    def responses_in_flight(self) -> int:
        return self.engine.responses_in_flight

    @classmethod
    def _context(cls, params: VLLMParams, positions: int | None) -> int | None:
        given = params.engine.get("max_model_len", params.max_model_len)
        return given if isinstance(given, int) else positions

    def _sampling(self, sampling: Sampling, max_tokens: int, seed: int) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=max_tokens,
            seed=seed,
            stop=list(self.params.stop),
            stop_token_ids=self.codec.stop_ids,
            detokenize=bool(self.params.stop),  # text is decoded here; vLLM needs it to see the strings
            output_kind=RequestOutputKind.FINAL_ONLY,
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


def _arguments(params: VLLMParams, config: Any) -> dict[str, Any]:
    """Arguments of ``vllm.LLM`` that the parameters ask for, without ``engine``."""
    arguments: dict[str, Any] = {
        "dtype": stored_dtype(config) if params.dtype == "auto" else params.dtype,
        "enable_prefix_caching": params.enable_prefix_caching,
    }
    # A seeded request must not have its prompt split over two steps on a CPU (vLLM would rewind its random numbers,
    # which torch cannot do there).
    if on_cpu():
        arguments["enable_chunked_prefill"] = False
    if params.max_model_len is not None:
        arguments["max_model_len"] = params.max_model_len
    return arguments
