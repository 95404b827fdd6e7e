"""Process reward models with heads of their own: what they are given to read, where they are read, how they load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from reward_checkpoints import make_checkpoint, qwen_tokenizer, spelt
from safetensors.torch import load_file

from bonbench.reward_models import known_models
from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
from bonbench.reward_models.known_models import KnownModel
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution

PROBLEM = "What is 3 + 4, times 2?"
TEXT = "Step 1: 3 + 4 = 7.\nStep 2: 7 * 2 = 14."
QWEN = {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (2, 32), "score.2.bias": (2,)}
SKYWORK = {"v_head.summary.weight": (1, 32), "v_head.summary.bias": (1,)}


def solution(text: str = TEXT) -> Solution:
    return Solution(Problem("p", PROBLEM, "14"), Response("p", "g", 0, text, finish_reason="stop"))


def test_qwen_reads_its_tags(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "qwen", QWEN)
    model = HeadPRM(HeadPRMParams(model=folder, convention="qwen2.5-math-prm"))
    prompt = (
        "<|im_start|> system Ċ Please Ġreason Ġstep Ġby Ġstep , Ġand Ġput Ġyour Ġfinal Ġanswer Ġwithin Ġ\\ boxed {}. "
        "<|im_end|> Ċ <|im_start|> user Ċ What Ġis Ġ 3 Ġ+ Ġ 4 , Ġtimes Ġ 2 ? <|im_end|> Ċ <|im_start|> assistant Ċ"
    )
    reading = model.encode([solution()])[0]
    assert spelt(qwen_tokenizer(), reading) == (
        f"{prompt} Step Ġ 1 : Ġ 3 Ġ+ Ġ 4 Ġ= Ġ 7 . «<extra_0>» Step Ġ 2 : Ġ 7 Ġ* Ġ 2 Ġ= Ġ 1 4 . «<extra_0>» <|im_end|> Ċ"
    )
    assert reading.n_prompt == len(prompt.split())


def test_an_aggregation_of_its_own(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "qwen", QWEN)
    asked = {"model": folder, "convention": "qwen2.5-math-prm"}
    usual, mean = (HeadPRM(HeadPRMParams.model_validate(asked | more)) for more in ({}, {"aggregation": "mean"}))
    assert (usual.aggregation, mean.aggregation, HeadPRM.aggregation) == ("min", "mean", "min")
    assert usual.score([solution()]) == mean.score([solution()])
    with pytest.raises(ValidationError):
        HeadPRMParams.model_validate(asked | {"aggregation": "median"})


def test_skywork_reads_line_breaks_that_stand_alone(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "qwen", SKYWORK)
    model = HeadPRM(HeadPRMParams(model=folder, convention="skywork-o1-prm"))
    prompt = "<|endoftext|> What Ġis Ġ 3 Ġ+ Ġ 4 , Ġtimes Ġ 2 ? Ċ"
    reading, paragraphs = model.encode([solution(), solution("3 + 4\n= 7.\n\n  14.\n")])
    # In running text this tokenizer makes ".Ċ" of a full stop and a line break, as Qwen's does.
    assert ".Ċ" in qwen_tokenizer().tokenize(TEXT)
    assert spelt(qwen_tokenizer(), reading) == (
        f"{prompt} Step Ġ 1 : Ġ 3 Ġ+ Ġ 4 Ġ= Ġ 7 . «Ċ» Step Ġ 2 : Ġ 7 Ġ* Ġ 2 Ġ= Ġ 1 4 . «Ċ»"
    )
    assert reading.n_prompt == len(prompt.split())
    # A step of two lines is read at the second one's break.
    assert spelt(qwen_tokenizer(), paragraphs) == f"{prompt} 3 Ġ+ Ġ 4 Ċ = Ġ 7 . «Ċ» Ċ Ġ Ġ 1 4 . «Ċ»"


def test_what_the_rewards_are(tmp_path: Path) -> None:
    for heads, convention, score_type in (
        (QWEN, "qwen2.5-math-prm", "probability"),
        (SKYWORK, "skywork-o1-prm", "probability"),
        ({"score.weight": (2, 32), "score.bias": (2,)}, "token-classifier", "probability"),
        ({"score.weight": (1, 32), "score.bias": (1,)}, "token-classifier", "unbounded"),
    ):
        folder = tmp_path / f"{convention}-{score_type}"
        labels = {"num_labels": heads["score.bias"][0]} if "score.bias" in heads else {}
        make_checkpoint(folder, "qwen", heads, **labels)  # type: ignore[arg-type]
        model = HeadPRM(HeadPRMParams.model_validate({"model": str(folder), "convention": convention}))
        assert (model.reward, model.score_type, model.aggregation) == ("PRM", score_type, "min")


def test_weights_in_shards_and_in_the_old_format(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "one", "qwen", QWEN)
    params = {"convention": "qwen2.5-math-prm"}
    model = HeadPRM(HeadPRMParams.model_validate({"model": folder, **params}), "rm")
    model.reader.lm.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    qwen_tokenizer().save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 1
    old = Path(make_checkpoint(tmp_path / "old", "qwen", QWEN))
    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    expected = model.score([solution()])[0].step_rewards
    for place in ("shards", "old"):
        other = HeadPRM(HeadPRMParams.model_validate({"model": str(tmp_path / place), **params}), "rm")
        assert other.score([solution()])[0].step_rewards == pytest.approx(expected, abs=1e-6)


def test_tag_id_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_checkpoint(tmp_path, "qwen", QWEN)
    monkeypatch.setitem(
        known_models.KNOWN_MODELS, folder, KnownModel("head-prm", "qwen2.5-math-prm", {"<extra_0>": 151651})
    )
    with pytest.raises(UserError, match="of '<extra_0>', which should be 151651"):
        HeadPRM(HeadPRMParams(model=folder))


def test_too_many_labels(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "qwen", {"score.weight": (3, 32), "score.bias": (3,)}, num_labels=3)
    with pytest.raises(UserError, match="has 3 labels: one or two are expected"):
        HeadPRM(HeadPRMParams(model=folder))
