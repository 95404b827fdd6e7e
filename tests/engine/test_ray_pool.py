"""Replicas that do not start, that a device broke, or that fail what others can do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from on_ray import launcher, room

from harness.core.errors import UserError
from harness.core.params import ComponentParams
from harness.core.stages import Task
from harness.core.workers import Progress, Workers
from harness.engine import ray_pool
from harness.engine.executor import Machine, ShardFailed, StageFailed
from harness.engine.progress import Board
from harness.engine.ray_actors import Actors
from harness.engine.ray_executor import start_ray
from harness.engine.ray_pool import ActorPool
from harness.engine.ray_room import free_on_ray, waiting_for_room
from harness.experiment.spec import Pool, Spec

pytestmark = [pytest.mark.ray]


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    start_ray(None)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "START_PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(ray_pool, "TRANSIENT_PAUSES_S", (0.01,) * 3)


def run(behaviour: str, marks: Path, shards: int, replicas: int) -> list[Any]:
    """What shards give on a pool of actors of a behaviour: (shard, number of the process), or an error.

    Processes are numbered from 0 in the order in which they built their component.
    """

    class Cheap:
        """Pickled by value, so that its process need not find this file."""

        def __init__(self, gpus: float) -> None:
            self.number = -1

        def build(self, kind: str, type_: str, params: dict[str, Any], name: str) -> Any:
            from harness.engine.worker import NotBuilt

            folder, self.behaviour = Path(name), type_
            while True:
                self.number += 1
                try:
                    (folder / f"built-{self.number}").touch(exist_ok=False)
                    break
                except FileExistsError:
                    continue
            if type_ == "only the first starts" and self.number > 0:
                return NotBuilt("OSError: no token on this node")
            if type_ == "none starts":
                return NotBuilt("OSError: weights are truncated")
            if type_ == "a mistake":
                return NotBuilt("m cannot be loaded", is_mistake=True)
            if type_ == "starts late" and self.number < 2:
                return NotBuilt("429", is_mistake=True, is_transient=True)
            return None

        def run(self, task: str, payload: dict[str, Any], ticket: int) -> Any:
            if self.behaviour == "the first fails" and self.number == 0:
                raise ValueError("not here")
            if self.behaviour == "the first is broken" and self.number == 0:
                raise RuntimeError("CUDA error: device-side assert triggered")
            if self.behaviour == "the first has no memory" and self.number == 0:
                raise MemoryError("one sequence does not fit")
            if self.behaviour == "all fail":
                raise ValueError(f"not in {self.number}")
            return payload["shard"], self.number

    async def all_shards() -> list[Any]:
        spec = Spec("reward_models", str(marks), behaviour, ComponentParams(), Pool(num_cpus=0), "reward_models.m")
        with Board() as board:
            line, places = board.line("score m", shards, "responses"), room()
            pool = ActorPool(spec, replicas, places, 0, line, Actors(places, Cheap))
            async with pool:
                if replicas > 1:  # or the first would be done before the others start
                    while pool._joining:
                        await asyncio.wait(pool._joining)
                tries = (pool.run(Task.SCORE, lambda i=i: {"shard": i}, 1) for i in range(shards))
                return await asyncio.gather(*tries, return_exceptions=True)

    return asyncio.run(all_shards())


def test_a_replica_that_does_not_start_takes_no_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("only the first starts", tmp_path, shards=6, replicas=2) == [(i, 0) for i in range(6)]
    assert len(list(tmp_path.iterdir())) == 1 + 3, "it was tried three times"
    assert capsys.readouterr().err == (
        "score m: a replica does not start and is left out: OSError: no token on this node\n"
    )


@pytest.mark.parametrize(
    ("behaviour", "error", "says", "tries"),
    [
        ("none starts", StageFailed, "OSError: weights are truncated", 3),
        ("a mistake", UserError, "reward_models.m: m cannot be loaded", 1),
    ],
)
def test_where_none_starts_the_stage_fails(
    behaviour: str, error: type[Exception], says: str, tries: int, tmp_path: Path
) -> None:
    given = run(behaviour, tmp_path, shards=2, replicas=1)
    assert [(type(e), str(e)) for e in given] == [(error, says)] * 2
    assert len(list(tmp_path.iterdir())) == tries


def test_what_passes_by_itself_is_waited_for(tmp_path: Path) -> None:
    assert run("starts late", tmp_path, shards=1, replicas=1) == [(0, 2)]


def test_a_shard_that_failed_meets_another_replica(tmp_path: Path) -> None:
    assert run("the first fails", tmp_path, shards=5, replicas=2) == [(i, 1) for i in range(5)]


def test_a_shard_that_always_fails_is_given_back(tmp_path: Path) -> None:
    (failed,) = run("all fail", tmp_path, shards=1, replicas=2)
    assert isinstance(failed, ShardFailed) and str(failed).startswith("ValueError: not in")


@pytest.mark.parametrize("behaviour", ["the first is broken", "the first has no memory"])
def test_a_process_that_is_of_no_use_any_more_is_replaced(behaviour: str, tmp_path: Path) -> None:
    assert run(behaviour, tmp_path, shards=3, replicas=1) == [(i, 1) for i in range(3)]


def run_several(behaviour: str, marks: Path, shards: int, replicas: int) -> list[Any]:
    """What shards of 4 responses give, of which 24 keep a replica busy: (shard, process)."""

    class Several:
        """As above, but with several shards at a time."""

        def __init__(self, gpus: float) -> None:
            import threading

            from harness.engine.in_flight import InFlight

            self.in_flight, self.changed = InFlight(), threading.Condition()
            self.number, self.begun, self.now = 0, 0, 0

        def build(self, kind: str, type_: str, params: dict[str, Any], name: str) -> None:
            self.folder, self.behaviour = Path(name), type_
            while (mark := self.folder / f"built-{self.number}").exists():
                self.number += 1
            mark.touch()

        def run(self, task: str, payload: dict[str, Any], ticket: int) -> Any:
            from harness.core.shard_progress import report

            with self.in_flight.shard(ticket), self.changed:
                self.begun, self.now = self.begun + 1, self.now + 1
                self.changed.notify_all()
                try:
                    report(0, 4)
                    return self.compute(payload["shard"])
                finally:
                    self.now -= 1
                    self.changed.notify_all()

        def compute(self, shard: int) -> Any:
            def wait(until: Any) -> None:
                deadline = time.monotonic() + 60
                while not until():
                    assert time.monotonic() < deadline, "the others did not come"
                    self.changed.wait(0.02)

            match self.behaviour:
                case "six come":
                    wait(lambda: self.begun >= 6)
                    if shard == 3:
                        raise ValueError("not this one")
                case "four come to each":
                    (self.folder / f"begun-{self.number}-{self.begun}").touch()
                    wait(lambda: all((self.folder / f"begun-{n}-4").exists() for n in (0, 1)))
                case "one kills":
                    if self.number < 2:
                        wait(lambda: self.begun >= 4)
                    if shard == 2:
                        os._exit(1)
                    wait(lambda: self.now == 1)
            return shard, self.number

        def watch(self, ticket: int, had_room: bool) -> Any:
            return self.in_flight.watch(ticket, had_room, 24)

    async def all_shards() -> list[Any]:
        spec = Spec("reward_models", str(marks), behaviour, ComponentParams(), Pool(num_cpus=0), "reward_models.m")
        with Board() as board:
            line, places = board.line("score m", 4 * shards, "responses"), room()
            async with ActorPool(spec, replicas, places, 0, line, Actors(places, Several), at_once=16) as pool:
                tries = (pool.run(Task.SCORE, lambda i=i: {"shard": i}, 4) for i in range(shards))
                return await asyncio.gather(*tries, return_exceptions=True)

    return asyncio.run(all_shards())


def test_a_replica_has_as_many_shards_as_keep_it_busy_and_one_fails_alone(tmp_path: Path) -> None:
    given = run_several("six come", tmp_path, shards=8, replicas=1)
    failed = given.pop(3)
    assert isinstance(failed, ShardFailed) and str(failed).startswith("ValueError: not this one")
    assert given == [(i, 0) for i in (0, 1, 2, 4, 5, 6, 7)]
    assert len(list(tmp_path.iterdir())) == 1


def test_no_shard_is_given_up_for_one_that_kills_their_process(tmp_path: Path) -> None:
    """It kills the first two processes with all four in them. In the third each is alone, or the others would wait for
    ever."""
    given = run_several("one kills", tmp_path, shards=4, replicas=1)
    assert isinstance(given[2], ShardFailed)
    assert [given[i][0] for i in (0, 1, 3)] == [0, 1, 3] and {given[i][1] for i in (0, 1, 3)} <= {2, 3}


def test_a_replica_that_loads_finds_its_share_of_the_shards(tmp_path: Path) -> None:
    """Shards end when each process has four: the first to load may not take more, though it has room for six."""
    given = run_several("four come to each", tmp_path, shards=8, replicas=2)
    assert sorted(number for _, number in given) == [0] * 4 + [1] * 4


@pytest.mark.thorough
def test_a_process_goes_on_with_the_next_stage(capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, each with a component of its own: half of the CPUs, as much again, again after a failure,
    then all CPUs; and the last once more, with the same component."""

    class Process:
        def __init__(self, gpus: float) -> None:
            self.components = 0

        def build(self, *_: object) -> None:
            self.components += 1

        def drop(self) -> None:
            """The component goes; the count stays."""

        def run(self, task: str, payload: dict[str, Any], ticket: int) -> Any:
            if payload["fails"]:
                raise ValueError("not here")
            return os.getpid(), self.components

    cpus = ray.cluster_resources()["CPU"]
    places = room(cpus)
    actors = Actors(places, Process)

    async def stage(num_cpus: float, type_: str, fails: bool = False, is_shared: bool = True) -> Any:
        spec = Spec("reward_models", "m", type_, ComponentParams(), Pool(num_cpus=num_cpus), "reward_models.m")
        with Board() as board:
            line = board.line("score m", 1, "responses")
            async with ActorPool(spec, 1, places, 0, line, actors, is_shared) as pool:
                (done,) = await asyncio.gather(
                    pool.run(Task.SCORE, lambda: {"fails": fails}, 1), return_exceptions=True
                )
                return done

    half = cpus / 2
    asked: list[Any] = [(half, "a"), (half, "b"), (half, "c", True), (half, "d", False, False), (half, "e")]

    async def stages() -> list[Any]:
        return [await stage(*one) for one in [*asked, (cpus, "f", False, False), (cpus, "f", False, False)]]

    first, second, failed, new, newer, whole, same = asyncio.run(stages())
    assert second == (first[0], 2)
    assert same[0] == whole[0], "though it is not shared with other components"
    assert capsys.readouterr().err.count("goes on with what a stage before it had loaded") == 1
    assert isinstance(failed, ShardFailed)
    pids = [first[0], new[0], newer[0], whole[0]]
    assert len(set(pids)) == 4 and [one[1] for one in (new, newer, whole)] == [1, 1, 1]


def test_a_replica_without_a_shard_makes_room(tmp_path: Path) -> None:
    """While the last of two shards is computed, another stage gets what the other of two replicas held."""

    class Patient:
        def __init__(self, gpus: float) -> None: ...

        def build(self, *_: object) -> None: ...

        def run(self, task: str, payload: dict[str, Any], ticket: int) -> Any:
            while payload["shard"] and not Path(payload["until"]).exists():
                time.sleep(0.01)
            return payload["shard"]

    async def shards() -> list[Any]:
        spec = Spec("reward_models", "m", "length", ComponentParams(), Pool(num_cpus=0.1), "reward_models.m")
        with Board() as board:
            line, places = board.line("score m", 2, "responses"), room(0.2)
            async with ActorPool(spec, 2, places, 0, line, Actors(places, Patient), False, 2) as pool:
                payloads = [{"shard": i, "until": str(tmp_path / "go")} for i in range(2)]
                both = asyncio.gather(*(pool.run(Task.SCORE, lambda p=p: p, 1) for p in payloads))
                await asyncio.wait_for(places.take(1, 0.1, 0), 300)
                (tmp_path / "go").touch()
                return await both

    assert asyncio.run(shards()) == [0, 1]


@pytest.mark.thorough
def test_a_lone_worker_of_a_training_that_its_device_broke_starts_again(tmp_path: Path) -> None:
    def work(job: int, progress: Progress) -> int:
        tries = len(list(tmp_path.glob("try-*")))
        (tmp_path / f"try-{tries}").touch()
        if tries < 2:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return job + tries

    assert launcher()(work, 5, Workers(), tmp_path / "scratch", lambda *_: None) == 7


def test_lone_workers_of_trainings_and_stages_share_processes(tmp_path: Path) -> None:
    """Two trainings, a stage, a training that fails, and one after it."""
    actors = Actors(places := room())

    def work(fails: bool, progress: Progress) -> int:
        if fails:
            raise ValueError("not here")
        return os.getpid()

    def train(fails: bool = False, are_shared: bool = True) -> int:
        launch = launcher(are_shared, actors)
        return launch(work, fails, Workers(), tmp_path / "scratch", lambda *_: None)

    async def stage() -> None:
        spec = Spec("reward_models", "m", "length", ComponentParams(), Pool(), "reward_models.m")
        with Board() as board:
            async with ActorPool(spec, 1, places, 0, board.line("score m", 1, ""), actors, True) as pool:
                while pool._joining:
                    await asyncio.wait(pool._joining)
        await asyncio.gather(*actors._tasks)

    first, second = train(), train()
    asyncio.run(stage())
    third = train()
    with pytest.raises(ValueError, match="not here"):
        train(fails=True)
    fourth, fifth = train(are_shared=False), train()
    for actor in actors._idle[1]:
        ray.kill(actor)
    assert first == second == third
    assert len({third, fourth, fifth}) == 3


@pytest.mark.parametrize(
    ("asked", "free", "says"),
    [
        ((1, 0), (1, 0), "its turn"),
        ((1, 0), (0, 0), "waiting for 1 CPU; 0 CPUs free"),
        ((1, 0.5), (4, 0), "waiting for 1 CPU and 0.5 GPUs; 4 CPUs and 0 GPUs free"),
        ((0, 0), (0, 0), "its turn"),
    ],
)
def test_what_is_free_is_not_waited_for(asked: tuple[float, float], free: tuple[float, float], says: str) -> None:
    assert waiting_for_room(*asked, [Machine(*free)], "its turn") == says


def test_a_pool_without_a_place_says_what_it_waits_for() -> None:
    async def waits() -> str | None:
        cpus = ray.cluster_resources()["CPU"]
        spec = Spec("reward_models", "m", "length", ComponentParams(), Pool(num_cpus=cpus + 1), "reward_models.m")
        with Board() as board:
            line, places = board.line("score m", 1, "responses"), room()
            async with ActorPool(spec, 2, places, 0, line, Actors(places)) as pool:
                await asyncio.sleep(0)
                return pool.waits_for()

    cpus = ray.cluster_resources()["CPU"]
    deadline = time.monotonic() + 60
    while (
        sum(node.cpus for node in free_on_ray()) < cpus and time.monotonic() < deadline
    ):  # an actor of an earlier test may still be ending
        time.sleep(0.05)
    expected = f"waiting for {cpus + 1:g} CPUs; {cpus:g} CPU{'s' if cpus > 1 else ''} free"
    assert asyncio.run(waits()) == expected
