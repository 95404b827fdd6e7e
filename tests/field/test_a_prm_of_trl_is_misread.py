"""A process reward model that TRL's PRMTrainer has trained gives rewards that mean nothing.

It knows problem, steps and a separator after each step, tokenised each by itself, and no chat template.

Reports: QwenLM/ProcessBench#12, huggingface/search-and-learn#45, CJReinforce/PURE#18.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from reward_checkpoints import make_checkpoint
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerBase

from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution

PROBLEM = "What is 3 + 4, times 2?"
STEPS = ["Step 1: 3 + 4 = 7.", "Step 2: 7 * 2 = 14."]


def by_hand(tokenizer: PreTrainedTokenizerBase, separator: str) -> tuple[list[int], list[int]]:
    """What PRMTrainer's data are made of: token ids, and the places of the labels."""
    ids = [tokenizer.bos_token_id, *tokenizer(PROBLEM, add_special_tokens=False)["input_ids"]]
    places = []
    for step in STEPS:
        ids += tokenizer(step, add_special_tokens=False)["input_ids"]
        ids += tokenizer.encode(separator, add_special_tokens=False)
        places.append(len(ids) - 1)
    return ids, places


@pytest.mark.parametrize(
    ("family", "separator"), [("qwen", "\n"), ("qwen", "<extra_0>"), ("llama", "\n\n"), ("mistral", "\n")]
)
def test_it_reads_what_it_was_trained_on(tmp_path: Path, family: str, separator: str) -> None:
    folder = make_checkpoint(tmp_path, family, {"score.weight": (2, 32), "score.bias": (2,)}, num_labels=2)
    asked = {"model": folder, "convention": "trl"} | ({} if separator == "\n" else {"separator": separator})
    model = HeadPRM(HeadPRMParams.model_validate(asked))
    solution = Solution(Problem("p", PROBLEM, "14"), Response("p", "g", 0, "\n".join(STEPS), finish_reason="stop"))
    ids, places = by_hand(AutoTokenizer.from_pretrained(folder), separator)
    reading = model.encode([solution])[0]
    assert (reading.ids, list(reading.reads)) == (ids, places)
    plain = AutoModelForTokenClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = plain(torch.tensor([ids])).logits[0, places].softmax(-1)[:, 1].tolist()
    assert model.score([solution])[0].step_rewards == pytest.approx(expected, abs=1e-6)
    assert model.score_type == "probability"


def test_what_belongs_to_it_alone(tmp_path: Path) -> None:
    for more, complaint in (
        ({"separator": "\n\n"}, "separator: it belongs to convention: trl"),
        ({"convention": "trl", "system_prompt": "Be brief."}, "system_prompt: trl models have a prompt of their own"),
    ):
        with pytest.raises(UserError, match=complaint):
            HeadPRM.check(HeadPRMParams.model_validate({"model": "owner/name", **more}))
