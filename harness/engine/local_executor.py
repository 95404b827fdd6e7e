"""Runs everything in this process, one thing at a time: it starts at once, and ``breakpoint()`` works in a component.

This process is a machine with room for one actor. Stages whose actors take CPUs or GPUs follow each other, so one model
is in memory at a time. Graders, which take none, work in between.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from harness.core.devices import count_gpus, give_gpus
from harness.core.errors import UserError, one_line
from harness.core.stages import Task
from harness.core.workers import Launcher, Progress, Workers
from harness.engine.executor import Machine, ShardFailed, StageFailed, check_placement, workers_of
from harness.engine.in_flight import Intake, News
from harness.engine.progress import Line
from harness.engine.room import Room
from harness.engine.tasks import Result
from harness.engine.threads import in_thread
from harness.engine.worker import Worker
from harness.experiment.spec import Spec

_FOR_ROOM = "waiting until the stage before it is done: this process computes one thing at a time"

J = TypeVar("J")
T = TypeVar("T")


class LocalExecutor:
    """An :class:`~harness.engine.executor.Executor` that computes in this process."""

    def __init__(self) -> None:
        self._room = Room(lambda: {"here": Machine(cpus=1, gpus=0)})
        self._loaded: _LocalPool | None = None  # of the stage before, until another model needs the memory
        self._threads = os.environ.get("OMP_NUM_THREADS")

    def start(self) -> None:
        # Libraries read this variable when they are loaded. Ray sets it in the same way for an actor of one CPU.
        os.environ.setdefault("OMP_NUM_THREADS", "1")

    def check(self, spec: Spec[Any]) -> None:
        """Check that this machine has what a component asks for, and that a training has one worker.

        Raises:
            UserError: where it has not.
        """
        if spec.kind == "trainers" and (count := workers_of(spec).count) > 1:
            raise UserError(f"{spec.where}.workers: {count} wanted, and --local runs in one process: leave --local out")
        check_placement(spec, [Machine(os.cpu_count() or 1, count_gpus() if _asks_for_gpus(spec) else 0)])

    def hides_gpus(self) -> bool:
        return False

    @asynccontextmanager
    async def pool(self, spec: Spec[Any], shards: int, place: int, line: Line) -> AsyncIterator[_LocalPool]:
        if not spec.pool.holds_resources:
            yield _LocalPool(spec, self._threads, line)
            return
        line.waits(_FOR_ROOM)
        async with self._room.hold(place, cpus=1, gpus=0):
            pool = _LocalPool(spec, self._threads, line)
            if not (self._loaded and pool.goes_on_from(self._loaded)):
                self._drop()
            self._loaded = pool
            try:
                yield pool
            finally:
                pool.close()

    async def train(self, spec: Spec[Any], place: int, training: Callable[[Launcher], T], line: Line) -> T:
        line.waits(_FOR_ROOM)
        async with self._room.hold(place, cpus=1, gpus=0):
            self._drop()
            with _interruptible():
                return training(in_this_process)

    def _drop(self) -> None:
        """Free the memory of the last stage's component."""
        if self._loaded is not None:
            self._loaded.drop()
            self._loaded = None

    def close(self) -> None:
        self._drop()
        if self._threads is None:
            os.environ.pop("OMP_NUM_THREADS", None)


class _LocalPool:
    """One component, built for its first shard."""

    def __init__(self, spec: Spec[Any], threads: str | None, line: Line) -> None:
        self._spec, self._line = spec, line
        # As many threads as Ray gives to an actor of this size: the number of threads changes the last bits of sums.
        self._threads = int(threads) if threads and threads.isdigit() else max(1, int(spec.pool.num_cpus))
        self._worker: Worker | None = None
        self._at_once = spec.cls.shards_at_once
        self._entrance = asyncio.Lock()
        self._news = asyncio.Event()
        self._intake = Intake(self._at_once, self._ask, self._has_news)

    async def run(self, task: Task, payload: Callable[[], Mapping[str, Any]], n_responses: int) -> Result:
        async with self._entrance:  # in order
            while not self._intake.takes_another:
                self._news.clear()
                await self._news.wait()
            ticket = self._intake.begin(n_responses)
        try:
            return await self._compute(task, payload(), ticket)
        finally:
            self._intake.end(ticket)
            self._news.set()

    async def _compute(self, task: Task, tables: Mapping[str, Any], ticket: int) -> Result:
        try:
            with _interruptible():
                worker = self._built()
                if self._at_once == 1:
                    return worker.run(task, tables, ticket)
            return await in_thread(lambda: worker.run(task, tables, ticket))
        except StageFailed:
            raise
        except UserError as error:
            raise UserError(f"{self._spec.where}: {error}") from None
        except Exception as error:  # not tried again: in the same process it would fail again
            self._line.failed(0, traceback.format_exc())
            raise ShardFailed(one_line(error)) from error

    def _built(self) -> Worker:
        if self._worker is None:
            spec, worker = self._spec, Worker()
            give_gpus(spec.pool.num_gpus)
            if failure := worker.build(spec.kind, spec.type_, spec.loads.model_dump(), spec.name):
                self._line.failed(0, failure.traceback)
                raise UserError(failure.message) if failure.is_mistake else StageFailed(failure.message)
            self._worker = worker
        _set_torch_threads(self._threads)
        return self._worker

    async def _ask(self, ticket: int, had_room: bool) -> News | None:
        worker = self._worker
        return None if worker is None else await in_thread(lambda: worker.watch(ticket, had_room))

    def _has_news(self) -> None:
        self._line.under_way(self._intake.responses_done)
        self._news.set()

    def waits_for(self) -> str | None:
        return self._intake.state

    def close(self) -> None:
        """Its stage is over. The component stays."""
        self._intake.close()

    def drop(self) -> None:
        """Free the component's memory."""
        if self._worker is not None:
            self._worker.drop()
            self._worker = None

    def goes_on_from(self, other: _LocalPool) -> bool:
        """Take over what another pool has loaded, if that is the same component; whether it is."""
        same = self._spec.component == other._spec.component
        if same and other._worker is not None:
            spec, self._worker, other._worker = self._spec, other._worker, None
            self._worker.build(spec.kind, spec.type_, spec.loads.model_dump(), spec.name)
        return same


def in_this_process(work: Callable[[J, Progress], T], job: J, workers: Workers, scratch: Path, progress: Progress) -> T:
    """A :class:`~harness.core.components.Launcher` that calls ``work`` itself."""
    assert workers.count == 1, "checked before"
    return work(job, progress)


def _asks_for_gpus(spec: Spec[Any]) -> bool:
    return workers_of(spec).gpus > 0 if spec.kind == "trainers" else spec.pool.num_gpus > 0


def _set_torch_threads(threads: int) -> None:
    torch = sys.modules.get("torch")
    if torch and torch.get_num_threads() != threads:  # vLLM replaces the function by one that warns
        torch.set_num_threads(threads)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end long work at once; a running event loop would hear of it only when the work is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
