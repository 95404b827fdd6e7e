"""How an engine of vLLM is started that reads texts, and samples nothing."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from bonbench.generators.vllm_engine import Engine
from bonbench.reward_models.vllm.params import EngineParams
from harness.core.errors import UserError, cannot_load, first_error, shortened
from harness.core.hub_models import hub_id, pretrained

#: Engine arguments on CPU, where they differ from vLLM's own. Compiling a model takes longer than most CPU runs. Blocks
#: of 32 tokens share more of a prompt than those of 128.
_ON_CPU = {"enforce_eager": True, "block_size": 32, "kv_cache_memory_bytes": 2 << 30}
def model_config(model: str) -> Any:
    """The `transformers` config of a model.

    Raises:
        UserError: where there is none, or none that transformers knows.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(**pretrained(model))
    except Exception as error:  # a wrong value in a config.json raises whatever the config's code meets first
        raise cannot_load(model, error) from error


def start(model: str, dtype: str, params: EngineParams, **arguments: Any) -> Engine:
    """An engine for a model.

    Args:
        dtype: "auto" is as the model is stored on a GPU, and float32 on a CPU.
        arguments: of the engine, for what it is to do; the user's have the last word.

    Raises:
        UserError: when vLLM is not installed, rejects its arguments or cannot load the model.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UserError("vLLM is not installed where the model is to run: pip install 'bonbench[vllm]'")
    # A text may be as long as the model's positions reach, and one more token is sampled after it, which is never read.
    os.environ.setdefault("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1")
    from vllm.platforms import current_platform

    config = model_config(model)
    n_devices = params.tensor_parallel_size * params.pipeline_parallel_size
    if current_platform.is_cuda_alike() and n_devices > current_platform.device_count():
        raise UserError(
            f"tensor_parallel_size x pipeline_parallel_size is {n_devices}, the actor sees "
            f"{current_platform.device_count()} GPUs: set num_gpus: {n_devices} on the entry"
        )
    if dtype == "auto":
        # vLLM's own "auto" would halve the precision of a float32 model.
        stored = config.get_text_config().dtype
        dtype = "float32" if current_platform.is_cpu() else str(stored or "auto").removeprefix("torch.")
    own: dict[str, Any] = {
        **(_ON_CPU if current_platform.is_cpu() else {}),
        "model": hub_id(model),
        "dtype": dtype,
        "tensor_parallel_size": params.tensor_parallel_size,
        "pipeline_parallel_size": params.pipeline_parallel_size,
        "distributed_executor_backend": "uni" if n_devices == 1 else "mp",
        **arguments,
    }
    if revision := pretrained(model).get("revision"):
        own |= {"revision": revision, "tokenizer_revision": revision}
    try:
        return Engine({**own, **params.engine})
    except (TypeError, ValueError, OSError) as error:
        raise UserError(f"vLLM refuses {model} with these arguments: {_reason(error)}") from error


def device() -> str:
    """What the engine runs on, for the ledger."""
    from vllm.platforms import current_platform

    return str(current_platform.device_type)


def _reason(error: Exception) -> str:
    """What vLLM has to say, in one line; pydantic's heading and links left out."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return first_error(error)
    return shortened(str(error))
