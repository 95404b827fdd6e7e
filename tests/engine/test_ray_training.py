"""The workers of a training on Ray, when something dies beneath them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from chaos import actors_below
from on_ray import launcher

from harness.core.workers import Progress, Workers
from harness.engine.ray_executor import start_ray

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.thorough]

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
