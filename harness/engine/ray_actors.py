"""The actors of a run: a process whose work is over is lent to the next stage or training that asks for as much.

A process takes seconds to start and to import what components need, and large models take minutes to load. So an actor
goes on, with its component loaded, where a stage with the same component is next. Else its process is lent on only if
it has no GPU, and nothing of the component before is left in it (``Component.shares_process``).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.core.devices import give_gpus
from harness.engine.room import Room, Seat
from harness.engine.worker import Worker

T = TypeVar("T")

#: How often the event loop goes round before an actor whose stage is over ends: until then, all stages that could start
#: because of that have asked for room.
_ROUNDS = 100


class _Actor(Worker):
    """A component, or the lone worker of a training, in a process of its own. It sees the GPUs that it asks for."""

    def __init__(self, gpus: float) -> None:
        hide_gpus_unless(gpus)
        give_gpus(gpus)
        super().__init__()

    def train(self, work: Callable[..., T], *arguments: object) -> T:
        """Call ``work``. The name of this method is what a list of processes shows meanwhile."""
        return work(*arguments)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """An actor whose stage is over. It still has its seat, and its component."""

    actor: Any
    seat: Seat
    component: Hashable
    is_shared: bool


class Actors:
    """Starts actors, and keeps idle ones. An idle actor holds CPUs of Ray that ``room`` counts as free.

    Stages ask in the thread of their loop, each training in a thread of its own.
    """

    def __init__(self, room: Room, actor_class: type = _Actor) -> None:
        self._room = room
        self._actor_class = actor_class
        self._idle: dict[float, list[Any]] = {}  # by their CPUs
        self._leaving: list[_Leaving] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = threading.RLock()

    def start(self, seat: Seat, threads: int = 1) -> Any:
        """An actor without a component: an idle one, or a new one.

        Args:
            threads: calls that it takes at a time. One that takes several is new.
        """
        cpus, gpus = seat.cpus, seat.gpus
        with self._lock:
            if gpus == 0 and threads == 1 and (idle := self._idle.get(cpus)):
                return idle.pop()
            self.make_place()
        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_concurrency": threads}
        if seat.nodes and len(ray.nodes()) > 1:  # where that node has no room for it after all, on another one
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(seat.nodes[0], True, True)
        return ray.remote(self._actor_class).options(**options).remote(gpus)

    def take_over(self, seat: Seat, component: Hashable, threads: int = 1) -> tuple[Any, bool]:
        """An actor for a stage: where a stage is just over, one of its; and whether that has the component loaded.

        It may come with another seat of the same size, which ``seat`` becomes.
        """
        if seat.left is not None:
            actor, seat.left = seat.left, None
            return actor, True
        with self._lock:
            as_large = [one for one in self._leaving if (one.seat.cpus, one.seat.gpus) == (seat.cpus, seat.gpus)]
            found = next((one for one in as_large if one.component == component), None)
            is_loaded = found is not None
            if found is None and threads == 1 and not self._idle.get(seat.cpus):
                found = next((one for one in as_large if one.is_shared and self._can_wait(seat)), None)
            if found is None:
                return self.start(seat, threads), False
            self._leaving.remove(found)
        seat.nodes, found.seat.nodes = found.seat.nodes, seat.nodes
        self._room.give_back(found.seat)
        return found.actor, is_loaded

    def leave(self, actor: Any, seat: Seat, component: Hashable, is_shared: bool) -> None:
        """Lend on an actor whose stage is over, or end it. What it held is given back in any case.

        Args:
            component: what whoever takes it over must want.
            is_shared: whether something else may go on in its process.
        """
        leaving = _Leaving(actor, seat, component, is_shared)
        with self._lock:
            self._leaving.append(leaving)
        task = asyncio.get_running_loop().create_task(self._leave(leaving))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _leave(self, leaving: _Leaving) -> None:
        try:
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if ray.is_initialized() and leaving in self._leaving:
                ray.kill(leaving.actor)
            raise
        with self._lock:
            if leaving not in self._leaving:
                return
            self._leaving.remove(leaving)
        if not self._room.give_back(leaving.seat, leaves=(leaving.component, leaving.actor)):
            self.end(leaving.actor, leaving.seat, leaving.is_shared)

    def end(self, actor: Any, seat: Seat, is_reusable: bool) -> None:
        """End an actor, or keep it idle."""
        if is_reusable and self._can_wait(seat):
            actor.drop.remote()
            with self._lock:
                self._idle.setdefault(seat.cpus, []).append(actor)
        else:
            ray.kill(actor)

    def _can_wait(self, seat: Seat) -> bool:
        """Whether an actor of a size may be kept for whatever comes. On several nodes none is that holds CPUs: an actor
        that needs more CPUs may wait for those of one node, though enough are free elsewhere."""
        return seat.gpus == 0 and (seat.cpus == 0 or len(ray.nodes()) == 1)

    def make_place(self) -> None:
        """End the idle actors that hold CPUs where somebody needs these, who has taken room."""
        with self._lock:
            idle = sum(cpus * len(actors) for cpus, actors in self._idle.items())
            if idle and (idle > sum(node.cpus for node in self._room.free()) or len(ray.nodes()) > 1):
                for cpus in [cpus for cpus in self._idle if cpus > 0]:
                    for actor in self._idle.pop(cpus):
                        ray.kill(actor)


def hide_gpus_unless(gpus: float) -> None:
    """Hide all GPUs from this process if it was given none. Ray itself would show it the GPUs of other processes."""
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def node_of(actor: object) -> str:
    """The node that an actor is on; to be called there."""
    return str(ray.get_runtime_context().get_node_id())
