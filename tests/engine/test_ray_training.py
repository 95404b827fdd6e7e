"""The workers of a training on Ray: when something dies beneath them, and several after a lone one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
from chaos import actors_below
from on_ray import launcher
from tiny_models import make_model
from training_data import graded_sums

from bonbench.reward_models.training import data as preparation
from bonbench.reward_models.training.by_shards import Place
from bonbench.reward_models.training.labelled_steps import build_steps
from bonbench.reward_models.training.params import StepTokenTrainerParams
from harness.core.errors import UserError
from harness.core.workers import Progress, Workers
from harness.engine.ray_executor import start_ray

pytestmark = [pytest.mark.ray, pytest.mark.thorough]

#: No test hangs for ever; nothing that works takes so long, however busy the machine.
_GUARD_S = 1800


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    start_ray(None)
    yield
    ray.shutdown()


def test_where_the_controller_of_ray_train_dies_its_workers_start_again(tmp_path: Path) -> None:
    def work(folder: Path, progress: Progress) -> str:  # pickled by value, so that a worker need not find this file
        (folder / f"started-{os.getpid()}").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
        return "trained"

    results: list[str | Exception] = []

    def launch() -> None:
        try:
            results.append(launcher()(work, tmp_path, Workers(2), tmp_path / "scratch", lambda *_: None))
        except Exception as error:
            results.append(error)

    launching = threading.Thread(target=launch, daemon=True)
    launching.start()
    deadline = time.monotonic() + _GUARD_S
    while len(first := list(tmp_path.glob("started-*"))) < 2:
        assert launching.is_alive() and time.monotonic() < deadline, results
        time.sleep(0.1)
    (controller,) = actors_below(os.getpid(), "TrainController")
    controller.kill()
    controller.wait(_GUARD_S)
    (tmp_path / "go").touch()
    launching.join(_GUARD_S)
    assert results == ["trained"]
    assert len(list(tmp_path.glob("started-*"))) == 2 * len(first)


def test_two_workers_encode_after_a_lone_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lone one's process, which is kept, does not take the place of one of the two. What either of the two meets
    comes out as one line."""
    data = graded_sums(None)
    launch = launcher(are_shared=True, cpus=2)
    params = StepTokenTrainerParams(base=make_model(tmp_path / "base"), workers=2)
    plain, _ = build_steps(data, params)
    for at_once in (len(data), 20):
        monkeypatch.setattr(preparation, "_AT_ONCE", at_once)
        rollouts, _ = build_steps(data, params, Place(tmp_path / f"encoded-{at_once}", lambda *_: None, launch))
        np.testing.assert_array_equal(rollouts.sequences.ids, plain.sequences.ids)
        np.testing.assert_array_equal(rollouts.sequences.starts, plain.sequences.starts)
    data[30] = replace(data[30], steps=None)  # in the second batch, which is the second worker's
    with pytest.raises(UserError, match=r"^no step labels: sample 2 of problem 'p7' has none$"):
        build_steps(data, params, Place(tmp_path / "encoded", lambda *_: None, launch))


def test_what_a_worker_raises_is_not_tried_again(tmp_path: Path) -> None:
    def work(folder: Path, progress: Progress) -> None:
        import torch
        import torch.distributed as dist

        (folder / f"started-{os.getpid()}").touch()
        if dist.get_rank() == 1:
            raise ValueError("it begins here " + 600 * "x")
        dist.all_reduce(torch.zeros(1))

    with pytest.raises(ValueError, match=r"^it begins here"):
        launcher()(work, tmp_path, Workers(2), tmp_path / "scratch", lambda *_: None)
    assert len(list(tmp_path.glob("started-*"))) == 2
