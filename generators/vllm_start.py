"""How an engine of vLLM is started: the arguments that suit the machine, and one line for what goes wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from bonbench.generators.vllm_engine import Engine, settle_environment
from harness.core.errors import UserError, first_error, shortened
from harness.core.hub_models import pretrained

#: Engine arguments on CPU, where they differ from vLLM's own. Compiling a model takes longer than most CPU runs. Blocks
#: of 32 tokens share more of a prompt than those of 128.
_ON_CPU = {"enforce_eager": True, "block_size": 32, "kv_cache_memory_bytes": 2 << 30}


def find_vllm() -> None:
    """Make vLLM ready to be imported.

    Raises:
        UserError: where it is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UserError("vLLM is not installed where the model is to run: pip install 'bonbench[vllm]'")
    settle_environment()


def without_remote_code(engine: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a user for vLLM's engine.

    Raises:
        ValueError: where they ask for running the code of a model's folder.
    """
    if engine.get("trust_remote_code"):
        raise ValueError("trust_remote_code: the code of a model's folder is never run: remove it")
    return engine


def start_engine(
    model: str, tensor_parallel_size: int, pipeline_parallel_size: int, own: Mapping[str, Any], users: Mapping[str, Any]
) -> Engine:
    """An engine for a model, in the GPUs of this process.

    Args:
        own: arguments of ``vllm.LLM``, for what the engine is to do.
        users: arguments that have the last word.

    Raises:
        UserError: when vLLM rejects its arguments or cannot load the model.
    """
    from vllm.platforms import current_platform

    n_devices = tensor_parallel_size * pipeline_parallel_size
    if current_platform.is_cuda_alike() and n_devices > current_platform.device_count():
        raise UserError(
            f"tensor_parallel_size x pipeline_parallel_size is {n_devices}, the actor sees "
            f"{current_platform.device_count()} GPUs: set num_gpus: {n_devices} on the entry"
        )
    which = pretrained(model)
    arguments: dict[str, Any] = {
        **(_ON_CPU if current_platform.is_cpu() else {}),
        "model": which["pretrained_model_name_or_path"],
        "tensor_parallel_size": tensor_parallel_size,
        "pipeline_parallel_size": pipeline_parallel_size,
        "distributed_executor_backend": "uni" if n_devices == 1 else "mp",
    }
    if (revision := which.get("revision")) and "revision" not in users:
        arguments |= {"revision": revision, "tokenizer_revision": revision}
    try:
        return Engine({**arguments, **own, **users, "trust_remote_code": False})
    except (TypeError, ValueError, OSError) as error:
        raise UserError(f"vLLM refuses {model} with these arguments: {_reason(error)}") from error


def on_cpu() -> bool:
    """Whether vLLM computes on the CPU."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def device() -> str:
    """What vLLM computes on, for the ledger."""
    from vllm.platforms import current_platform

    return str(current_platform.device_type)


def stored_dtype(config: Any) -> str:
    """What to say to vLLM for the precision that a model is stored in: its own "auto" halves that of float32."""
    import torch

    return "float32" if config.get_text_config().dtype == torch.float32 else "auto"


def _reason(error: Exception) -> str:
    """What vLLM has to say, in one line; pydantic's heading and links left out."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return first_error(error)
    return shortened(str(error))
