"""Runs shards in Ray actors, and trainings in workers that Ray places.

Only this module and ``ray_training`` import Ray. A dead actor is replaced and its shard tried again. After the last try
a shard raises :class:`~harness.engine.executor.ShardFailed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayError

from harness.core.components import Mark
from harness.core.devices import give_gpus
from harness.core.errors import UserError, one_line, shortened
from harness.core.stages import Task
from harness.core.workers import Launcher
from harness.engine.executor import Machine, ShardFailed, check_placement, workers_of
from harness.engine.ray_training import hide_gpus_unless, launch_on_ray
from harness.engine.room import Room
from harness.engine.tasks import Result
from harness.engine.worker import Worker
from harness.experiment.spec import Spec

TRIES = 3  # attempts at a shard before it is given up

T = TypeVar("T")


class RayExecutor:
    """An :class:`~harness.engine.executor.Executor` on the cluster at ``address``, or on a local one of its own."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._room = Room(_capacity)

    def start(self) -> None:
        start_ray(self._address)

    def check(self, spec: Spec[Any]) -> None:
        resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        check_placement(spec, [Machine(r.get("CPU", 0.0), r.get("GPU", 0.0)) for r in resources])

    def hides_gpus(self) -> bool:
        return bool(ray.cluster_resources().get("GPU", 0))

    def pool(self, spec: Spec[Any], shards: int, place: int) -> ActorPool:
        return ActorPool(spec, min(spec.pool.replicas, shards), self._room, place)

    async def train(self, spec: Spec[Any], place: int, training: Callable[[Launcher], T]) -> T:
        workers = workers_of(spec)
        async with self._room.hold(place, workers.count * workers.cpus, workers.count * workers.gpus):
            return await _in_thread(lambda: training(launch_on_ray))

    def close(self) -> None:
        ray.shutdown()


def _capacity() -> Machine:
    resources = ray.cluster_resources()
    return Machine(resources.get("CPU", 0.0), resources.get("GPU", 0.0))


async def _in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread that ends with the process, so that a stopped run does not wait for the thread.

    A process waits at its end for the threads of :func:`asyncio.to_thread`.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if not result.done():  # else the run was stopped
            result.set_exception(error) if error else result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = function()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, daemon=True).start()
    return await result


def start_ray(address: str | None) -> None:
    """Join the cluster at ``address``, or start a local one that stays quiet and small.

    Raises:
        UserError: where nothing answers at ``address``, or no local Ray starts.
    """
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit() and "//" not in host:
        try:  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise UserError(f"--address {address}: no Ray cluster answers there ({error})") from None
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 512 << 20}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="ERROR",
            **({} if address else local),
        )
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        if address is None:
            hint = "`--local` runs without Ray"
            raise UserError(f"Ray does not start on this machine: {hint} ({shortened(str(error))})") from None
        raise UserError(f"--address {address}: no Ray cluster answers there ({shortened(str(error))})") from None


class _Actor(Worker):
    """A component in a process of its own, which sees the GPUs that its entry asks for."""

    def __init__(self, gpus: float, *component: Any) -> None:
        hide_gpus_unless(gpus)
        give_gpus(gpus)
        super().__init__(*component)


class ActorPool:
    """Replicas of a component. Use as an async context; :meth:`run` takes a free replica, or waits for one."""

    def __init__(self, spec: Spec[Any], size: int, room: Room, place: int) -> None:
        self._spec, self._size = spec, size
        self._room, self._place = room, place
        self._free: asyncio.Queue[Any] = asyncio.Queue()
        self._actors: set[Any] = set()
        self._joining: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ActorPool:
        for _ in range(self._size):
            self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for joining in list(self._joining):
            joining.cancel()
        for actor in list(self._actors):
            await self._end(actor)

    async def _end(self, actor: Any) -> None:
        """Kill an actor, or make sure that it is dead, and give back what it held."""
        self._actors.remove(actor)
        ray.kill(actor)
        await self._room.give_back(self._spec.pool.num_cpus, self._spec.pool.num_gpus)

    def _start(self) -> None:
        """Have an actor join in the background: with a node gone, its place may stay empty until another comes."""
        joining = asyncio.create_task(self._join())
        self._joining.add(joining)
        joining.add_done_callback(self._joining.discard)

    async def _join(self) -> None:
        """Start an actor and let it take work once its component is loaded."""
        spec, pool = self._spec, self._spec.pool
        # Workers of a cluster run in a folder of their own, where a relative path means another file.
        paths = (spec.paths(Mark.MODEL) | spec.paths(Mark.DATA)).items()
        params = spec.params.model_dump() | {f: str(Path(p).resolve()) for f, p in paths if Path(p).exists()}
        await self._room.take(self._place, pool.num_cpus, pool.num_gpus)
        options = {"num_cpus": pool.num_cpus, "num_gpus": pool.num_gpus}
        actor = ray.remote(_Actor).options(**options).remote(pool.num_gpus, spec.kind, spec.type_, params, spec.name)
        self._actors.add(actor)
        with contextlib.suppress(RayError):
            await actor.__ray_ready__.remote()
        self._free.put_nowait(actor)

    async def run(self, task: Task, payload: Callable[[], Mapping[str, Any]]) -> Result:
        """Run one shard; its ``payload`` is read when an actor is free to take it.

        Raises:
            UserError: a mistake of the user's that only the component could see.
            ShardFailed: after ``TRIES`` attempts.
        """
        error: Exception | None = None
        for _ in range(TRIES):
            actor = await self._free.get()
            try:
                return await actor.run.remote(task, payload())  # type: ignore[no-any-return]
            except RayActorError as died:
                error = died
                await self._end(actor)
                actor = None
                self._start()
            except RayError as failed:
                error = failed
            finally:
                if actor is not None:
                    self._free.put_nowait(actor)
            if isinstance(cause := getattr(error, "cause", None), UserError):
                raise UserError(f"{self._spec.where}: {cause}") from None
        assert error is not None
        cause = getattr(error, "cause", None) or error
        raise ShardFailed(one_line(cause))
