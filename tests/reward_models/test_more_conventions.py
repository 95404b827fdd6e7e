"""Public reward models of 2024 and 2025: what they are given to read, where, and that a plain computation agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from reward_checkpoints import TOKENIZERS, make_checkpoint, spelt
from safetensors.torch import load_file
from torch.nn.functional import linear
from transformers import AutoModel

from bonbench.reward_models.known_models import KNOWN_IMPLICIT, KNOWN_MODELS, NOT_RUN_HERE
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution
from harness.core.registry import find
from harness.cost_model.known_models import model_sizes

PROBLEM = "What is 3 + 4, times 2?"
TEXT = "Step 1: 14.\nStep 2: 7."
Weights = dict[str, torch.Tensor]
QWEN = (
    "<|im_start|> system Ċ Please Ġreason Ġstep Ġby Ġstep , Ġand {} Ġyour Ġfinal Ġanswer Ġwithin Ġ\\ boxed {{}}. "
    "<|im_end|> Ċ "
)
ASKED = "<|im_start|> user Ċ What Ġis Ġ 3 Ġ+ Ġ 4 , Ġtimes Ġ 2 ? <|im_end|> Ċ <|im_start|> assistant Ċ"
WHOLE = "Step Ġ 1 : Ġ 1 4 .Ċ Step Ġ 2 : Ġ 7 . <|im_end|> «Ċ»"
LLAMA = (
    "<|begin_of_text|> <|start_header_id|> system <|end_header_id|> ĊĊ Cut ting ĠKnowledge ĠDate : ĠDecember Ġ 202 3 Ċ "
    "To day ĠDate : Ġ 26 ĠJul Ġ 202 4 ĊĊ <|eot_id|> <|start_header_id|> user <|end_header_id|> ĊĊ "
    "What Ġis Ġ 3 Ġ+ Ġ 4 , Ġtimes Ġ 2 ? <|eot_id|> <|start_header_id|> assistant <|end_header_id|> ĊĊ "
)


def layered(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
    """Two linear layers with a ReLU between them."""
    inner = linear(hidden, weights["score.0.weight"], weights["score.0.bias"]).relu()
    return linear(inner, weights["score.2.weight"], weights["score.2.bias"])


@dataclass(frozen=True)
class Case:
    """A checkpoint, the tokens that it reads of TEXT, and its rewards from the hidden states at them."""

    type: str
    family: str
    heads: dict[str, tuple[int, ...]]
    tokens: str
    rewards: Callable[[torch.Tensor, Weights], torch.Tensor]
    config: dict[str, Any] = field(default_factory=dict)


HEAD = {"score.0.weight": (32, 32), "score.0.bias": (32,)}
CASES = {
    "reasonflux-prm": Case(
        "head-prm",
        "qwen",
        {**HEAD, "score.2.weight": (2, 32), "score.2.bias": (2,)},
        f"{ASKED} Step Ġ 1 : Ġ 1 4 . «<extra_0>» Step Ġ 2 : Ġ 7 . «<extra_0>» <|im_end|> Ċ",
        lambda hidden, weights: layered(hidden, weights).softmax(dim=-1)[:, 1],
    ),
    "qwen2.5-math-rm": Case(
        "sequence-classifier",
        "qwen",
        {**HEAD, "score.2.weight": (1, 32), "score.2.bias": (1,)},
        f"{QWEN.format('Ġput')}{ASKED} {WHOLE}",
        lambda hidden, weights: layered(hidden, weights)[:, 0],
    ),
    "acemath": Case(
        "sequence-classifier",
        "qwen",
        {"score.weight": (1, 32)},
        f"{QWEN.format('Ġ c h e c k')}{ASKED} {WHOLE}",
        lambda hidden, weights: linear(hidden, weights["score.weight"])[:, 0],
        {"num_labels": 1},
    ),
    "nemotron": Case(
        "sequence-classifier",
        "llama",
        {"lm_head.weight": (len(TOKENIZERS["llama"]()), 32)},
        f"{LLAMA}Step Ġ 1 : Ġ 14 .Ċ Step Ġ 2 : Ġ 7 . «<|eot_id|>»",
        lambda hidden, weights: linear(hidden, weights["lm_head.weight"])[:, 0],
    ),
}


@torch.inference_mode()
@pytest.mark.parametrize("convention", list(CASES))
def test_tokens_and_rewards(convention: str, tmp_path: Path) -> None:
    case = CASES[convention]
    folder = make_checkpoint(tmp_path, case.family, case.heads, seed=5, **case.config)
    cls: Any = find("reward_models", case.type)
    model = cls(cls.Params.model_validate({"model": folder, "convention": convention}), "rm")
    solution = Solution(Problem("p", PROBLEM, "14"), Response("p", "g", 0, TEXT, finish_reason="stop"))
    (reading,) = model.encode([solution])
    assert spelt(TOKENIZERS[case.family](), reading) == case.tokens
    body = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    hidden = body(input_ids=torch.tensor([reading.ids])).last_hidden_state[0]
    expected = case.rewards(hidden[list(reading.reads)], load_file(tmp_path / "model.safetensors")).tolist()
    (record,) = model.score([solution])
    assert record.step_rewards == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == len(expected)


def test_every_known_model_has_a_convention_of_its_family() -> None:
    for name, known in KNOWN_MODELS.items():
        assert known.convention in find("reward_models", known.family).conventions, name  # type: ignore[attr-defined]
    assert not KNOWN_MODELS.keys() & NOT_RUN_HERE.keys()


def test_what_is_not_run_here_goes_behind_a_server() -> None:
    cls: Any = find("reward_models", "sequence-classifier")
    with pytest.raises(UserError, match="its repository, which is not run; a server of yours may: type: remote"):
        cls.check(cls.Params(model="internlm/internlm2-7b-reward"))


def test_a_plan_knows_the_size_of_every_known_model() -> None:
    assert not [name for name in (*KNOWN_MODELS, *KNOWN_IMPLICIT) if model_sizes(name) is None]
