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
    "Qwen/Qwen2.5-Math-7B-PRM800K": KnownModel("head-prm", "qwen2.5-math-prm", {"<extra_0>": 151651}),
    "Gen-Verse/ReasonFlux-PRM-7B": KnownModel("head-prm", "reasonflux-prm", {"<extra_0>": 151651}),
    "jinachris/PURE-PRM-7B": KnownModel("head-prm", "trl"),
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B": KnownModel("head-prm", "skywork-o1-prm"),
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B": KnownModel("head-prm", "skywork-o1-prm"),
    "openbmb/Eurus-RM-7b": KnownModel("sequence-classifier", "eurus"),
    "Skywork/Skywork-Reward-Llama-3.1-8B": KnownModel("sequence-classifier", "chat"),
    "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2": KnownModel("sequence-classifier", "chat"),
    **{
        f"Skywork/Skywork-Reward-V2-{base}": KnownModel("sequence-classifier", "chat")
        for base in (
            *("Llama-3.1-8B", "Llama-3.1-8B-40M", "Llama-3.2-1B", "Llama-3.2-3B"),
            *("Qwen3-0.6B", "Qwen3-1.7B", "Qwen3-4B", "Qwen3-8B"),
        )
    },
    "RLHFlow/ArmoRM-Llama3-8B-v0.1": KnownModel("sequence-classifier", "armorm"),
    "nvidia/AceMath-7B-RM": KnownModel("sequence-classifier", "acemath"),
    "nvidia/AceMath-72B-RM": KnownModel("sequence-classifier", "acemath"),
    "Qwen/Qwen2.5-Math-RM-72B": KnownModel("sequence-classifier", "qwen2.5-math-rm"),
    "nvidia/Llama-3.1-Nemotron-70B-Reward-HF": KnownModel("sequence-classifier", "nemotron"),
    "nvidia/Llama-3.3-Nemotron-70B-Reward": KnownModel("sequence-classifier", "nemotron"),
}

_REMOTE_CODE = "its model and tokenizer are code of its repository, which is not run"
#: Public reward models that are not run here, and why. A server of the user's may run them.
NOT_RUN_HERE: dict[str, str] = {
    "internlm/internlm2-1_8b-reward": _REMOTE_CODE,
    "internlm/internlm2-7b-reward": _REMOTE_CODE,
    "internlm/internlm2-20b-reward": _REMOTE_CODE,
    "Gen-Verse/ReasonFlux-PRM-1.5B": "its head is a pickle beside the model",
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
