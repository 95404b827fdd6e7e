"""Runs shards in Ray actors, and trainings in workers that Ray places. Only the modules ``ray_*`` import Ray."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import psutil
import ray

from harness.core.errors import UserError, shortened
from harness.core.workers import Launcher
from harness.engine.executor import Machine, check_placement, replicas_of
from harness.engine.progress import Line
from harness.engine.ray_actors import Actors
from harness.engine.ray_pool import ActorPool
from harness.engine.ray_room import nodes_of_ray
from harness.engine.ray_training import Entrance, RayLauncher
from harness.engine.ray_watch import RayWatch
from harness.engine.room import Room, Seat
from harness.engine.threads import in_thread
from harness.experiment.spec import Spec

T = TypeVar("T")

#: So many trainings are prepared in this process, or are prepared and wait for room: while they wait, others compute.
_PREPARED = 2
_STARTS = 3  # how often a Ray of our own may take too long to start


class RayExecutor:
    """An :class:`~harness.engine.executor.Executor` on the cluster at ``address``, or on a local one of its own."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._room = Room(nodes_of_ray)
        self._desk = Room(lambda: {"driver": Machine(cpus=_PREPARED, gpus=0)})
        self._actors = Actors(self._room)
        self._watch = RayWatch(is_own=address is None)

    def start(self) -> None:
        start_ray(self._address)
        self._watch.start()

    def check(self, spec: Spec[Any]) -> None:
        check_placement(spec, [*nodes_of_ray().values()])

    def hides_gpus(self) -> bool:
        return bool(ray.cluster_resources().get("GPU", 0))

    def pool(self, spec: Spec[Any], shards: int, place: int, line: Line) -> ActorPool:
        size, at_once = min(replicas_of(spec, nodes_of_ray().values()), shards), spec.cls.shards_at_once
        is_shared = spec.cls.may_share_process(spec.params) and at_once == 1
        return ActorPool(spec, size, self._room, place, line, self._actors, is_shared, shards, at_once)

    async def train(self, spec: Spec[Any], place: int, training: Callable[[Launcher], T], line: Line) -> T:
        line.waits("waiting until the workers of another training, which is prepared, start")
        desk: Seat | None = await self._desk.take(place, cpus=1, gpus=0)

        def leave_desk() -> None:
            nonlocal desk
            if desk is not None:
                self._desk.give_back(desk)
                desk = None

        try:
            line.waits("its rollouts are read and prepared")
            entrance = Entrance(self._room, asyncio.get_running_loop(), place, leave_desk)
            launcher = RayLauncher(self._actors, entrance, spec.cls.may_share_process(spec.params), line.waits)
            return await in_thread(lambda: training(launcher))
        finally:
            leave_desk()

    def close(self) -> None:
        self._watch.stop()
        ray.shutdown()


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
    settings = {"address": address} if address else {"address": "local", **local}
    before = set(psutil.Process().children(recursive=True))
    for tries_left in reversed(range(_STARTS)):
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **settings)
            return
        except Exception as error:
            is_slow = type(error) is Exception  # on a busy machine Ray gives up after 30 s, and leaves its processes
            if is_slow and address is None and tries_left:
                _kill(set(psutil.Process().children(recursive=True)) - before)
                continue
            said = shortened(str(error))
        if address is None:
            raise UserError(f"Ray does not start on this machine: `--local` runs without Ray ({said})")
        token = "" if os.environ.get("RAY_AUTH_MODE") == "token" else "; if it asks for a token, set RAY_AUTH_TOKEN"
        raise UserError(f"--address {address}: no Ray cluster answers there ({said}){token}")


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
