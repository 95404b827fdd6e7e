"""The workers of a training on a Ray cluster: one worker is an actor, several workers run under Ray Train."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from harness.core.files import replacing
from harness.core.workers import Progress, Workers
from harness.engine.failures import breaks_process, own_failure
from harness.engine.progress import Reason
from harness.engine.ray_actors import Actors, hide_gpus_unless, node_of
from harness.engine.ray_room import TURN, free_on_ray, waiting_for_room
from harness.engine.room import Room, Seat

J = TypeVar("J")
T = TypeVar("T")

#: What says that the process of an actor is gone: it died, or Ray killed it because memory was short.
DIED = (RayActorError, OutOfMemoryError)
#: How often the workers are started again when one of them dies.
_RESTARTS = 2
#: Ray Train looks after workers every 2 s and counts its own seconds; most trainings here take few.
_RAY_TRAIN_SETTINGS = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25", "RAY_TRAIN_METRICS_ENABLED": "0"}
#: Seconds between looks at how far the workers are.
_POLL_S = 0.5


class _Mark(NamedTuple):
    """Where a worker of a training is: its node, and Ray's group of places for all workers."""

    node: str
    group: str


_groups: dict[Path, set[str]] = {}  # of the trainings that run, by the file of their progress


class Entrance:
    """Where a training, in a thread of its own, takes room for the workers that it launches.

    Args:
        loop: the event loop of the room.
        place: when it is the training's turn.
        entered: called in the loop when the first workers have been let in.
    """

    def __init__(self, room: Room, loop: asyncio.AbstractEventLoop, place: int, entered: Callable[[], None]) -> None:
        self.room, self._loop, self._place, self._entered = room, loop, place, entered

    @contextlib.contextmanager
    def seat(self, workers: Workers) -> Iterator[Seat]:
        """Wait for room for workers, which is given back at the end of the context."""
        taking = self.room.take(self._place, workers.cpus, workers.gpus, workers.count)
        seat = asyncio.run_coroutine_threadsafe(taking, self._loop).result()
        self._loop.call_soon_threadsafe(self._entered)
        try:
            yield seat
        finally:
            self._loop.call_soon_threadsafe(self.room.give_back, seat)

    def moved(self, seat: Seat, nodes: list[str]) -> None:
        """Tell the room where workers really are."""
        self._loop.call_soon_threadsafe(self.room.moved, seat, nodes)


@dataclass(frozen=True, slots=True)
class RayLauncher:
    """A :class:`~harness.core.workers.Launcher` of workers that Ray places. Workers that die, or whose device breaks,
    are started again. CPUs and GPUs are held only while there are workers.

    Attributes:
        actors: a lone worker runs in one of these.
        entrance: where workers are let in.
        are_shared: whether an actor may go on with something else.
        waits: told what the training waits for.
    """

    actors: Actors
    entrance: Entrance
    are_shared: bool = False
    waits: Callable[[Reason], None] = lambda _: None

    def __call__(
        self, work: Callable[[J, Progress], T], job: J, workers: Workers, scratch: Path, progress: Progress
    ) -> T:
        """As every launcher does.

        Raises:
            Exception: what ``work`` raised in the first worker, or that the workers died more often than they may.
        """
        size, room = (workers.cpus, workers.gpus), self.entrance.room
        self.waits(lambda: waiting_for_room(*size, room.free(), TURN, workers.count))
        with self.entrance.seat(workers) as seat:
            if workers.count > 1:  # Ray Train starts processes of its own
                self.actors.make_place()
            result = self._launch(work, job, workers, seat, scratch, progress)
        self.waits("it goes on in this process")
        return result

    def _launch(
        self, work: Callable[[J, Progress], T], job: J, workers: Workers, seat: Seat, scratch: Path, progress: Progress
    ) -> T:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        said = scratch / "progress.json"
        done: list[Any] = []

        def waits_for() -> str:
            if _marks(said):
                return "its workers start, or compute"
            otherwise = "its workers start, as soon as nodes have room for each"
            return waiting_for_room(workers.cpus, workers.gpus, free_on_ray(), otherwise, workers.count)

        self.waits(waits_for)

        def run() -> None:
            try:
                done.append(
                    self._alone(work, job, seat, said) if workers.count == 1 else _together(work, job, workers, said)
                )
            except Exception as error:
                done.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        places: list[_Mark] = []
        try:
            while thread.is_alive():
                thread.join(_POLL_S)
                if len(now := _marks(said)) == workers.count and now != places:
                    places, _groups[said] = now, {mark.group for mark in now}
                    self.entrance.moved(seat, [mark.node for mark in now])
                if (state := _read(said)) is not None:
                    progress(state["done"], state["total"], state["note"])
        finally:
            _groups.pop(said, None)
            shutil.rmtree(scratch, ignore_errors=True)
        result = done[0]
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    def _alone(self, work: Callable[[J, Progress], T], job: J, seat: Seat, said: Path) -> T:
        job_, died = ray.put(job), RuntimeError("no worker was started")
        for _ in range(1 + _RESTARTS):
            _forget_places(said)
            actor, is_sound = self.actors.start(seat), False
            try:
                result: T = ray.get(actor.train.remote(_in_actor, work, job_, said))
                is_sound = True
                return result
            except DIED as error:
                died = error
            except RayTaskError as error:
                error.cause.add_note(str(error))  # its traceback, which stays in the other process
                if not breaks_process(error.cause):
                    raise error.cause from None
                died = error.cause
            finally:
                with contextlib.suppress(RayError):
                    self.actors.end(actor, seat, self.are_shared and is_sound)
        raise died


def _in_actor(work: Callable[[J, Progress], T], job: J, said: Path) -> T:
    _mark_place(said, 0)
    return work(job, _reporter(said))


def _together(work: Callable[[J, Progress], T], job: J, workers: Workers, said: Path) -> T:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.config import LoggingConfig
    from ray.train.v2.api.exceptions import WorkerGroupError

    for variable, value in _RAY_TRAIN_SETTINGS.items():
        os.environ.setdefault(variable, value)
    died = RuntimeError("no worker was started")
    for _ in range(1 + _RESTARTS):
        _forget_places(said)
        trainer = TorchTrainer(
            _in_group,
            train_loop_config={"work": work, "job": job, "said": said, "gpus": workers.gpus},
            scaling_config=ScalingConfig(
                num_workers=workers.count,
                use_gpu=workers.gpus > 0,
                resources_per_worker={"CPU": workers.cpus, "GPU": workers.gpus},
            ),
            run_config=RunConfig(
                name="train",
                storage_path=str(said.parent),
                # Ray Train gives up on workers that wait a minute for their CPUs, which other stages may hold for
                # hours: it is to try again as often as it takes. Workers that fail are started again here, or not.
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=-1),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        try:
            return trainer.fit().return_value  # type: ignore[no-any-return]
        except WorkerGroupError as error:
            failures = [*error.worker_failures.values()]
            causes = [getattr(failure, "_base_exc", failure) for failure in failures]
            for cause, failure in zip(causes, failures, strict=True):
                cause.add_note(str(failure))
            if own := own_failure(causes):
                raise own from None
            died = causes[0]
        except DIED as error:  # the controller, an actor that looks after the workers
            died = error
            _end_group(said)
    raise died


def _end_group(said: Path) -> None:
    """End the workers that a dead controller of Ray Train has left, and give back their places: Ray does so only at
    the end of the driver, and whoever wants these CPUs would wait for ever.

    A group whose workers have not started yet is not known to be theirs. Then all such groups end: another training's
    controller makes its group anew.
    """
    from ray.util.placement_group import PlacementGroup, PlacementGroupID, placement_group_table, remove_placement_group

    own_job = ray.get_runtime_context().get_job_id()
    groups = {group for group in placement_group_table() if group.endswith(own_job)}  # only trainings have any
    own = {mark.group for mark in _marks(said)}
    others = {group for other, known in _groups.items() if other != said for group in known}
    for group in groups & own if own else groups - others:
        remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))


def _in_group(config: dict[str, Any]) -> Any:
    from ray.train import get_context

    hide_gpus_unless(config["gpus"])
    rank = get_context().get_world_rank()
    _mark_place(config["said"], rank)
    return config["work"](config["job"], _reporter(config["said"]) if rank == 0 else lambda *_: None)


def _mark_place(said: Path, rank: int) -> None:
    """Leave word of the node, and of the group of places, that this worker is on."""
    folder = said.with_name("placed")
    folder.mkdir(exist_ok=True)
    group = ray.util.get_current_placement_group()
    with replacing(folder / str(rank)) as path:
        path.write_text(f"{node_of(None)} {group.id.hex() if group else '-'}")


def _marks(said: Path) -> list[_Mark]:
    """What the workers that have their place have left."""
    with contextlib.suppress(OSError):
        files = [path for path in sorted(said.with_name("placed").glob("*")) if path.name.isdigit()]
        return [_Mark(*path.read_text().split()) for path in files]
    return []


def _forget_places(said: Path) -> None:
    shutil.rmtree(said.with_name("placed"), ignore_errors=True)


def _reporter(said: Path) -> Progress:
    """Writes the progress of the work to a file, which the driver reads."""

    def report(done: int, total: int, note: str) -> None:
        with replacing(said) as path:
            path.write_text(json.dumps({"done": done, "total": total, "note": note}))

    return report


def _read(said: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(said.read_text()))
    except (OSError, ValueError):
        return None
