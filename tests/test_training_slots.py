"""Two trainings of one worker at a time, or one of several workers."""

from __future__ import annotations

import asyncio

from harness.pipeline import _TrainingSlots


def test_two_at_a_time_and_those_of_several_workers_alone() -> None:
    running: list[bool] = []
    seen: set[tuple[bool, ...]] = set()

    async def train(slots: _TrainingSlots, alone: bool) -> None:
        async with slots.take(alone):
            running.append(alone)
            seen.add(tuple(sorted(running)))
            await asyncio.sleep(0.001)
            running.remove(alone)

    async def every() -> None:
        slots = _TrainingSlots()
        kinds = [False, False, True, False, True, True, False, False, False]
        await asyncio.wait_for(asyncio.gather(*(train(slots, alone) for alone in kinds)), 10)

    asyncio.run(every())
    assert seen == {(False,), (False, False), (True,)}
