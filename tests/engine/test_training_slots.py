"""Two trainings of one worker at a time, or one of several workers; the first in the graph's order next."""

from __future__ import annotations

import asyncio

from harness.engine.training_slots import TrainingSlots


def test_two_at_a_time_and_those_of_several_workers_alone() -> None:
    running: list[bool] = []
    seen: set[tuple[bool, ...]] = set()

    async def train(slots: TrainingSlots, place: int, alone: bool) -> None:
        async with slots.take(place, alone):
            running.append(alone)
            seen.add(tuple(sorted(running)))
            await asyncio.sleep(0.001)
            running.remove(alone)

    async def every() -> None:
        slots = TrainingSlots()
        kinds = [False, False, True, False, True, True, False, False, False]
        await asyncio.wait_for(asyncio.gather(*(train(slots, i, alone) for i, alone in enumerate(kinds))), 600)

    asyncio.run(every())
    assert seen == {(False,), (False, False), (True,)}


def test_the_first_in_order_of_those_that_wait_is_next() -> None:
    order: list[int] = []

    async def train(slots: TrainingSlots, place: int) -> None:
        async with slots.take(place, alone=True):
            order.append(place)
            await asyncio.sleep(0)

    async def every() -> None:
        slots = TrainingSlots()
        await asyncio.wait_for(asyncio.gather(*(train(slots, place) for place in (7, 5, 9, 2))), 600)

    asyncio.run(every())
    assert order == [7, 2, 5, 9]
