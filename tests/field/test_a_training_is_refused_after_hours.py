"""Hours of rollouts and passes, and then a training finds that it could never have begun.

Bases that lack weights: OpenRLHF/OpenRLHF#209, OptimalScale/LMFlow#561. Nothing to learn from:
hiyouga/LlamaFactory#3325. What no node has is in tests/engine (ray-project/ray#29940, ray-project/ray#23395).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runs import bonbench
from tiny_models import make_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bonbench.reward_models.training.autopsv import AutoPSVTrainer
from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.outcome import OutcomeTrainer
from bonbench.reward_models.training.rollout_trainer import RolloutTrainer
from bonbench.reward_models.training.step_token import StepTokenTrainer
from harness.core.errors import UserError

TRAINERS: dict[str, type[RolloutTrainer[Any]]] = {
    "implicit": ImplicitTrainer,
    "outcome": OutcomeTrainer,
    "step-token": StepTokenTrainer,
    "value": AutoPSVTrainer,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_model(tmp_path_factory.mktemp("base")))


def rehearse(trainer: str, base: Path, **more: object) -> None:
    cls = TRAINERS[trainer]
    cls.rehearse(cls.Params.model_validate({"base": str(base), **more}))


def cut(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def narrower(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 8}))


def half_an_index(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    files = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


DAMAGES = {
    cut: "cannot be loaded",
    pointer: "cannot be loaded",
    half_an_index: "cannot be loaded|lacks weights",
    no_template: "chat template",
    narrower: "has weights of another shape",
}


@pytest.mark.parametrize(
    ("trainer", "damage", "complaint"),
    [
        *(("outcome", damage, complaint) for damage, complaint in DAMAGES.items()),
        *((trainer, narrower, DAMAGES[narrower]) for trainer in TRAINERS if trainer != "outcome"),
    ],
)
def test_a_base_that_cannot_be_trained_is_refused_at_the_start(
    base: Path, tmp_path: Path, trainer: str, damage: Callable[[Path], None], complaint: str
) -> None:
    folder = shutil.copytree(base, tmp_path / "m")
    rehearse(trainer, folder)
    damage(folder)
    with pytest.raises(UserError, match=complaint):
        rehearse(trainer, folder)
    if trainer == "implicit":
        with pytest.raises(UserError, match=complaint):
            rehearse(trainer, base, reference=str(folder))


def test_only_the_head_that_a_training_puts_on_may_be_missing(base: Path, tmp_path: Path) -> None:
    classifier = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    classifier.save_pretrained(tmp_path / "orm")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "orm")
    for trainer in ("outcome", "value"):
        rehearse(trainer, tmp_path / "orm")
    for trainer in ("implicit", "step-token"):
        with pytest.raises(UserError, match=r"orm lacks weights of LlamaForCausalLM: lm_head\.weight"):
            rehearse(trainer, tmp_path / "orm")


def test_adapters_for_no_layer_are_refused_at_the_start(base: Path) -> None:
    for lora, complaint in {"nothing": "not found", "lm_head": "output head"}.items():
        with pytest.raises(UserError, match=rf"^lora: targets: .*{complaint}"):
            rehearse("implicit", base, lora={"targets": [lora]})


RIGHT, WRONG, MIXED = [True] * 4, [False] * 4, [True, False] * 2


@pytest.mark.parametrize(
    ("trainer", "params", "correct", "complaint"),
    [
        ("implicit", {"objective": "dpo"}, {"a": RIGHT, "b": WRONG}, "no pair to train on: none of the 2 problems"),
        ("implicit", {"objective": "ce"}, {"a": RIGHT, "b": WRONG}, None),
        ("implicit", {"objective": "kto"}, {"a": RIGHT, "b": RIGHT}, "all 8 responses to train on are right"),
        ("implicit", {"objective": "ce", "level": "step"}, {"a": RIGHT}, None),  # completions may fail
        ("outcome", {}, {"a": WRONG}, "all 4 responses to train on are wrong"),
        ("outcome", {"objective": "bradley-terry"}, {"a": WRONG, "b": RIGHT}, "no pair to train on"),
        ("value", {}, {"a": RIGHT}, "all 4 responses to train on are right"),
        ("outcome", {}, {}, "nothing to train on: no response"),
        ("outcome", {"validation": 0.1}, {"a": MIXED}, "validation: all of the 1 problems are kept apart"),
        ("step-token", {"validation": 0.1}, {"a": RIGHT}, "validation: all of the 1 problems are kept apart"),
        ("outcome", {"validation": 0.5}, {"a": MIXED, "b": MIXED}, None),
    ],
)
def test_what_the_grades_alone_refuse(
    trainer: str, params: dict[str, object], correct: dict[str, list[bool]], complaint: str | None
) -> None:
    cls = TRAINERS[trainer]
    checked = cls.Params.model_validate({"base": "m", **params})
    if complaint is None:
        cls.check_grades(checked, correct)
        return
    with pytest.raises(UserError, match=complaint):
        cls.check_grades(checked, correct)


CONFIG = """
name: doomed
output: {folder}/out
problems: {{train: {{dataset: responses, path: {folder}/rollouts.jsonl}}}}
generators: {{theirs: {{type: replay, path: {folder}/rollouts.jsonl, evaluate: false}}}}
rollouts: {{main: {{generator: theirs, problems: train, n: 2}}}}
reward_models:
  dpo: {{type: implicit, train: {{objective: dpo, base: {base}}}}}
"""


def test_no_pass_is_computed_for_a_training_that_has_nothing_to_learn(base: Path, tmp_path: Path) -> None:
    rows = [
        {"problem_id": i, "problem": f"{i}?", "gold": "1", "samples": [{"text": "\\boxed{1}"}, {"text": "\\boxed{1}."}]}
        for i in range(3)
    ]
    (tmp_path / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "x.yaml").write_text(CONFIG.format(folder=tmp_path, base=base))
    done = bonbench("train", tmp_path / "x.yaml", "--local")
    assert done.code == 1 and "reward_models.dpo.train: no pair to train on: none of the 3 problems" in done.err
    assert not (tmp_path / "out" / "rollout-passes").exists()
    bad = bonbench("train", tmp_path / "x.yaml", "--local", "--set", "reward_models.dpo.train.lora.targets=[nothing]")
    assert bad.code == 2 and bad.err.startswith("bonbench: reward_models.dpo.train: lora: targets: ")
    assert len(bad.err.splitlines()) == 1
