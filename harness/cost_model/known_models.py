"""The sizes of a model without loading it, for plans: from its folder, the local hub cache or known facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.core.errors import UserError
from harness.core.hub_models import config_file, hub_id
from harness.core.model_sizes import ModelSizes
from harness.data.documents import read_json

_LLAMA_8B = ModelSizes(
    layers=32, hidden=4096, heads=32, kv_heads=8, head_dim=128, intermediate=14336, vocabulary=128256
)
_LLAMA_70B = replace(_LLAMA_8B, layers=80, hidden=8192, heads=64, intermediate=28672)
_MISTRAL_7B = replace(_LLAMA_8B, vocabulary=32000)
_QWEN25_MATH_7B = ModelSizes(
    layers=28, hidden=3584, heads=28, kv_heads=4, head_dim=128, intermediate=18944, vocabulary=152064
)
_QWEN25_MATH_72B = ModelSizes(
    layers=80, hidden=8192, heads=64, kv_heads=8, head_dim=128, intermediate=29568, vocabulary=152064
)
_QWEN25_1P5B = ModelSizes(
    layers=28, hidden=1536, heads=12, kv_heads=2, head_dim=128, intermediate=8960, vocabulary=151936, tied=True
)
_QWEN25_3B = replace(_QWEN25_1P5B, layers=36, hidden=2048, heads=16, intermediate=11008)
_LLAMA_1B = ModelSizes(
    layers=16, hidden=2048, heads=32, kv_heads=8, head_dim=64, intermediate=8192, vocabulary=128256, tied=True
)
_LLAMA_3B = replace(_LLAMA_1B, layers=28, hidden=3072, heads=24, head_dim=128)
_QWEN3_0P6B = ModelSizes(
    layers=28, hidden=1024, heads=16, kv_heads=8, head_dim=128, intermediate=3072, vocabulary=151936, tied=True
)
_QWEN3_1P7B = replace(_QWEN3_0P6B, hidden=2048, intermediate=6144)
_QWEN3_4B = replace(_QWEN3_0P6B, layers=36, hidden=2560, heads=32, intermediate=9728)
_QWEN3_8B = replace(_QWEN3_4B, hidden=4096, intermediate=12288, tied=False)
_SMOLLM2_135M = ModelSizes(
    layers=30, hidden=576, heads=9, kv_heads=3, head_dim=64, intermediate=1536, vocabulary=49152, tied=True
)

#: Sizes of the paper's models and of public reward models, from their config files.
_KNOWN: dict[str, ModelSizes] = {
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_8B,
    "meta-llama/Llama-3.1-70B-Instruct": _LLAMA_70B,
    "meta-llama/Llama-3.2-1B-Instruct": _LLAMA_1B,
    "meta-llama/Llama-3.2-3B-Instruct": _LLAMA_3B,
    "mistralai/Mistral-7B-Instruct-v0.2": _MISTRAL_7B,
    "Qwen/Qwen2.5-1.5B-Instruct": _QWEN25_1P5B,
    "Qwen/Qwen2.5-3B-Instruct": _QWEN25_3B,
    "Qwen/Qwen2.5-7B-Instruct": _QWEN25_MATH_7B,
    "Qwen/Qwen2.5-Math-1.5B-Instruct": _QWEN25_1P5B,
    "Qwen/Qwen2.5-Math-7B-Instruct": _QWEN25_MATH_7B,
    "Qwen/Qwen2.5-Math-72B-Instruct": _QWEN25_MATH_72B,
    "Qwen/Qwen2.5-Math-PRM-7B": _QWEN25_MATH_7B,
    "Qwen/Qwen2.5-Math-PRM-72B": _QWEN25_MATH_72B,
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B": _QWEN25_1P5B,
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B": _QWEN25_MATH_7B,
    "HuggingFaceTB/SmolLM2-135M": _SMOLLM2_135M,
    "HuggingFaceTB/SmolLM2-135M-Instruct": _SMOLLM2_135M,
    "Windy0822/ImplicitPRM_DPO": _LLAMA_8B,
    "Windy0822/ImplicitPRM_CE": _LLAMA_8B,
    "PRIME-RL/EurusPRM-Stage1": _QWEN25_MATH_7B,
    "PRIME-RL/EurusPRM-Stage2": _QWEN25_MATH_7B,
    "peiyi9979/math-shepherd-mistral-7b-prm": _MISTRAL_7B,
    "RLHFlow/Llama3.1-8B-PRM-Mistral-Data": _LLAMA_8B,
    "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data": _LLAMA_8B,
    "openbmb/Eurus-RM-7b": _MISTRAL_7B,
    "Skywork/Skywork-Reward-Llama-3.1-8B": _LLAMA_8B,
    "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2": _LLAMA_8B,
    "RLHFlow/ArmoRM-Llama3-8B-v0.1": _LLAMA_8B,
    "Qwen/Qwen2.5-Math-7B-PRM800K": _QWEN25_MATH_7B,
    "Qwen/Qwen2.5-Math-RM-72B": _QWEN25_MATH_72B,
    "Gen-Verse/ReasonFlux-PRM-7B": _QWEN25_MATH_7B,
    "jinachris/PURE-PRM-7B": _QWEN25_MATH_7B,
    "nvidia/AceMath-7B-RM": _QWEN25_MATH_7B,
    "nvidia/AceMath-72B-RM": _QWEN25_MATH_72B,
    "nvidia/Llama-3.1-Nemotron-70B-Reward-HF": _LLAMA_70B,
    "nvidia/Llama-3.3-Nemotron-70B-Reward": _LLAMA_70B,
    "Skywork/Skywork-Reward-V2-Llama-3.1-8B": _LLAMA_8B,
    "Skywork/Skywork-Reward-V2-Llama-3.1-8B-40M": _LLAMA_8B,
    "Skywork/Skywork-Reward-V2-Llama-3.2-1B": _LLAMA_1B,
    "Skywork/Skywork-Reward-V2-Llama-3.2-3B": _LLAMA_3B,
    "Skywork/Skywork-Reward-V2-Qwen3-0.6B": _QWEN3_0P6B,
    "Skywork/Skywork-Reward-V2-Qwen3-1.7B": _QWEN3_1P7B,
    "Skywork/Skywork-Reward-V2-Qwen3-4B": _QWEN3_4B,
    "Skywork/Skywork-Reward-V2-Qwen3-8B": _QWEN3_8B,
}


def model_sizes(model: str) -> ModelSizes | None:
    """The sizes of a model folder or hub id; None where they are not to be had, or no decoder-only transformer's.

    The network is never asked.
    """
    file = config_file(model)
    return _KNOWN.get(hub_id(model)) if file is None else _read(file)


def _read(path: Path) -> ModelSizes | None:
    try:
        return ModelSizes.from_config(read_json(path))
    except (UserError, KeyError, TypeError, AttributeError, ZeroDivisionError):  # no config, or not one of a decoder
        return None
