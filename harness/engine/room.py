"""Who may start: actors and trainings are let in by their place in the graph, as far as there is room for them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from harness.engine.executor import Machine

#: Seconds between looks at what there is: machines come and go.
_LOOK_S = 5.0


@dataclass(frozen=True, slots=True, order=True)
class _Asker:
    place: int
    ticket: int  # at the same place, the lower ticket comes first
    cpus: float
    gpus: float


class Room:
    """CPUs and GPUs, given to those who ask in the order of their places.

    Ray may start any waiting actor, so the stage that all others wait for could start last. Here an asker may overtake
    an earlier asker only if it takes no resource that the earlier asker lacks. For instance, an actor without GPUs
    overtakes an actor that waits for GPUs.

    Args:
        capacity: returns all CPUs and GPUs; it is called every time the askers are checked.
    """

    def __init__(self, capacity: Callable[[], Machine]) -> None:
        self._capacity = capacity
        self._cpus = self._gpus = 0.0  # given away
        self._waiting: list[_Asker] = []
        self._tickets = itertools.count()
        self._changed = asyncio.Condition()

    async def take(self, place: int, cpus: float, gpus: float) -> None:
        """Wait until so many CPUs and GPUs are free, and take them. A lower place comes first.

        An asker for more than the whole capacity enters when nobody else holds anything: the caller has checked the
        size.
        """
        asker = _Asker(place, next(self._tickets), cpus, gpus)
        async with self._changed:
            self._waiting.append(asker)
            try:
                while not self._may_enter(asker):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), _LOOK_S)
                self._cpus += cpus
                self._gpus += gpus
            finally:
                self._waiting.remove(asker)
                self._changed.notify_all()

    async def give_back(self, cpus: float, gpus: float) -> None:
        """Give back CPUs and GPUs that were taken."""
        async with self._changed:
            self._cpus -= cpus
            self._gpus -= gpus
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def hold(self, place: int, cpus: float, gpus: float) -> AsyncIterator[None]:
        """Take CPUs and GPUs, and give them back at the end of the context."""
        await self.take(place, cpus, gpus)
        try:
            yield
        finally:
            await self.give_back(cpus, gpus)

    def _may_enter(self, asker: _Asker) -> bool:
        if self._cpus == self._gpus == 0 and asker == min(self._waiting):
            return True
        capacity = self._capacity()
        free_cpus, free_gpus = capacity.cpus - self._cpus, capacity.gpus - self._gpus
        cpus_are_kept = gpus_are_kept = False  # for one that stands before
        for other in sorted(self._waiting):
            lacks_cpus, lacks_gpus = other.cpus > free_cpus, other.gpus > free_gpus
            waits = lacks_cpus or lacks_gpus or (cpus_are_kept and other.cpus > 0) or (gpus_are_kept and other.gpus > 0)
            if other == asker:
                return not waits
            if not waits:
                return False  # the other asker enters first, and then all askers are checked again
            cpus_are_kept |= lacks_cpus
            gpus_are_kept |= lacks_gpus
        raise AssertionError("an asker waits until it has entered")
