"""What is known of public reward models by their ids on the hub, so that a short entry suffices for each.

Sources: the models' cards and public evaluation code, and Yuan et al. 2024 (arXiv 2412.01981) for the implicit ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class KnownModel:
    """The family (registered name) that a model belongs to, and the convention by which it is scored.

    ``ids`` are token ids that its tokenizer must give to tags and answers.
    """

    family: str
    convention: str
    ids: Mapping[str, int] = field(default_factory=dict)


KNOWN_MODELS: dict[str, KnownModel] = {
    "peiyi9979/math-shepherd-mistral-7b-prm": KnownModel(
        "step-token", "math-shepherd", {"ки": 12902, "+": 648, "-": 387}
    ),
    "RLHFlow/Llama3.1-8B-PRM-Mistral-Data": KnownModel("step-token", "rlhflow"),
    "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data": KnownModel("step-token", "rlhflow"),
    "Qwen/Qwen2.5-Math-PRM-7B": KnownModel("head-prm", "qwen2.5-math-prm", {"<extra_0>": 151651}),
    "Qwen/Qwen2.5-Math-PRM-72B": KnownModel("head-prm", "qwen2.5-math-prm", {"<extra_0>": 151651}),
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B": KnownModel("head-prm", "skywork-o1-prm"),
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B": KnownModel("head-prm", "skywork-o1-prm"),
    "openbmb/Eurus-RM-7b": KnownModel("sequence-classifier", "eurus"),
    "Skywork/Skywork-Reward-Llama-3.1-8B": KnownModel("sequence-classifier", "chat"),
    "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2": KnownModel("sequence-classifier", "chat"),
    "RLHFlow/ArmoRM-Llama3-8B-v0.1": KnownModel("sequence-classifier", "armorm"),
}

_LLAMA = {"reference": "meta-llama/Llama-3.1-8B-Instruct", "beta": 0.001, "steps": "numbered"}
_QWEN = {"reference": "Qwen/Qwen2.5-Math-7B-Instruct", "beta": 0.001, "steps": "numbered"}
#: What an entry of type ``implicit`` says with one of these policies, unless the entry says otherwise. These models are
#: evaluated with log-ratios times 0.001, whatever beta they were trained with.
KNOWN_IMPLICIT: dict[str, Mapping[str, Any]] = {
    "Windy0822/ImplicitPRM_DPO": _LLAMA,
    "Windy0822/ImplicitPRM_CE": _LLAMA,
    "PRIME-RL/EurusPRM-Stage1": _QWEN,
    "PRIME-RL/EurusPRM-Stage2": _QWEN,
}
