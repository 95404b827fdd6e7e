"""What can be placed, and what both executors keep to."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import ray

from bonbench.reward_models.training.implicit import ImplicitTrainerParams
from harness.core.errors import UserError
from harness.core.params import ComponentParams
from harness.engine.executor import Machine, check_placement, replicas_of
from harness.engine.local_executor import LocalExecutor
from harness.engine.progress import Board
from harness.engine.ray_executor import RayExecutor
from harness.experiment.spec import Pool, Spec


def replica(**pool: Any) -> Spec:
    return Spec("generators", "g", "replay", ComponentParams(), Pool(**pool), "generators.g")


def training(**workers: int) -> Spec:
    params = ImplicitTrainerParams(base="b/c", **workers)  # type: ignore[arg-type]
    return Spec("trainers", "dpo", "implicit", params, Pool(), "reward_models.dpo.train")


NODES = [Machine(cpus=64, gpus=0), Machine(cpus=4, gpus=8)]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (replica(num_cpus=65), "generators.g.num_cpus: 65 wanted, no node has more than 64"),
        (replica(num_gpus=9), "generators.g.num_gpus: 9 wanted, no node has more than 8"),
        # 16 CPUs are on one node, a GPU is on the other.
        (replica(num_cpus=16, num_gpus=1), "generators.g: 16 CPUs and 1 GPUs wanted on one node, no node has both"),
        (training(cpus_per_worker=65), "train.cpus_per_worker: 65 wanted, no node has more than 64"),
        (training(workers=9, gpus_per_worker=1), "train.workers: 9 of 1 CPUs and 1 GPUs each wanted, .* room for 4$"),
        (training(workers=3, cpus_per_worker=32), "train.workers: 3 of 32 CPUs each wanted, there is room for 2$"),
    ],
)
def test_what_no_cluster_node_holds_is_refused(spec: Spec, says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_placement(spec, NODES)


@pytest.mark.parametrize(
    "spec",
    [
        replica(num_cpus=64),
        replica(num_cpus=4, num_gpus=8),
        replica(num_cpus=0, replicas=100),  # replicas wait for one another
        training(workers=4, gpus_per_worker=1),
        training(workers=2, cpus_per_worker=32),
        training(workers=68),  # 64 on the one node, 4 on the other
    ],
)
def test_what_fits_is_accepted(spec: Spec) -> None:
    check_placement(spec, NODES)


@pytest.mark.parametrize(
    ("pool", "replicas"),
    [
        ({"replicas": 3, "num_gpus": 1}, 3),
        ({"num_gpus": 1, "num_cpus": 0}, 8),
        ({"num_gpus": 1}, 4),  # the node with GPUs has four CPUs
        ({"num_gpus": 3, "num_cpus": 1}, 2),
        ({"num_cpus": 3}, 22),  # 21 on the one node, 1 on the other
        ({"num_cpus": 0}, 68),
    ],
)
def test_as_many_replicas_as_nodes_hold(pool: dict[str, Any], replicas: int) -> None:
    assert replicas_of(replica(**{"replicas": "auto", **pool}), NODES) == replicas


def test_in_one_process_there_are_no_several_workers() -> None:
    with pytest.raises(UserError, match=r"^reward_models.dpo.train.workers: 2 wanted, and --local runs in one process"):
        LocalExecutor().check(training(workers=2))


def test_a_stopped_run_does_not_wait_for_a_training() -> None:
    """Not even for one that waits for its workers' place. For threads of ``asyncio.to_thread`` its loop would wait."""
    begun, never, ended = threading.Event(), threading.Event(), threading.Event()
    guard = threading.Timer(300, never.set)  # or this test would hang where it should fail
    guard.daemon = True
    guard.start()

    def wait(launch: object) -> None:
        begun.set()
        never.wait()
        ended.set()

    async def run() -> None:
        line = Board().line("train m", 1, "steps")
        task = asyncio.create_task(RayExecutor().train(training(workers=1), 0, wait, line))
        while not begun.is_set():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(run())
    assert not ended.is_set()
    guard.cancel()
    never.set()


def test_what_a_training_raises_arrives() -> None:
    def fail(launch: object) -> None:
        raise KeyError("gone")

    for executor in (RayExecutor(), LocalExecutor()):
        with pytest.raises(KeyError, match="gone"):
            line = Board().line("train m", 1, "steps")
            asyncio.run(executor.train(training(workers=1), 0, fail, line))


def test_a_local_ray_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        raise RuntimeError("the disk is full\nand more")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UserError, match=r"^Ray does not start on this machine: .*the disk is full and more") as error:
        RayExecutor().start()
    assert "None" not in str(error.value)
    with pytest.raises(UserError, match=r"^--address auto: no Ray cluster answers there"):
        RayExecutor("auto").start()
