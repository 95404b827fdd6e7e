"""The architecture of a model without loading it, for plans: from its folder, the local hub cache or known facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_LLAMA_8B = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}
_LLAMA_70B = {**_LLAMA_8B, "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64} | {
    "intermediate_size": 28672
}
_MISTRAL_7B = {**_LLAMA_8B, "vocab_size": 32000}
_QWEN25_MATH_7B = {
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "vocab_size": 152064,
}
_SMOLLM2_135M = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}

#: Sizes of the paper's models and of public reward models, from their config files. Reward heads are small beside the
#: output head of the language model that they replace; it is counted in their place.
_KNOWN: dict[str, dict[str, Any]] = {
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_8B,
    "meta-llama/Llama-3.1-70B-Instruct": _LLAMA_70B,
    "mistralai/Mistral-7B-Instruct-v0.2": _MISTRAL_7B,
    "Qwen/Qwen2.5-Math-7B-Instruct": _QWEN25_MATH_7B,
    "Qwen/Qwen2.5-Math-PRM-7B": _QWEN25_MATH_7B,
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
}


def model_config(model: str) -> dict[str, Any] | None:
    """The config of a model folder or hub id (as a `transformers` config's dict); None where it is not to be had.

    The network is never asked.
    """
    folder = Path(model)
    if folder.exists():
        file = folder / "config.json"
        return _read(file) if file.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, "config.json")
    return _read(Path(cached)) if isinstance(cached, str) else _KNOWN.get(model)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]
