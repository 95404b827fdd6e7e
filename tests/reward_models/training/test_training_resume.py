"""Trainings killed half-way: what comes out in the end is, bit for bit, what would have come out anyway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model
from training_data import Stopped, graded_sums, stopping, trained

from bonbench.reward_models.training.checkpoints import last_checkpoint
from bonbench.reward_models.training.dealing import Dealer
from bonbench.reward_models.training.implicit import ImplicitTrainerParams
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.responses import build_rollouts
from bonbench.reward_models.training.schedule import Schedule, Steps
from harness.core.registry import find
from harness.engine.graph import Training
from harness.engine.local_executor import in_this_process
from harness.engine.training import run_training
from harness.experiment.spec import Pool, Spec
from harness.storage.trained import trained_facts


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


def test_stopped_trainings_end_in_the_same_bytes(base: str, tmp_path: Path) -> None:
    """Stopped early, half-way, and before the last of 24 steps; a checkpoint of every step, or none in 20 minutes."""
    settings = {"objective": "kto", "beta": 0.5, "lr": 1e-3, "epochs": 2, "batch_size": 8, "responses": 4}
    params = ImplicitTrainerParams(base=base, **settings)
    rollouts, _ = build_rollouts(graded_sums(base), params)
    whole = Job("implicit", params, rollouts, base, tmp_path / "whole")
    facts, steps = trained(whole)
    assert facts.extra["steps"] == 24
    assert not list((whole.output / CHECKPOINTS).glob("checkpoint-*"))
    often = params.model_copy(update={"checkpoint_minutes": 0.0})
    pieces = Steps(
        rollouts,
        Schedule.of(rollouts, params, params.epochs).batches,
        np.zeros(96),
        Dealer(1, params.max_batch_tokens),
        0,
    )
    made = np.cumsum([len(pieces[i]["micro"]) for i in range(24)]).tolist()
    for stop in (1, 13, 23):
        job = Job("implicit", often, rollouts, base, tmp_path / str(stop))
        with pytest.raises(Stopped):
            trained(stopping(job, made[stop - 1]))
        (checkpoint,) = (job.output / CHECKPOINTS).glob("checkpoint-*")
        assert checkpoint.name == f"checkpoint-{stop}"
        # What is left to do has no more micro-batches than that.
        same, rows = trained(stopping(job, made[-1] - made[stop - 1]))
        for file in ("model.safetensors", "history.jsonl"):
            assert (job.output / file).read_bytes() == (whole.output / file).read_bytes()
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
