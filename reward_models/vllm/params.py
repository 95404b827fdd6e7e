"""Parameters of what scores with vLLM; those of the `vllm` generator have the same names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from bonbench.generators.vllm_start import without_remote_code
from harness.core.params import ComponentParams, Unkeyed

#: What vLLM runs a model as: the sequence classifier of its type, or the causal language model that it is.
CLASSIFIER, CAUSAL_LM = "classifier", "causal-lm"


class EngineParams(ComponentParams):
    """Arguments of vLLM's engine.

    With tensor or pipeline parallelism one actor holds all the GPUs, of one node: set the entry's ``num_gpus`` to the
    product of both sizes.
    """

    tensor_parallel_size: Annotated[int, Unkeyed((1,))] = Field(
        1, ge=1, description="GPUs that share each layer; num_gpus must hold them"
    )
    pipeline_parallel_size: Annotated[int, Unkeyed((1,))] = Field(
        1, ge=1, description="GPUs, or groups of them, that share the layers out"
    )
    max_model_len: Annotated[int | None, Unkeyed((None,))] = Field(
        None, ge=1, description="tokens of prompt and response at most; null: what the model's positions reach"
    )
    engine: Annotated[dict[str, Any], Unkeyed(({},))] = Field(
        {},
        description="any other argument of vLLM's engine (quantization, gpu_memory_utilization, max_num_seqs …); it "
        "has the last word",
    )

    @field_validator("engine")
    @classmethod
    def _apart(cls, engine: dict[str, Any]) -> dict[str, Any]:
        own = {"model", "max_model_len", "tensor_parallel_size", "pipeline_parallel_size"}
        if given := sorted(own & engine.keys()):
            raise ValueError(f"{given[0]} is a parameter of its own")
        return without_remote_code(engine)

    def context(self, positions: int | None) -> int | None:
        """The tokens that a model of so many positions is to read at most."""
        limits = [limit for limit in (self.max_model_len, positions) if limit is not None]
        return min(limits, default=None)


class BackendParams(EngineParams):
    """What runs a model: transformers in the actor's own process, or an engine of vLLM."""

    backend: Annotated[Literal["transformers", "vllm"], Unkeyed(("transformers",))] = Field(
        "transformers", description="what runs the model; vllm: for models beyond one GPU, and for quantised ones"
    )

    @model_validator(mode="after")
    def _of_one_backend(self) -> BackendParams:
        if self.backend == "transformers" and (asked := self.of_engine()):
            raise ValueError(f"{next(iter(asked))} is for vLLM: set backend: vllm")
        if self.backend == "vllm" and getattr(self, "device", "auto") != "auto":
            raise ValueError("vLLM takes the GPUs that the entry's num_gpus gives it: leave device out")
        return self

    def of_engine(self) -> dict[str, Any]:
        """The engine's parameters that are not the default ones."""
        given = self.model_dump(include=set(EngineParams.model_fields))
        return {name: value for name, value in given.items() if value != EngineParams.model_fields[name].default}
