"""How many trainings run at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush


class TrainingSlots:
    """Two trainings at a time: while one starts its worker, or saves, the other computes.

    Of the trainings that are ready, the first in the graph's order is next. A training of several workers takes both
    slots. Else two such trainings could each hold half of the CPUs, and wait for the other half for ever.
    """

    def __init__(self) -> None:
        self._free = 2
        self._waiting: list[int] = []
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, place: int, alone: bool) -> AsyncIterator[None]:
        slots = 2 if alone else 1
        async with self._changed:
            heappush(self._waiting, place)
            await self._changed.wait_for(lambda: self._waiting[0] == place and self._free >= slots)
            heappop(self._waiting)
            self._free -= slots
            self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                self._free += slots
                self._changed.notify_all()
