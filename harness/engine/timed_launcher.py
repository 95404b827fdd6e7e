"""How long the workers of a training worked, without their wait for a place and their start."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from harness.core.workers import Launcher, Progress, Workers

J = TypeVar("J")
T = TypeVar("T")


class TimedLauncher:
    """A :class:`~harness.core.workers.Launcher` that knows how much of its time was no work.

    ``idle_s`` are the seconds of all launches in which no work was done: the first worker waited for a place, started,
    or died and left its work undone.
    """

    def __init__(self, launch: Launcher) -> None:
        self._launch = launch
        self.idle_s = 0.0

    def __call__(
        self, work: Callable[[J, Progress], T], job: J, workers: Workers, scratch: Path, progress: Progress
    ) -> T:
        clock = time.perf_counter()
        result, work_s = self._launch(partial(_timed, work), job, workers, scratch, progress)
        self.idle_s += time.perf_counter() - clock - work_s
        return result


def _timed(work: Callable[[J, Progress], T], job: J, progress: Progress) -> tuple[T, float]:
    """What ``work`` gives, and the seconds that it took."""
    clock = time.perf_counter()
    result = work(job, progress)
    return result, time.perf_counter() - clock
