"""The head's products are multiplied or capped before the softmax, and log-probabilities are computed without that.

vllm-project/vllm#52158, unslothai/unsloth#11277, huggingface/trl#6629 (Cohere, Granite). A guard that looks at one
token sees nothing where that token's row is padding, all zeros.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import make_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel

from bonbench.reward_models.lm import logits
from bonbench.reward_models.lm.causal_lm import response_logprobs
from bonbench.reward_models.lm.logits import check_head, token_logits
from bonbench.reward_models.text.encoding import Encoded
from bonbench.reward_models.training.model_losses import ImplicitLoss, StepTokenLoss
from bonbench.reward_models.training.params import ImplicitTrainerParams, StepTokenTrainerParams
from harness.core.errors import UserError

#: What the config says of the logits, by model type.
SCALED: dict[str, dict[str, Any]] = {
    "cohere": {"logit_scale": 0.0625},
    "cohere2": {"logit_scale": 3.0},
    "granite": {"logits_scaling": 8.0},
    "granitemoe": {"logits_scaling": 0.5, "num_local_experts": 4, "num_experts_per_tok": 2},
    "hyperclovax": {"logits_scaling": 8.0},
    "minicpm3": {
        "dim_model_base": 8,
        "q_lora_rank": 8,
        "kv_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
    },
    "gemma2": {"final_logit_softcapping": 2.0, "head_dim": 8},
    "llama": {"logit_scale": 0.5, "logits_scaling": 8.0},  # which mean nothing to it
}


def tiny(type_: str, **more: Any) -> PreTrainedModel:
    sizes = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 4 if type_ == "minicpm3" else 2}
    sizes |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(type_, **{**sizes, "initializer_range": 0.3, **more})
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("type_", SCALED)
def test_log_probabilities_are_those_of_the_model_itself(type_: str) -> None:
    model = tiny(type_, **SCALED[type_])
    check_head(model, "m")
    ids = [1, 7, 20, 33, 46, 59, 12, 0, 5]
    (ours,) = response_logprobs(model, [Encoded(ids, 3, list(range(3, 9)))])
    with torch.no_grad():
        own = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    wanted = [float(own[at - 1, ids[at]]) for at in range(3, 9)]
    assert ours == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("transform", [lambda x: 1.1 * x, lambda x: 30 * torch.tanh(x / 30), lambda x: x + x[..., :1]])
def test_any_other_transformation_is_refused(
    monkeypatch: pytest.MonkeyPatch, transform: Any, dtype: torch.dtype
) -> None:
    """However small the logits are, and whatever rows of the vocabulary are zero."""
    model = tiny("llama", initializer_range=0.02).to(dtype)
    model.get_input_embeddings().weight.data[:3] = 0
    check_head(model, "m")
    forward = LlamaForCausalLM.forward

    def other(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        output.logits = transform(output.logits)
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", other)
    with pytest.raises(UserError, match="m: LlamaForCausalLM transforms its logits in a way that is not supported"):
        check_head(model, "m")


def test_a_training_computes_the_same_and_refuses_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("granite", logits_scaling=8.0, vocab_size=300)
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    losses = [
        ImplicitLoss(ImplicitTrainerParams(base=str(tmp_path))),
        StepTokenLoss(StepTokenTrainerParams(base=str(tmp_path))),
    ]
    loaded = losses[0].load(str(tmp_path))
    hidden = torch.randn(4, 32)
    torch.testing.assert_close(token_logits(loaded, hidden, [5, 7]), model.lm_head(hidden)[:, [5, 7]].detach() / 8)
    monkeypatch.setattr(logits, "_DIVISORS", {})
    for loss in losses:
        with pytest.raises(UserError, match="transforms its logits"):
            loss.load(str(tmp_path))
