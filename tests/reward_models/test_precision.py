"""In which precision models run, and by which kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from places import MODELS
from transformers import AutoModelForCausalLM, AutoTokenizer

from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer

MODEL = MODELS / "weak"


@pytest.mark.parametrize("component", [CausalLMScorer, TransformersGenerator])
def test_attention_is_not_left_to_cudnn(component: Any) -> None:
    """It would build a plan for every shape."""
    torch.backends.cuda.enable_cudnn_sdp(True)
    component(component.Params(model=str(MODEL), device="cpu"))
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_models_stored_in_16_bits_run_in_32_on_a_cpu(tmp_path: Path) -> None:
    AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(tmp_path)
    model = str(tmp_path)
    assert CausalLMScorer(CausalLMParams(model=model, device="cpu")).model.dtype == torch.float32
    assert TransformersGenerator(TransformersParams(model=model, device="cpu")).model.dtype == torch.float32
    assert CausalLMScorer(CausalLMParams(model=model, device="cpu", dtype="bfloat16")).model.dtype == torch.bfloat16
