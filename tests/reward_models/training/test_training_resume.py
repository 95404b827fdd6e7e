"""Trainings killed half-way: what comes out in the end is, bit for bit, what would have come out anyway."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from tiny_models import make_model
from train_sums import parameters
from training_data import curve, graded_sums, trained

from bonbench.reward_models.training.checkpoints import last_checkpoint
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.responses import build_rollouts
from harness.core.registry import find
from harness.engine.graph import Training
from harness.engine.local_executor import in_this_process
from harness.engine.training import run_training
from harness.experiment.spec import Pool, Spec
from harness.storage.trained import trained_facts

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def undisturbed(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed")
    rollouts, _ = build_rollouts(graded_sums(base), parameters(base))
    trained(Job("implicit", parameters(base), rollouts, base, output))
    return output


def start(base: str, output: Path) -> subprocess.Popen[str]:
    output.mkdir(exist_ok=True)
    command = [sys.executable, str(TESTS / "train_sums.py"), base, str(output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def reports(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """(done, total) from the program's output, between which Ray may say that a worker died."""
    for line in lines:
        if line.startswith("step "):
            _, done, total = line.split()
            yield int(done), int(total)


def wait_for_step(process: subprocess.Popen[str], step: int) -> None:
    """Until the training reports that it is there."""
    assert process.stdout is not None
    for done, total in reports(process.stdout):
        assert done < total, "the training was over before it could be disturbed"
        if done >= step:
            return
    raise AssertionError(process.stderr and process.stderr.read())


def test_killed_training(base: str, undisturbed: Path, tmp_path: Path) -> None:
    """First its worker is killed, which Ray Train replaces; then the driver, and the training is run again."""
    output = tmp_path / "out"
    process = start(base, output)
    wait_for_step(process, 20)
    below = psutil.Process(process.pid).children(recursive=True)
    (worker,) = [p for p in below if p.cmdline()[:1] and p.cmdline()[0].startswith("ray::_Process")]
    worker.kill()
    wait_for_step(process, 60)
    process.kill()
    process.communicate()

    resumed_at = last_checkpoint(output / CHECKPOINTS)
    assert resumed_at is not None
    process = start(base, output)
    stdout, stderr = process.communicate(timeout=400)
    assert process.returncode == 0, stderr
    first_report, _ = next(reports(stdout.splitlines()))
    assert first_report > int(resumed_at.name.split("-")[1])
    weights = [(folder / "model.safetensors").read_bytes() for folder in (undisturbed, output)]
    assert weights[0] == weights[1]
    assert curve(output) == curve(undisturbed)
    assert not (output / CHECKPOINTS).exists()


def test_resumed_from_every_checkpoint(base: str, tmp_path: Path) -> None:
    """The last step has none: what is left then would be a training of no steps."""
    params = parameters(base).model_copy(update={"epochs": 2, "checkpoint_steps": 8})
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
        assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
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
