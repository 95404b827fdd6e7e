"""Who may start: actors and workers are let in by their place in the run's order, as far as there is room for them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.engine.executor import Machine

#: Seconds between looks at what there is: machines come and go.
_LOOK_S = 5.0


@dataclass(frozen=True, slots=True, order=True)
class _Asker:
    place: int
    ticket: int  # at the same place, the lower ticket comes first
    cpus: float
    gpus: float
    count: int = 1
    wants: Hashable = field(default=None, compare=False)


@dataclass(eq=False, slots=True)
class Seat:
    """Room that was given, for actors of one size.

    Attributes:
        nodes: where each of them is to be, or is; empty where that is left to others.
        left: what the one before has left there, where that was wanted.
    """

    cpus: float
    gpus: float
    nodes: list[str] = field(default_factory=list)
    left: Any = None


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left on a seat that is given back, for the asker that is let in there next, if that wants it."""

    seat: Seat
    wants: Hashable
    what: Any


class Room:
    """CPUs and GPUs of nodes, given to those who ask in the order of their places.

    Ray may start any waiting actor, so the stage that all others wait for could start last. Here an asker may overtake
    an earlier asker only if it takes no resource that the earlier asker lacks. For instance, an actor without GPUs
    overtakes an actor that waits for GPUs.

    Whoever is let in fits on nodes: on the fullest one that has room, so that others stay free for those who need much
    of one node.

    Args:
        nodes: returns all nodes, with all of their CPUs and GPUs; it is called every time the askers are checked.
    """

    def __init__(self, nodes: Callable[[], Mapping[str, Machine]]) -> None:
        self._nodes = nodes
        self._inside: set[Seat] = set()
        self._waiting: dict[_Asker, asyncio.Future[Seat]] = {}
        self._tickets = itertools.count()
        self._left: _Left | None = None

    async def take(self, place: int, cpus: float, gpus: float, count: int = 1, wants: Hashable = None) -> Seat:
        """Wait until there is room for ``count`` of a size, and take it. The lower the place, the sooner.

        Where nothing is inside, the first of those who wait enters, whatever it asks for: that it fits was checked.

        Args:
            wants: what the asker would take over with a seat (see :meth:`give_back`).
        """
        if cpus == gpus == 0:
            return Seat(0, 0)
        asker = _Asker(place, next(self._tickets), cpus, gpus, count, wants)
        entered: asyncio.Future[Seat] = asyncio.get_running_loop().create_future()
        self._waiting[asker] = entered
        try:
            self._look()
            while not entered.done():
                await asyncio.wait([entered], timeout=_LOOK_S)
                self._look()
        except BaseException:
            if self._waiting.pop(asker, None) is None:  # it has entered, and whoever asked does not want it any more
                self.give_back(entered.result())
            self._look()
            raise
        return entered.result()

    def give_back(self, seat: Seat, leaves: tuple[Hashable, Any] | None = None) -> bool:
        """Give back what was taken.

        Args:
            leaves: what stays on the seat for the asker that is let in there next: what that must want, and the thing
                itself.

        Returns:
            Whether it was taken over.
        """
        self._inside.discard(seat)
        self._left = _Left(seat, *leaves) if leaves else None
        self._look()
        taken_over = leaves is not None and self._left is None
        self._left = None
        return taken_over

    def moved(self, seat: Seat, nodes: Sequence[str]) -> None:
        """Take note of the nodes on which the actors of a seat really are."""
        seat.nodes = list(nodes)

    def free(self) -> list[Machine]:
        """What is not given away, by node."""
        return list(self._free().values())

    @contextlib.asynccontextmanager
    async def hold(self, place: int, cpus: float, gpus: float, count: int = 1) -> AsyncIterator[Seat]:
        """Take room, and give it back at the end of the context."""
        seat = await self.take(place, cpus, gpus, count)
        try:
            yield seat
        finally:
            self.give_back(seat)

    def _look(self) -> None:
        """Let in whoever may enter."""
        if not self._waiting:
            return
        free = self._free()
        if not self._inside:
            first = min(self._waiting)
            self._enter(first, self._seated(first, free) or [], free)
        cpus_are_kept = gpus_are_kept = False  # for one that stands before
        for asker in sorted(self._waiting):
            is_kept_out = (cpus_are_kept and asker.cpus > 0) or (gpus_are_kept and asker.gpus > 0)
            nodes = self._seated(asker, free)
            if nodes is not None and not is_kept_out:
                self._enter(asker, nodes, free)
            elif nodes is None:
                lacks_cpus = fitting(asker.cpus, 0, asker.count, free) is None
                lacks_gpus = fitting(0, asker.gpus, asker.count, free) is None
                lacks_both = not lacks_cpus and not lacks_gpus  # each is there, but not on the same nodes
                cpus_are_kept |= lacks_cpus or lacks_both
                gpus_are_kept |= lacks_gpus or lacks_both

    def _seated(self, asker: _Asker, free: Mapping[str, Machine]) -> list[str] | None:
        """The nodes for an asker; None where there is no room. What was left for it decides where there are several."""
        if (left := self._left) and self._takes_over(asker, left):
            here = {node: free[node] for node in left.seat.nodes if node in free}
            if nodes := fitting(asker.cpus, asker.gpus, asker.count, here):
                return nodes
        return fitting(asker.cpus, asker.gpus, asker.count, free)

    def _takes_over(self, asker: _Asker, left: _Left) -> bool:
        same_size = (asker.cpus, asker.gpus, asker.count) == (left.seat.cpus, left.seat.gpus, 1)
        return same_size and asker.wants == left.wants

    def _enter(self, asker: _Asker, nodes: list[str], free: dict[str, Machine]) -> None:
        seat = Seat(asker.cpus, asker.gpus, nodes)
        if (left := self._left) and self._takes_over(asker, left) and nodes == left.seat.nodes:
            seat.left, self._left = left.what, None
        self._inside.add(seat)
        _reserve(seat, free)
        self._waiting.pop(asker).set_result(seat)

    def _free(self) -> dict[str, Machine]:
        free = dict(self._nodes())
        for seat in list(self._inside):  # trainings ask in threads of their own
            _reserve(seat, free)
        return free


def _reserve(seat: Seat, free: dict[str, Machine]) -> None:
    for node in seat.nodes:
        if node in free:  # else it is gone
            free[node] = Machine(free[node].cpus - seat.cpus, free[node].gpus - seat.gpus)


def fitting(cpus: float, gpus: float, count: int, free: Mapping[str, Machine]) -> list[str] | None:
    """The nodes on which ``count`` of a size fit: one node, if it holds all, else as few as need be.

    Of several nodes that hold as many, the one with the fewest free GPUs is taken, and of these the one with the fewest
    free CPUs.

    Returns:
        A node for each; None where they do not fit.
    """
    holds = {node: min(machine.holds(cpus, gpus), count) for node, machine in free.items()}
    nodes: list[str] = []
    for node in sorted(holds, key=lambda node: (-holds[node], free[node].gpus, free[node].cpus)):
        nodes += [node] * int(max(0, min(holds[node], count - len(nodes))))
    return nodes if len(nodes) == count else None
