"""Outcome reward models: what they are given to read, where they are read, and mistakes; and the length control."""

from __future__ import annotations

from pathlib import Path

import pytest
from reward_checkpoints import TOKENIZERS, llama_tokenizer, make_checkpoint, mistral_tokenizer, spelt

from bonbench.reward_models.length import Length
from bonbench.reward_models.sequence_classifier import SequenceClassifier, SequenceClassifierParams
from harness.core.errors import UserError
from harness.core.params import ComponentParams
from harness.core.records import Problem, Response, Solution

PROBLEM = "What is 3 + 4, times 2?"
CHAT = (
    "<|begin_of_text|> <|start_header_id|> system <|end_header_id|> ĊĊ Cut ting ĠKnowledge ĠDate : ĠDecember Ġ 202 3 Ċ "
    "To day ĠDate : Ġ 26 ĠJul Ġ 202 4 ĊĊ <|eot_id|> <|start_header_id|> user <|end_header_id|> ĊĊ "
    "What Ġis Ġ 3 Ġ+ Ġ 4 , Ġtimes Ġ 2 ? {} <|start_header_id|> assistant <|end_header_id|> ĊĊ Step Ġ 1 : Ġ 14 . {}"
)
ARMORM = {
    "regression_layer.weight": (19, 32),
    "reward_transform_matrix": (19, 19),
    "gating.logit_scale": (1,),
    **{f"gating.layers.{i}.weight": (1024, 1024 if i else 32) for i in range(3)},
    **{f"gating.layers.{i}.bias": (1024,) for i in range(3)},
    "gating.layers.3.weight": (19, 1024),
    "gating.layers.3.bias": (19,),
}


def solution(text: str) -> Solution:
    return Solution(Problem("p", PROBLEM, "14"), Response("p", "g", 0, text, n_tokens=9, finish_reason="stop"))


def test_chat_reads_the_end_of_the_assistants_turn(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "llama", {"score.weight": (1, 32)}, num_labels=1)
    model = SequenceClassifier(SequenceClassifierParams(model=folder))
    # One BOS token, which the template writes; whitespace around contents is trimmed, as the template does.
    for text in ("Step 1: 14.", "\n Step 1: 14.  \n"):
        reading = model.encode([solution(text)])[0]
        assert spelt(llama_tokenizer(), reading) == CHAT.format("<|eot_id|>", "«<|eot_id|>»")
        assert reading.n_prompt == CHAT.split().index("assistant") + 3
    assert (model.reward, model.score_type) == ("ORM", "unbounded")


def test_armorm_is_gated_by_the_end_of_the_prompt(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "llama", ARMORM)  # its config names none of the gate's sizes
    model = SequenceClassifier(SequenceClassifierParams(model=folder, convention="armorm"))
    reading = model.encode([solution("Step 1: 14.")])[0]
    assert spelt(llama_tokenizer(), reading) == CHAT.format("«<|eot_id|>»", "«<|eot_id|>»")
    assert len(model.score([solution("Step 1: 14.")])[0].step_rewards) == 1


def test_eurus_has_no_chat_template(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "mistral", {"regression_head.weight": (1, 32)})
    model = SequenceClassifier(SequenceClassifierParams(model=folder, convention="eurus"))
    prompt = "<s> ▁ [ I N S T ] ▁ W h a t ▁ i s ▁ 3 ▁+ ▁ 4 , ▁ t i m e s ▁ 2 ? ▁ [ \\ I N S T ]"
    reading = model.encode([solution("Step 1: 14.")])[0]
    assert spelt(mistral_tokenizer(), reading) == f"{prompt} ▁Step ▁ 1 : ▁14 «.»"
    # The last token is the response's, even where it reads like padding or the end of a text.
    hostile = model.encode([solution("14</s>")])[0]
    assert spelt(mistral_tokenizer(), hostile) == f"{prompt} ▁14 < / s «>»"


def test_a_causal_lm_is_no_classifier(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "llama", {"lm_head.weight": (len(TOKENIZERS["llama"]()), 32)}, num_labels=1)
    with pytest.raises(UserError, match=r"lacks weights of LlamaForSequenceClassification: score\.weight"):
        SequenceClassifier(SequenceClassifierParams(model=folder))


def test_weights_of_another_shape(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "llama", {"score.weight": (2, 32)}, num_labels=1)
    with pytest.raises(UserError, match=r"has weights of another shape than LlamaForSeq\w+: score\.weight"):
        SequenceClassifier(SequenceClassifierParams(model=folder))


def test_one_label(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "llama", {"score.weight": (2, 32)}, num_labels=2)
    with pytest.raises(UserError, match="has 2 labels: a reward has one"):
        SequenceClassifier(SequenceClassifierParams(model=folder))


def test_length() -> None:
    records = Length(ComponentParams(), "length").score([solution("7 + 7"), solution("")])
    assert [r.step_rewards for r in records] == [(5.0,), (0.0,)]
    assert [r.step_ends for r in records] == [(5,), (0,)]
    assert records[0].n_tokens == 9
