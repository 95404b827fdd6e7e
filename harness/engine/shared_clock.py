"""A clock for work that overlaps: each second is shared equally by all that is under way in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Lap:
    """The seconds of one piece of work, once it is over."""

    seconds = 0.0


class SharedClock:
    """Counts the seconds of a process once, though several shards may be under way.

    While k pieces of work are under way, each gets a k-th of the time that passes. So the laps of a while sum to the
    time in which anything was under way. The clock keeps the integral of dt / k: a lap is its rise from beginning to
    end, as a session is in processor sharing.

    Args:
        now: the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._under_way = 0
        self._at = 0.0
        self._share = 0.0  # the integral

    @contextmanager
    def lap(self) -> Iterator[Lap]:
        """Time what happens in this context."""
        lap, begun = Lap(), self._change(+1)
        try:
            yield lap
        finally:
            lap.seconds = self._change(-1) - begun

    def _change(self, by: int) -> float:
        with self._lock:
            now = self._now()
            if self._under_way:
                self._share += (now - self._at) / self._under_way
            self._at = now
            self._under_way += by
            return self._share
