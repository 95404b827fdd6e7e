"""Who starts first: the order of the graph, as far as there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.engine.executor import Machine
from harness.engine.room import Room

Ask = tuple[int, float, float]  # place, CPUs, GPUs


async def settle() -> None:
    """Let everything that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


async def entered(room: Room, asks: Sequence[Ask]) -> tuple[list[Ask], list[asyncio.Task[None]]]:
    """Who is let in of some that ask at once, in order, and the tasks of all."""
    inside: list[Ask] = []

    async def ask(place: int, cpus: float, gpus: float) -> None:
        await room.take(place, cpus, gpus)
        inside.append((place, cpus, gpus))

    tasks = [asyncio.create_task(ask(*one)) for one in asks]
    await settle()
    return inside, tasks


def test_the_lowest_place_comes_first() -> None:
    async def run() -> None:
        room = Room(lambda: Machine(cpus=2, gpus=0))
        await room.take(0, 2, 0)
        inside, _ = await entered(room, [(7, 1, 0), (9, 1, 0), (3, 1, 0), (5, 1, 0)])
        assert inside == []
        room.give_back(2, 0)
        await settle()
        assert inside == [(3, 1, 0), (5, 1, 0)]
        room.give_back(1, 0)
        await settle()
        assert inside[2:] == [(7, 1, 0)]
        room.give_back(1, 0)
        await settle()
        assert inside[3:] == [(9, 1, 0)]

    asyncio.run(run())


def test_one_that_wants_much_is_passed_only_by_those_that_take_nothing_of_it() -> None:
    async def run() -> None:
        room = Room(lambda: Machine(cpus=16, gpus=8))
        await room.take(0, 1, 3)
        inside, _ = await entered(room, [(1, 1, 8), (2, 1, 1), (3, 4, 0), (4, 0, 0)])
        assert inside == [(3, 4, 0), (4, 0, 0)]  # five GPUs are free, and kept for the first
        room.give_back(1, 3)
        await settle()
        assert inside[2:] == [(1, 1, 8)]
        room.give_back(1, 8)
        await settle()
        assert inside[3:] == [(2, 1, 1)]

    asyncio.run(run())


def test_who_gives_up_blocks_nobody() -> None:
    async def run() -> None:
        room = Room(lambda: Machine(cpus=1, gpus=0))
        await room.take(0, 1, 0)
        inside, tasks = await entered(room, [(1, 1, 0), (2, 1, 0)])
        tasks[0].cancel()
        room.give_back(1, 0)
        await settle()
        assert inside == [(2, 1, 0)]

    asyncio.run(run())


def test_what_held_room_gives_it_back_however_it_ends() -> None:
    async def run() -> None:
        room = Room(lambda: Machine(cpus=1, gpus=0))
        try:
            async with room.hold(0, 1, 0):
                raise KeyError
        except KeyError:
            pass
        inside, _ = await entered(room, [(1, 1, 0)])
        assert inside == [(1, 1, 0)]

    asyncio.run(run())


def test_machines_that_join_are_seen() -> None:
    async def run() -> None:
        machine = Machine(cpus=1, gpus=0)
        room = Room(lambda: machine)
        await room.take(0, 1, 0)
        inside, _ = await entered(room, [(1, 1, 0)])
        assert inside == []
        machine = Machine(cpus=2, gpus=0)
        room.give_back(0, 0)  # any change has all look again; without one they do so every few seconds
        await settle()
        assert inside == [(1, 1, 0)]

    asyncio.run(run())
