"""Masks, caches and outputs of an architecture's own: a reading that replaces them fails, or gives other numbers.

huggingface/transformers#37351 (the chunks of Llama 4) and #36150, allenai/reward-bench#169 (Gemma 2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_logits_are_scaled import tiny

from bonbench.generators.decoding import check_sampling, sample
from bonbench.reward_models.lm import tree_attention
from bonbench.reward_models.lm.causal_lm import response_logprobs
from bonbench.reward_models.lm.tree_attention import reads_alone, supports_trees
from bonbench.reward_models.text.encoding import Encoded
from harness.core.errors import UserError

OWN: dict[str, dict[str, Any]] = {
    "minimax": {"num_local_experts": 4, "block_size": 4, "head_dim": 8},
    "llama4_text": {
        "num_local_experts": 2,
        "intermediate_size_mlp": 48,
        "head_dim": 8,
        "attention_chunk_size": 4,
        "interleave_moe_layer_step": 1,
    },
    "gemma2": {"head_dim": 8, "sliding_window": 4, "attn_logit_softcapping": 2.0},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 4, "num_hidden_layers": 3, "head_dim": 8},
    "mamba": {"state_size": 4},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 64},
}


def texts() -> list[list[int]]:
    """One prompt, and responses of several lengths that begin alike."""
    return [[1, 5, 9, 4] + [(7 * i + k // 3) % 50 + 3 for i in range(3 + 4 * k)] for k in range(4)]


@pytest.mark.parametrize("type_", OWN)
def test_log_probabilities_are_those_of_each_text_alone(type_: str) -> None:
    model = tiny(type_, **OWN[type_])
    ours = response_logprobs(model, [Encoded(ids, 4, list(range(4, len(ids)))) for ids in texts()], 32)
    for ids, values in zip(texts(), ours, strict=True):
        with torch.no_grad():
            own = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        wanted = [float(own[at - 1, ids[at]]) for at in range(4, len(ids))]
        assert values == pytest.approx(wanted, abs=1e-4)


def test_sampling_is_that_of_whole_texts_or_refused() -> None:
    for type_, own in {"llama": {}, **OWN}.items():
        model, prompts = tiny(type_, **own), [[1, 5, 9, 4, 33, 21, 7, 14], [1, 5, 9, 44, 12]]
        if type_ in ("minimax", "recurrent_gemma", "mamba"):  # some raise, some sample something else
            with pytest.raises(UserError, match="cannot be sampled from here"):
                check_sampling(model, "m")
            continue
        check_sampling(model, "m")
        seeds, most = np.arange(3, dtype=np.uint64), np.full(3, 6)
        sampled = sample(model, prompts, [0, 0, 1], seeds, [60], most, temperature=0, top_p=1)
        for row, prompt in enumerate((prompts[0], prompts[0], prompts[1])):
            text = list(prompt)
            for _ in range(6):
                with torch.no_grad():
                    text.append(int(model(torch.tensor([text]), use_cache=False).logits[0, -1].argmax()))
            assert sampled.tokens[row].tolist() == text[len(prompt) :], type_


def test_whatever_a_tree_raises_it_is_read_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")

    def fails(*_: Any) -> Any:
        raise KeyError("position_ids")

    monkeypatch.setattr(tree_attention, "tree_states", fails)
    assert not supports_trees(model) and not reads_alone(model)


def test_what_padding_changes_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    read, body = type(model.model).forward, type(model.model)

    def mixing_rows(self: Any, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        output = read(self, input_ids=input_ids, **kwargs)
        output["last_hidden_state"] = output.last_hidden_state * len(input_ids)
        return output

    monkeypatch.setattr(body, "forward", mixing_rows)
    assert reads_alone(model)


def test_a_model_of_both_directions_is_refused() -> None:
    model = tiny("bert-generation")
    with pytest.raises(UserError, match="reads texts in both directions"):
        response_logprobs(model, [Encoded([1, 5, 9, 4], 2, [2, 3])])
