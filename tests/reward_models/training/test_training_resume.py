"""Trainings killed half-way: what comes out in the end is, bit for bit, what would have come out anyway."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import make_model
from training_data import graded_sums, trained

from bonbench.reward_models.training.checkpoints import last_checkpoint
from bonbench.reward_models.training.implicit import ImplicitTrainerParams
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.responses import build_rollouts
from harness.core.registry import find
from harness.engine.graph import Training
from harness.engine.local_executor import in_this_process
from harness.engine.training import run_training
from harness.experiment.spec import Pool, Spec
from harness.storage.trained import trained_facts


def parameters(base: str) -> ImplicitTrainerParams:
    return ImplicitTrainerParams(
        base=base, objective="kto", beta=0.5, lr=1e-3, epochs=2, batch_size=8, checkpoint_steps=8, responses=4
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


def test_resumed_from_every_checkpoint(base: str, tmp_path: Path) -> None:
    """The last step has none: what is left then would be a training of no steps."""
    params = parameters(base)
    rollouts, _ = build_rollouts(graded_sums(base), params)
    whole = tmp_path / "whole"
    facts, steps = trained(Job("implicit", params, rollouts, base, whole))
    assert facts.extra["steps"] == 24
    assert sorted(p.name for p in (whole / CHECKPOINTS).glob("checkpoint-*")) == ["checkpoint-16", "checkpoint-8"]
    for checkpoint in (8, 16):
        again = tmp_path / str(checkpoint)
        name = f"{CHECKPOINTS}/checkpoint-{checkpoint}"
        shutil.copytree(whole / name, again / name)
        same, rows = trained(Job("implicit", params, rollouts, base, again))
        for file in ("model.safetensors", "history.jsonl"):
            assert (again / file).read_bytes() == (whole / file).read_bytes()
        assert (same, rows) == (facts, steps)


def test_incomplete_checkpoints_do_not_count(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step in (7, 14, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-7" / "complete").touch()
    (tmp_path / "checkpoint-14" / "complete").touch()
    last = last_checkpoint(tmp_path)
    assert last is not None
    assert last.name == "checkpoint-14"


TRAINER = """
from harness import Trainer, TrainerParams, TrainingFacts

class Stumbling(Trainer):
    class Params(TrainerParams):
        base: str = "none"

    def train(self, data, output, progress, launch):
        seen = output / "seen"
        seen.write_text(seen.read_text() + "again" if seen.exists() else "once")
        if not (output.parent / "go").exists():
            raise KeyboardInterrupt
        shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8}
        config = {"model_type": "llama", "intermediate_size": 8, **shape}
        return TrainingFacts(config, "cpu", True, train_tokens=1, train_positions=1, extra={"seen": seen.read_text()})
"""


def test_what_a_killed_run_left_is_gone_on_from(tmp_path: Path) -> None:
    """The folder of an unfinished training is handed to the next one of the same key, and to no other."""
    (tmp_path / "stumbling.py").write_text(TRAINER)
    type_ = f"{tmp_path / 'stumbling.py'}:Stumbling"
    spec = Spec("trainers", "rm", type_, find("trainers", type_).Params(), Pool(), "train")

    def training(key: str) -> Training:
        nothing: dict[str, list[Any]] = {part: [] for part in ("rollouts", "grades", "completions", "labels")}
        return Training(who="rm", spec=spec, key=key, folder=tmp_path / "rm", passes={}, **nothing)

    def run(key: str) -> None:
        run_training(training(key), tmp_path, lambda *_: None, in_this_process)

    for key in ("one", "two", "two"):
        with pytest.raises(KeyboardInterrupt):
            run(key)
    (tmp_path / "go").touch()
    run("two")
    assert trained_facts(tmp_path / "rm")["seen"] == "onceagainagain"
    run("three")
    assert trained_facts(tmp_path / "rm")["seen"] == "once"
