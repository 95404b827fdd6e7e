"""Ray actor pools: one component per actor, one shard per actor at a time.

A dead actor is replaced and its shard tried again; a shard that keeps failing is given back as a
:class:`ShardFailed` for the pipeline to quarantine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from harness.core.errors import UserError
from harness.core.registry import find
from harness.engine import tasks
from harness.engine.tasks import Result
from harness.experiment.model_files import loadable
from harness.experiment.spec import Spec

TRIES = 3  # attempts at a shard before it is quarantined


class ShardFailed(Exception):
    """A shard failed ``TRIES`` times; the message is the last error, in one line."""


class Worker:
    """The actor: a component, built where it runs."""

    def __init__(self, kind: Any, type_: str, params: Mapping[str, Any], name: str) -> None:
        self._component: Any = None
        self._failure: Exception | None = None
        try:
            cls = find(kind, type_)
            self._component = cls(loadable(cls.Params.model_validate(params)), name)
        except Exception as error:  # for run() to raise: an actor that dies at birth cannot say why
            self._failure = error

    def run(self, task: str, payload: Mapping[str, Any]) -> Result:
        if self._failure is not None:
            raise self._failure
        return tasks.run(task, self._component, payload)


def start_ray(address: str | None) -> None:
    """Join the cluster at ``address``, or start a local one that stays quiet and small.

    Raises:
        UserError: where nothing answers at ``address``.
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
    except (ConnectionError, RuntimeError) as error:
        raise UserError(f"--address {address}: no Ray cluster answers there ({str(error).splitlines()[0]})") from None


def check_resources(spec: Spec) -> None:
    """Raise :class:`UserError` where no node of the cluster could ever hold one replica of ``spec``."""
    most = {"CPU": 0.0, "GPU": 0.0}
    for node in ray.nodes():
        for resource in most:
            most[resource] = max(most[resource], node["Resources"].get(resource, 0.0))
    for option, resource in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        wanted = getattr(spec.pool, option)
        if wanted > most[resource]:
            raise UserError(f"{spec.where}.{option}: {wanted:g} wanted, no node has more than {most[resource]:g}")


class ActorPool:
    """Replicas of a component. Use as an async context; :meth:`run` takes a free replica, or waits for one."""

    def __init__(self, spec: Spec, most: int) -> None:
        self._spec = spec
        self._size = min(spec.pool.replicas, most)
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
        for actor in self._actors:
            ray.kill(actor)
        self._actors.clear()

    def _start(self) -> None:
        """Have an actor join in the background: with a node gone, its place may stay empty until another comes."""
        joining = asyncio.create_task(self._join())
        self._joining.add(joining)
        joining.add_done_callback(self._joining.discard)

    async def _join(self) -> None:
        """Start an actor and let it take work once its component is loaded."""
        spec, pool = self._spec, self._spec.pool
        # Workers of a cluster run in a folder of their own, where a relative path means another file.
        paths = (spec.paths("model") | spec.paths("data")).items()
        params = spec.params.model_dump() | {f: str(Path(p).resolve()) for f, p in paths if Path(p).exists()}
        options = {"num_cpus": pool.num_cpus, "num_gpus": pool.num_gpus}
        actor = ray.remote(Worker).options(**options).remote(spec.kind, spec.type_, params, spec.name)
        self._actors.add(actor)
        with contextlib.suppress(RayError):
            await actor.__ray_ready__.remote()
        self._free.put_nowait(actor)

    async def run(self, task: str, payload: Callable[[], Mapping[str, Any]]) -> Result:
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
                self._actors.discard(actor)
                ray.kill(actor)
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
        raise ShardFailed(f"{type(cause).__name__}: {' '.join(str(cause).split())[-400:]}")
