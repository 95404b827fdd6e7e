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
        self._waiting: dict[_Asker, asyncio.Future[None]] = {}
        self._tickets = itertools.count()

    async def take(self, place: int, cpus: float, gpus: float) -> None:
        """Wait until there is room, and take it. The lower the place, the sooner.

        Where nothing is inside, the first of those who wait enters, whatever it asks for: that it fits was checked.
        """
        asker, entered = _Asker(place, next(self._tickets), cpus, gpus), asyncio.get_running_loop().create_future()
        self._waiting[asker] = entered
        try:
            self._look()
            while not entered.done():
                await asyncio.wait([entered], timeout=_LOOK_S)
                self._look()
        except BaseException:
            if self._waiting.pop(asker, None) is None:  # it has entered, and whoever asked does not want it any more
                self.give_back(cpus, gpus)
            self._look()
            raise

    def give_back(self, cpus: float, gpus: float) -> None:
        """Give back what was taken."""
        self._cpus -= cpus
        self._gpus -= gpus
        self._look()

    def free(self) -> Machine:
        """What is not given away."""
        capacity = self._capacity()
        return Machine(capacity.cpus - self._cpus, capacity.gpus - self._gpus)

    @contextlib.asynccontextmanager
    async def hold(self, place: int, cpus: float, gpus: float) -> AsyncIterator[None]:
        """Take room, and give it back at the end of the context."""
        await self.take(place, cpus, gpus)
        try:
            yield
        finally:
            self.give_back(cpus, gpus)

    def _look(self) -> None:
        """Let in whoever may enter."""
        if self._waiting and self._cpus == self._gpus == 0:
            self._enter(min(self._waiting))
        if not self._waiting:
            return
        capacity = self._capacity()
        cpus_are_kept = gpus_are_kept = False  # for one that stands before
        for asker in sorted(self._waiting):
            lacks_cpus = self._cpus + asker.cpus > capacity.cpus
            lacks_gpus = self._gpus + asker.gpus > capacity.gpus
            passes_none = not (cpus_are_kept and asker.cpus > 0) and not (gpus_are_kept and asker.gpus > 0)
            if passes_none and not lacks_cpus and not lacks_gpus:
                self._enter(asker)
            cpus_are_kept |= lacks_cpus
            gpus_are_kept |= lacks_gpus

    def _enter(self, asker: _Asker) -> None:
        self._cpus += asker.cpus
        self._gpus += asker.gpus
        self._waiting.pop(asker).set_result(None)
