"""Who starts first, and where: the order of the run, as far as there is room on nodes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import product

import pytest

from harness.engine.executor import Machine
from harness.engine.room import Room, Seat, fitting

Ask = tuple[int, float, float]  # place, CPUs, GPUs


def on_nodes(*nodes: tuple[float, float]) -> Room:
    """Room on nodes a, b, ... of so many CPUs and GPUs."""
    machines = {chr(ord("a") + i): Machine(*node) for i, node in enumerate(nodes)}
    return Room(lambda: machines)


async def settle() -> None:
    """Let everything that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


class Askers:
    """Some that ask at once; who is let in, in order, and the seats and tasks of all."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.inside: list[Ask] = []
        self.seats: dict[Ask, Seat] = {}
        self.tasks: dict[Ask, asyncio.Task[None]] = {}

    async def ask(self, *asks: Ask, count: int = 1, wants: str | None = None) -> None:
        async def ask(one: Ask) -> None:
            self.seats[one] = await self.room.take(*one, count=count, wants=wants)
            self.inside.append(one)

        self.tasks |= {one: asyncio.create_task(ask(one)) for one in asks}
        await settle()

    async def leave(self, one: Ask) -> None:
        self.inside.remove(one)
        self.room.give_back(self.seats.pop(one))
        await settle()


def test_the_lowest_place_comes_first() -> None:
    async def run() -> None:
        some = Askers(on_nodes((2, 0)))
        await some.ask((0, 2, 0))
        await some.ask((7, 1, 0), (9, 1, 0), (3, 1, 0), (5, 1, 0))
        assert some.inside == [(0, 2, 0)]
        await some.leave((0, 2, 0))
        assert some.inside == [(3, 1, 0), (5, 1, 0)]
        await some.leave((3, 1, 0))
        assert some.inside == [(5, 1, 0), (7, 1, 0)]
        await some.leave((7, 1, 0))
        assert some.inside == [(5, 1, 0), (9, 1, 0)]

    asyncio.run(run())


def test_one_that_wants_much_is_passed_only_by_those_that_take_nothing_of_it() -> None:
    async def run() -> None:
        some = Askers(on_nodes((16, 8)))
        await some.ask((0, 1, 3))
        await some.ask((1, 1, 8), (2, 1, 1), (3, 4, 0), (4, 0, 0))
        assert set(some.inside[1:]) == {(3, 4, 0), (4, 0, 0)}  # five GPUs are free, and kept for the first
        await some.leave((0, 1, 3))
        assert some.inside[2:] == [(1, 1, 8)]
        await some.leave((1, 1, 8))
        assert some.inside[2:] == [(2, 1, 1)]

    asyncio.run(run())


def test_what_no_node_has_together_is_waited_for_and_kept() -> None:
    """A replica of four GPUs while each of two nodes has two: nobody behind it takes the GPUs that become free."""

    async def run() -> None:
        some = Askers(on_nodes((8, 4), (8, 4)))
        await some.ask((0, 1, 2), (1, 1, 3))
        assert [some.seats[one].nodes for one in some.inside] == [["a"], ["b"]]
        await some.ask((2, 1, 4), (3, 1, 1))
        assert some.inside == [(0, 1, 2), (1, 1, 3)]
        await some.leave((0, 1, 2))
        assert some.inside == [(1, 1, 3), (2, 1, 4), (3, 1, 1)]
        assert [some.seats[one].nodes for one in some.inside] == [["b"], ["a"], ["b"]]

    asyncio.run(run())


def test_the_workers_of_a_training_enter_together() -> None:
    async def run() -> None:
        some = Askers(on_nodes((8, 4), (8, 4)))
        await some.ask((0, 1, 2))
        await some.ask((1, 1, 1), count=7)
        await some.ask((2, 1, 1), count=6)
        assert some.inside == [(0, 1, 2)], "six GPUs are free, and seven are wanted before"
        await some.leave((0, 1, 2))
        assert some.inside == [(1, 1, 1)] and sorted(some.seats[1, 1, 1].nodes) == [*"aaaabbb"]
        await some.leave((1, 1, 1))
        assert some.inside == [(2, 1, 1)]

    asyncio.run(run())


def test_where_they_really_are_counts() -> None:
    async def run() -> None:
        some = Askers(on_nodes((8, 4), (8, 4)))
        await some.ask((0, 1, 1), count=4)
        some.room.moved(some.seats[0, 1, 1], [*"aabb"])
        assert some.room.free() == [Machine(6, 2), Machine(6, 2)]
        await some.ask((1, 1, 4))
        assert some.inside == [(0, 1, 1)]

    asyncio.run(run())


def test_what_is_left_goes_to_the_next_only() -> None:
    """A model that a stage leaves on a GPU: who is let in there takes it over if it is what that wants."""

    async def run(first_wants: str) -> tuple[bool, list[object]]:
        some = Askers(on_nodes((8, 1), (8, 1)))
        await some.ask((0, 1, 1))
        await some.ask((1, 1, 1))
        await some.ask((2, 1, 1), wants=first_wants)
        await some.ask((3, 1, 1), wants="llama")
        is_taken = some.room.give_back(some.seats[1, 1, 1], leaves=("llama", "an actor"))
        await settle()
        await some.leave((0, 1, 1))
        assert some.inside[-2:] == [(2, 1, 1), (3, 1, 1)]
        return is_taken, [some.seats[2, 1, 1].left, some.seats[3, 1, 1].left]

    assert asyncio.run(run("llama")) == (True, ["an actor", None])
    assert asyncio.run(run("mistral")) == (False, [None, None])


def test_what_is_left_draws_the_next_to_its_node() -> None:
    async def run() -> None:
        some = Askers(on_nodes((8, 2), (8, 1)))
        await some.ask((0, 1, 1), (1, 1, 1), (2, 1, 1))
        assert [some.seats[one].nodes for one in some.inside] == [["b"], ["a"], ["a"]]
        await some.ask((3, 1, 2))
        await some.ask((4, 1, 1), wants="llama")
        some.tasks[3, 1, 2].cancel()
        await settle()
        assert some.room.give_back(some.seats[2, 1, 1], leaves=("llama", "an actor"))
        await settle()
        assert some.seats[4, 1, 1].nodes == ["a"] and some.seats[4, 1, 1].left == "an actor"

    asyncio.run(run())


def test_who_gives_up_blocks_nobody() -> None:
    async def run() -> None:
        some = Askers(on_nodes((1, 0)))
        await some.ask((0, 1, 0))
        await some.ask((1, 1, 0), (2, 1, 0))
        some.tasks[1, 1, 0].cancel()
        await some.leave((0, 1, 0))
        assert some.inside == [(2, 1, 0)]

    asyncio.run(run())


def test_what_held_room_gives_it_back_however_it_ends() -> None:
    async def run() -> None:
        some = Askers(on_nodes((1, 0)))
        try:
            async with some.room.hold(0, 1, 0):
                raise KeyError
        except KeyError:
            pass
        await some.ask((1, 1, 0))
        assert some.inside == [(1, 1, 0)]

    asyncio.run(run())


def test_machines_that_join_are_seen() -> None:
    async def run() -> None:
        machines = {"a": Machine(cpus=1, gpus=0)}
        some = Askers(Room(lambda: machines))
        await some.ask((0, 1, 0))
        await some.ask((1, 1, 0))
        assert some.inside == [(0, 1, 0)]
        machines["b"] = Machine(cpus=2, gpus=0)
        some.room.give_back(Seat(0, 0))  # any change has all look again; without one they do so every few seconds
        await settle()
        assert some.inside == [(0, 1, 0), (1, 1, 0)]

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(5))
def test_all_enter_in_the_end_and_never_more_than_nodes_hold(seed: int) -> None:
    """Trainings of several workers, replicas of one to four GPUs, and processes without any, come and go at random."""
    rng = random.Random(seed)
    nodes = {"a": Machine(6, 4), "b": Machine(4, 4), "c": Machine(3, 0)}
    held = dict.fromkeys(nodes, (0.0, 0.0))

    async def one(room: Room, place: int) -> None:
        cpus, gpus = rng.choice([(1, 0), (2, 0), (1, 1), (1, 2), (2, 4)])
        count = rng.choice([1, 2]) if gpus < 2 else 1
        seat = await room.take(place, cpus, gpus, count)
        assert len(seat.nodes) == count
        for sign in (1, -1):
            for node in seat.nodes:
                held[node] = held[node][0] + sign * cpus, held[node][1] + sign * gpus
                assert held[node][0] <= nodes[node].cpus and held[node][1] <= nodes[node].gpus
            for _ in range(rng.randrange(30) if sign == 1 else 0):
                await asyncio.sleep(0)
        room.give_back(seat)

    async def run() -> None:
        room = Room(lambda: nodes)
        await asyncio.wait_for(asyncio.gather(*(one(room, rng.randrange(10)) for _ in range(60))), 600)

    asyncio.run(run())


def fits(cpus: float, gpus: float, count: int, free: Sequence[Machine]) -> int | None:
    """The smallest number of nodes that hold them, by trying every way; None where there is none."""
    ways = product(range(count + 1), repeat=len(free))
    good = [
        way
        for way in ways
        if sum(way) == count and all(n * cpus <= m.cpus and n * gpus <= m.gpus for n, m in zip(way, free, strict=True))
    ]
    return min((sum(n > 0 for n in way) for way in good), default=None)


def test_what_fits_is_found_on_as_few_nodes_as_need_be() -> None:
    rng = random.Random(0)
    for _ in range(300):
        free = [Machine(rng.randrange(5), rng.randrange(5)) for _ in range(3)]
        asked = rng.randrange(1, 3), rng.randrange(3), rng.randrange(1, 5)
        nodes = fitting(*asked, {str(i): machine for i, machine in enumerate(free)})
        assert (nodes and len(set(nodes))) == fits(*asked, free)


def test_tenths_add_up() -> None:
    free = Machine(10, 1)
    for _ in range(9):
        assert fitting(1, 0.1, 1, {"a": free}) == ["a"]
        free = Machine(free.cpus - 1, free.gpus - 0.1)
    assert fitting(1, 0.1, 1, {"a": free}) == ["a"]
