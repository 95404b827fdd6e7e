"""FLOPs against torch's own counter, which watches the operations of a real forward and backward."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MixtralConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from bonbench.reward_models.training.lora import adapter_params, with_adapters
from bonbench.reward_models.training.params import LoraParams
from harness.cost_model.shape import ModelShape

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 88,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 101,
}


def counted(model: torch.nn.Module, tokens: int, backward: bool = False) -> int:
    ids = torch.arange(tokens)[None] % 101
    with FlopCounterMode(display=False) as counter:
        out = model(input_ids=ids, labels=ids if backward else None, use_cache=False)
        if backward:
            out.loss.backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "model",
    [
        LlamaForCausalLM(LlamaConfig(**SIZES, head_dim=16, tie_word_embeddings=True)),
        LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False)),
        Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    ],
    ids=["llama-head-dim", "llama-untied", "qwen2"],
)
def test_forward_agrees_with_the_counted_operations(model: torch.nn.Module) -> None:
    model.set_attn_implementation("eager")
    shape = ModelShape.from_config(model.config.to_dict())
    for tokens in (1, 7, 20):
        # Eager attention computes the whole square of scores; the causal half (with diagonal) is what is needed.
        square = 4 * shape.attention_width * tokens * tokens
        causal = 4 * shape.attention_width * tokens * (tokens + 1) // 2
        assert counted(model, tokens) - square == shape.forward(tokens) - causal


def test_training_is_three_forwards() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    model.set_attn_implementation("eager")
    shape, tokens = ModelShape.from_config(model.config.to_dict()), 11
    square, causal = tokens * tokens, tokens * (tokens + 1) // 2
    ours = shape.training(tokens, causal) + 3 * 4 * shape.attention_width * (square - causal)
    # The first layer's input needs no gradient beyond the embedding's, so the counted total is the whole of it.
    assert counted(model, tokens, backward=True) == pytest.approx(ours, rel=0.02)


def test_frozen_weights_have_no_gradients_of_their_own() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    model.set_attn_implementation("eager")
    model.enable_input_require_grads()  # else the first layer's input needs no gradient
    adapted = with_adapters(model, LoraParams(rank=5), None)
    shape, tokens = ModelShape.from_config(model.config.to_dict()), 11
    square, causal = tokens * tokens, tokens * (tokens + 1) // 2
    ours = shape.training(tokens, causal, adapter_params(adapted))
    assert counted(model, tokens, backward=True) == ours + 3 * 4 * shape.attention_width * (square - causal)
    assert ours < shape.training(tokens, causal)


def test_a_classifier_has_no_head_over_the_vocabulary() -> None:
    model = LlamaForSequenceClassification(LlamaConfig(**SIZES, num_labels=1, pad_token_id=0))
    model.set_attn_implementation("eager")
    shape, tokens = ModelShape.from_config(model.config.to_dict(), output_head=False), 13
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.arange(1, 1 + tokens)[None], use_cache=False)
    square, causal = tokens * tokens, tokens * (tokens + 1) // 2
    ours = shape.forward(tokens) + 4 * shape.attention_width * (square - causal)
    assert counter.get_total_flops() - 2 * 32 * tokens == ours  # but for its own head: 32 weights


def test_generation_adds_up_to_one_forward() -> None:
    shape = ModelShape.from_config(SIZES)
    prompt, response = 9, 14
    token_by_token = shape.forward(prompt) + sum(shape.forward(1, past=prompt + i) for i in range(response))
    assert token_by_token == shape.forward(prompt) + shape.forward(response, past=prompt)
    assert token_by_token == shape.forward(prompt + response)


def test_only_active_experts_count() -> None:
    config = MixtralConfig(**SIZES, num_local_experts=8, num_experts_per_tok=2).to_dict()
    shape, dense = ModelShape.from_config(config), ModelShape.from_config(SIZES)
    one_mlp = 3 * 32 * 88
    assert shape.matmul_params - dense.matmul_params == 3 * (one_mlp + 32 * 8)


def test_llama_8b_has_the_published_size() -> None:
    # 8.03e9 parameters in all (the model's card), of which the embedding table, 128256 x 4096, multiplies nothing.
    config = {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    }
    assert ModelShape.from_config(config).matmul_params + 128256 * 4096 == pytest.approx(8.03e9, rel=0.001)
