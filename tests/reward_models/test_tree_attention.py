"""Whatever the architecture, readings with common beginnings have the hidden states that each has alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from bonbench.reward_models.lm.causal_lm import read
from bonbench.reward_models.lm.tree_attention import _Bands, supports_trees
from bonbench.reward_models.text.pieces import Marked

_SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ROPE = {"rope_theta": 10000.0}
_LONG = {
    **_ROPE,
    "rope_type": "longrope",
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 16,
}
#: Model type, what is special in the config, whether common beginnings are shared.
_ARCHITECTURES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "llama": ("llama", {}, True),
    "qwen2": ("qwen2", {}, True),
    "sliding-window": ("mistral", {"sliding_window": 5}, True),
    "some-layers-slide": (
        "gemma3_text",
        {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]},
        True,
    ),
    "learned-positions": ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}, True),
    "experts": ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}, True),
    "capped-scores": ("gemma2", {"attn_logit_softcapping": 2.0, "final_logit_softcapping": None}, False),
    "sinks": (
        "gpt_oss",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "rope_parameters": {**_ROPE, "rope_type": "default"}},
        False,
    ),
    "biased-scores": ("bloom", {"n_layer": 2, "n_head": 4}, False),
    "length-dependent-rotation": ("phi3", {"rope_parameters": _LONG, "original_max_position_embeddings": 16}, False),
    "recurrent": ("mamba", {"state_size": 4}, False),
}


@pytest.mark.parametrize("name", _ARCHITECTURES)
def test_states_are_those_of_each_reading_alone(name: str) -> None:
    kind, special, shares = _ARCHITECTURES[name]
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **_SMALL | special)).eval()
    rng = np.random.default_rng(0)
    trunk = rng.integers(3, 50, size=30).tolist()
    readings = [
        Marked([*trunk[:n], *rng.integers(3, 50, size=extra).tolist()], 2, sorted({1, n - 1, n + extra - 1}))
        for n, extra in ((30, 0), (30, 9), (22, 14), (22, 3), (9, 1), (2, 12), (2, 12))
    ]
    assert supports_trees(model) is shares
    for max_tokens in (1, 16, 1000):
        found = read(model, readings, lambda hidden, _: hidden, max_tokens)
        for reading, states in zip(readings, found, strict=True):
            with torch.no_grad():
                alone = model.base_model(input_ids=torch.tensor([reading.ids])).last_hidden_state[0]
            torch.testing.assert_close(states, alone[list(reading.reads)], atol=1e-5, rtol=1e-4)


def test_masks_have_rows_that_a_kernel_takes_as_they_are() -> None:
    """Each query sees its window of the keys before it; rows begin at multiples of eight elements."""
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **_SMALL))
    bands = _Bands(model, max_queries=9, max_keys=30)
    for n_queries, n_keys, window in ((1, 1, 99), (3, 11, 99), (9, 30, 99), (9, 9, 2), (4, 16, 5)):
        mask = bands.mask(n_queries, n_keys, window, torch.device("cpu"))
        assert mask.shape == (n_queries, n_keys) and mask.stride(0) % 8 == 0 and mask.stride(1) == 1
        behind = torch.arange(n_queries)[:, None] + n_keys - n_queries - torch.arange(n_keys)
        assert torch.equal(mask == 0, (behind >= 0) & (behind < window)) and torch.equal(mask != 0, mask == -torch.inf)
