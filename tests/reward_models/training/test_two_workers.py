"""Two processes on the CPU, with the model in each and with the model sharded over both."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from tiny_models import make_model
from training_data import curve, graded_sums, stopping, trained
from transformers import AutoModelForCausalLM
from two_workers import in_two_processes

from bonbench.reward_models.training.dealing import Dealer
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.params import ImplicitTrainerParams
from bonbench.reward_models.training.responses import build_rollouts
from bonbench.reward_models.training.schedule import Schedule, Steps


def test_two_workers(tmp_path: Path) -> None:
    """They learn what one does, gradients are added up in float32, and a stopped training comes to the same bytes."""
    torch.set_num_threads(1)
    base = make_model(tmp_path / "base", width=64)

    def job(name: str, **more: object) -> Job:
        settings = {
            "objective": "dpo",
            "beta": 0.1,
            "lr": 1e-3,
            "batch_size": 16,
            "max_batch_tokens": 150,
            "epochs": 4,
            "workers": 2,
        }
        params = ImplicitTrainerParams(base=base, **{**settings, **more})
        graded = graded_sums(base, problems=12, dtype="bfloat16" if params.precision == "bfloat16" else "auto")
        return Job("implicit", params, build_rollouts(graded, params)[0], base, tmp_path / name)

    plain, sharded, again = job("plain"), job("sharded", fsdp=True), job("again", fsdp=True, checkpoint_minutes=0)
    half = job("half", fsdp=True, precision="bfloat16", max_batch_tokens=10_000, epochs=1)
    rollouts = again.rollouts
    batches = Schedule.of(rollouts, again.params, again.params.epochs).batches
    steps = Steps(rollouts, batches, None, Dealer(2, 150, True, True), 0)
    pieces = [len(steps[i]["micro"]) for i in range(len(steps))]
    stop = sum(pieces) // 2
    # The rest, and what a step had done that was not over: less than everything.
    rest = sum(pieces) - stop + max(pieces)
    assert rest < sum(pieces)
    adapted = job("adapted", fsdp=True, checkpoint_minutes=0, lora={"rank": 4}, validation=0.2)
    # Accelerate shares out all models that a process trains after the first that it has shared out.
    centred = job("centred", objective="kto", epochs=1)  # its z0 is a mean over both workers
    jobs = [
        plain,
        centred,
        sharded,
        stopping(again, stop),
        stopping(again, rest),
        half,
        stopping(adapted, stop // 2),
        adapted,
    ]
    in_two_processes(jobs, tmp_path)

    _, curve_of_one = trained(dataclasses.replace(plain, output=tmp_path / "one"))
    _, centred_of_one = trained(dataclasses.replace(centred, output=tmp_path / "one-centred"))
    for row, same in zip(curve(tmp_path / "centred"), centred_of_one, strict=True):
        assert row["loss"] == pytest.approx(same["loss"], abs=1e-4)
    for name in ("plain", "sharded", "again"):
        for row, same in zip(curve(tmp_path / name), curve_of_one, strict=True):
            assert row["loss"] == pytest.approx(same["loss"], abs=1e-4)
    weights = {
        name: AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("one", "plain", "sharded")
    }
    torch.testing.assert_close(weights["plain"], weights["one"], atol=1e-4, rtol=0)
    torch.testing.assert_close(weights["sharded"], weights["one"], atol=1e-4, rtol=0)
    for file in ("model.safetensors", "history.jsonl"):
        assert (again.output / file).read_bytes() == (sharded.output / file).read_bytes()

    left = json.loads((again.output / "left.json").read_text())
    (checkpoint,) = {name.split("/")[1] for name in left if name.startswith(f"{CHECKPOINTS}/")}
    assert sum(pieces[: int(checkpoint.removeprefix("checkpoint-"))]) <= stop
    # Every worker writes its part of the weights and of Adam's moments, once: 12 bytes a parameter.
    parts = [name for name in left if name.endswith(".distcp")]
    assert len(parts) == 4
    assert not any(name.endswith(("safetensors", "model_fsdp.bin", "optimizer.bin")) for name in left)
    assert not list((sharded.output / CHECKPOINTS).glob("checkpoint-*"))  # it took less than 20 minutes

    assert curve(half.output)[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    # Of one micro-batch, whose outputs and gradients nothing else is added to.
    assert json.loads((half.output / "rounded.json").read_text()) == {"outputs": False, "gradients": False}

    # With adapters the weights' part is small.
    sizes = [_of_parts(json.loads((one.output / "left.json").read_text())) for one in (adapted, again)]
    assert sizes[0] < sizes[1] / 2
    _, seen_by_one = trained(dataclasses.replace(adapted, output=tmp_path / "adapted by one"))
    for row, same in zip(curve(adapted.output), seen_by_one, strict=True):
        assert row == pytest.approx(same, abs=2e-3)
    weights = [AutoModelForCausalLM.from_pretrained(tmp_path / f"adapted{by}").state_dict() for by in ("", " by one")]
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=0)


def _of_parts(sizes: dict[str, int]) -> int:
    return sum(size for name, size in sizes.items() if name.endswith(".distcp"))
