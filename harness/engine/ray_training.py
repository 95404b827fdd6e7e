"""The workers of a training on a Ray cluster: one worker is an actor, several workers run under Ray Train."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from harness.core.files import replacing
from harness.core.workers import Progress, Workers
from harness.engine.failures import breaks_process
from harness.engine.progress import Reason
from harness.engine.ray_actors import Actors, hide_gpus_unless
from harness.engine.ray_room import free_on_ray, waiting_for_room

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


@dataclass(frozen=True, slots=True)
class RayLauncher:
    """A :class:`~harness.core.workers.Launcher` of workers that Ray places. Workers that die, or whose device breaks,
    are started again.

    Attributes:
        actors: a lone worker runs in one of these.
        are_shared: whether its actor may go on with something else.
        waits: told what the training waits for.
    """

    actors: Actors
    are_shared: bool = False
    waits: Callable[[Reason], None] = lambda _: None

    def __call__(
        self, work: Callable[[J, Progress], T], job: J, workers: Workers, scratch: Path, progress: Progress
    ) -> T:
        """As every launcher does.

        Raises:
            Exception: what ``work`` raised in the first worker, or that the workers died more often than they may.
        """
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        said = scratch / "progress.json"
        done: list[Any] = []

        def waits_for() -> str:
            if _placed(said).exists():
                return "its workers start, or compute"
            otherwise = "its workers start, as soon as nodes have room for each"
            return waiting_for_room(workers.cpus, workers.gpus, free_on_ray(), otherwise, workers.count)

        self.waits(waits_for)

        if workers.count > 1:  # Ray Train starts processes of its own
            self.actors.make_place()

        def run() -> None:
            try:
                done.append((self._alone if workers.count == 1 else _together)(work, job, workers, said))
            except Exception as error:
                done.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL_S)
                if (state := _read(said)) is not None:
                    progress(state["done"], state["total"], state["note"])
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        result = done[0]
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    def _alone(self, work: Callable[[J, Progress], T], job: J, workers: Workers, said: Path) -> T:
        job_, died = ray.put(job), RuntimeError("no worker was started")
        for _ in range(1 + _RESTARTS):
            _placed(said).unlink(missing_ok=True)
            actor, is_sound = self.actors.start(workers.cpus, workers.gpus), False
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
                    self.actors.end(actor, workers.cpus, workers.gpus, self.are_shared and is_sound)
        raise died


def _in_actor(work: Callable[[J, Progress], T], job: J, said: Path) -> T:
    _placed(said).touch()
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
        _placed(said).unlink(missing_ok=True)
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
                # hours: it is to try again as often as it takes.
                failure_config=FailureConfig(max_failures=_RESTARTS, controller_failure_limit=-1),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        try:
            return trainer.fit().return_value  # type: ignore[no-any-return]
        except WorkerGroupError as error:
            failure = next(iter(error.worker_failures.values()))
            cause = getattr(failure, "_base_exc", failure)
            cause.add_note(str(failure))
            raise cause from None
        except DIED as error:  # the controller, an actor that looks after the workers
            died = error
            _end_groups()
    raise died


def _end_groups() -> None:
    """End the workers that a dead controller of Ray Train has left, and give back their places: Ray does so only at
    the end of the driver, and whoever wants these CPUs would wait for ever."""
    from ray.util.placement_group import PlacementGroup, PlacementGroupID, placement_group_table, remove_placement_group

    own_job = ray.get_runtime_context().get_job_id()
    for group_id in placement_group_table():
        if group_id.endswith(own_job):  # in which nothing else has groups
            remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group_id)))


def _in_group(config: dict[str, Any]) -> Any:
    from ray.train import get_context

    hide_gpus_unless(config["gpus"])
    first = get_context().get_world_rank() == 0
    _placed(config["said"]).touch()
    return config["work"](config["job"], _reporter(config["said"]) if first else lambda *_: None)


def _placed(said: Path) -> Path:
    """The mark that workers make once they have their place."""
    return said.with_name("placed")


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
