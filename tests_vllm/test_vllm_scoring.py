"""Scoring with vLLM: equal to transformers, for every convention that vLLM has, and for token passes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pocket import problems, seeds

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from reward_checkpoints import PROBLEM, TEXT, TOKENIZERS, make_checkpoint  # noqa: E402

from bonbench.generators.transformers import TransformersGenerator, TransformersParams  # noqa: E402
from bonbench.reward_models.hidden_state_model import HiddenStateRewardModel  # noqa: E402
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer  # noqa: E402
from bonbench.reward_models.vllm.token_logprobs import VLLMScorer, VLLMScorerParams  # noqa: E402
from harness.core.errors import UserError  # noqa: E402
from harness.core.records import Problem, Response, Sampling, Solution  # noqa: E402
from harness.core.registry import find  # noqa: E402

#: vLLM's attention on a CPU takes heads of 32 and more.
SIZES = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
POSITIONS = 256


@dataclass(frozen=True)
class Case:
    """A convention, and a checkpoint of it."""

    type: str
    convention: str
    family: str
    heads: dict[str, tuple[int, ...]]
    config: dict[str, Any] = field(default_factory=dict)


def lm_head(family: str) -> dict[str, tuple[int, ...]]:
    return {"lm_head.weight": (len(TOKENIZERS[family]()), 64)}


QWEN_HEAD = {"score.0.weight": (64, 64), "score.0.bias": (64,), "score.2.weight": (2, 64), "score.2.bias": (2,)}
CASES = {
    "step-end": Case("step-token", "step-end", "llama", lm_head("llama")),
    "math-shepherd": Case("step-token", "math-shepherd", "mistral", lm_head("mistral"), {"sliding_window": 64}),
    "qwen-prm": Case("head-prm", "qwen2.5-math-prm", "qwen", QWEN_HEAD | lm_head("qwen")),
    "two-labels": Case(
        "head-prm", "token-classifier", "llama", {"score.weight": (2, 64), "score.bias": (2,)}, {"num_labels": 2}
    ),
    "value-head": Case(
        "head-prm", "token-classifier", "qwen", {"score.weight": (1, 64), "score.bias": (1,)}, {"num_labels": 1}
    ),
    "classifier": Case("sequence-classifier", "chat", "llama", {"score.weight": (1, 64)}, {"num_labels": 1}),
}
LONG = "7 + 7 = 14. " * 5 + "\n\n" + "7 + 7 = 14. " * 60
TEXTS = [TEXT, "Step 1: 14", "", "so\n\n14\n", "a\nb\nc", "½ ∞ naïve 😀 ки + -\n", TEXT, "apples " * 20, LONG]


def solution(text: str, sample: int = 0) -> Solution:
    return Solution(Problem("p", PROBLEM, "14"), Response("p", "g", sample, text, finish_reason="stop"))


def load(case: Case, folder: str, **params: Any) -> HiddenStateRewardModel[Any]:
    gc.collect()  # a process holds one engine at a time
    cls = find("reward_models", case.type)
    model = cls(cls.Params.model_validate({"model": folder, "convention": case.convention, **params}), "rm")
    assert isinstance(model, HiddenStateRewardModel)
    return model


@pytest.mark.parametrize("name", list(CASES))
def test_rewards_equal_those_of_transformers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    config = {**SIZES, "max_position_embeddings": POSITIONS, **case.config}
    folder = make_checkpoint(tmp_path, case.family, case.heads, seed=3, **config)
    plain = load(case, folder, too_long="truncate")
    batch = [solution(text, i) for i, text in enumerate(TEXTS)]
    served = load(case, folder, too_long="truncate", backend="vllm")
    for ours, theirs in zip(served.score(batch), plain.score(batch), strict=True):
        assert (ours.step_ends, ours.n_tokens, ours.sample) == (theirs.step_ends, theirs.n_tokens, theirs.sample)
        np.testing.assert_allclose(ours.step_rewards, theirs.step_rewards, atol=1e-4)
