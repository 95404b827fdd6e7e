"""Where models run, and in which precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from generators.transformers import TransformersGenerator, TransformersParams
from harness.placement import placement
from reward_models.token_logprobs import CausalLMParams, CausalLMScorer

MODEL = Path(__file__).resolve().parent.parent / "experiments" / "pocket" / "models" / "weak"


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", "auto", ("cpu", "float32")),
        ("cpu", "bfloat16", ("cpu", "bfloat16")),
        ("cuda:1", "auto", ("cuda:1", "auto")),
        ("cuda", "float32", ("cuda", "float32")),
    ],
)
def test_what_is_said_is_done(device: str, dtype: str, expected: tuple[str, str]) -> None:
    assert placement(device, dtype) == expected


def test_a_gpu_where_there_is_one() -> None:
    assert placement("auto", "float16")[0] == ("cuda" if torch.cuda.is_available() else "cpu")


def test_models_stored_in_16_bits_run_in_32_on_a_cpu(tmp_path: Path) -> None:
    AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(tmp_path)
    model = str(tmp_path)
    assert CausalLMScorer(CausalLMParams(model=model, device="cpu")).model.dtype == torch.float32
    assert TransformersGenerator(TransformersParams(model=model, device="cpu")).model.dtype == torch.float32
    assert CausalLMScorer(CausalLMParams(model=model, device="cpu", dtype="bfloat16")).model.dtype == torch.bfloat16
