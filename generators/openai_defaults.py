"""What a server would add to a request that is silent, and how to keep it from that.

Some servers take the sampling parameters that a request does not name from elsewhere: ``vllm serve`` and SGLang from
the model's generation config, llama.cpp from its own defaults (top_k 40, min_p 0.05). A hosted server refuses fields
that it does not know. So the values that change nothing are sent where the server's list of models says that it is one
of those that know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PENALTIES = {"presence_penalty": 0.0, "frequency_penalty": 0.0}
#: Who owns the models, as the server says -> the fields that leave the sampling as the request describes it.
_NEUTRAL: Mapping[str, Mapping[str, Any]] = {
    "vllm": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, **_PENALTIES},
    "sglang": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, **_PENALTIES},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, **_PENALTIES},
}


def neutral_fields(models: Any) -> Mapping[str, Any]:
    """The fields to send to a server with this list of models, as it answers to ``GET /models``."""
    listed = models.get("data") if isinstance(models, dict) else None
    owners = [model.get("owned_by") for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []
    return next((_NEUTRAL[owner] for owner in owners if isinstance(owner, str) and owner in _NEUTRAL), {})
