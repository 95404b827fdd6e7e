"""The actors of a run: a process whose work is over is lent to the next stage or training that asks for as much.

A process takes seconds to start and to import what components need. It is lent on only if it has no GPU, and nothing of
the component before is left in it (``Component.shares_process``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import ray

from harness.core.devices import give_gpus
from harness.engine.room import Room
from harness.engine.worker import Worker

T = TypeVar("T")


class _Actor(Worker):
    """A component, or the lone worker of a training, in a process of its own. It sees the GPUs that it asks for."""

    def __init__(self, gpus: float) -> None:
        hide_gpus_unless(gpus)
        give_gpus(gpus)
        super().__init__()

    def train(self, work: Callable[..., T], *arguments: object) -> T:
        """Call ``work``. The name of this method is what a list of processes shows meanwhile."""
        return work(*arguments)


class Actors:
    """Starts actors, and keeps idle ones. An idle actor holds CPUs of Ray that ``room`` counts as free.

    Stages ask in the thread of their loop, each training in a thread of its own.
    """

    def __init__(self, room: Room, actor_class: type = _Actor) -> None:
        self._room = room
        self._actor_class = actor_class
        self._idle: dict[float, list[Any]] = {}  # by their CPUs
        self._lock = threading.RLock()

    def start(self, cpus: float, gpus: float, threads: int = 1) -> Any:
        """An actor without a component: an idle one, or a new one. Whoever asks has taken room for it.

        Args:
            threads: calls that it takes at a time. One that takes several is new.
        """
        with self._lock:
            if gpus == 0 and threads == 1 and (idle := self._idle.get(cpus)):
                return idle.pop()
            self.make_place()
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_concurrency": threads}
        return ray.remote(self._actor_class).options(**options).remote(gpus)

    def end(self, actor: Any, cpus: float, gpus: float, is_reusable: bool) -> None:
        """End an actor, or keep it idle. On several nodes none is kept that holds CPUs: an actor that needs more CPUs
        may wait for those of one node, though enough are free elsewhere."""
        if is_reusable and gpus == 0 and (cpus == 0 or len(ray.nodes()) == 1):
            actor.drop.remote()
            with self._lock:
                self._idle.setdefault(cpus, []).append(actor)
        else:
            ray.kill(actor)

    def make_place(self) -> None:
        """End the idle actors that hold CPUs where somebody needs these, who has taken room."""
        with self._lock:
            idle = sum(cpus * len(actors) for cpus, actors in self._idle.items())
            if idle and (idle > self._room.free().cpus or len(ray.nodes()) > 1):
                for cpus in [cpus for cpus in self._idle if cpus > 0]:
                    for actor in self._idle.pop(cpus):
                        ray.kill(actor)


def hide_gpus_unless(gpus: float) -> None:
    """Hide all GPUs from this process if it was given none. Ray itself would show it the GPUs of other processes."""
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
