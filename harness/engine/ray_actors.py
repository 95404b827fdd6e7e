"""The actors of a run: a process whose stage is over is lent to the next stage that asks for as much.

A process takes seconds to start and to import what components need. It is lent on only where nothing of the component
before is left in it (``Component.leaves_process``), and where it has no GPU.
"""

from __future__ import annotations

from typing import Any

import ray

from harness.core.devices import give_gpus
from harness.engine.ray_training import hide_gpus_unless
from harness.engine.room import Room
from harness.engine.worker import Worker


class Actor(Worker):
    """A component in a process of its own, which sees the GPUs that its entry asks for."""

    def __init__(self, gpus: float) -> None:
        hide_gpus_unless(gpus)
        give_gpus(gpus)
        super().__init__()


class Actors:
    """Starts actors, and keeps idle ones.

    An idle actor holds CPUs of Ray that ``room`` counts as free.
    """

    def __init__(self, room: Room, actor_class: type = Actor) -> None:
        self._room = room
        self._actor_class = actor_class
        self._idle: dict[float, list[Any]] = {}  # by their CPUs

    def start(self, cpus: float, gpus: float) -> Any:
        """An actor without a component: an idle one, or a new one. Its room was taken."""
        if gpus == 0 and (idle := self._idle.get(cpus)):
            return idle.pop()
        self.make_place()
        return ray.remote(self._actor_class).options(num_cpus=cpus, num_gpus=gpus).remote(gpus)

    def keep(self, actor: Any, cpus: float) -> None:
        """Keep an actor without GPUs whose stage is over."""
        actor.drop.remote()
        self._idle.setdefault(cpus, []).append(actor)

    def make_place(self) -> None:
        """End idle actors whose CPUs somebody needs who has taken room.

        On a cluster all: what is free together may be free on no node.
        """
        idle = sum(cpus * len(actors) for cpus, actors in self._idle.items())
        if idle > (self._room.free().cpus if len(ray.nodes()) == 1 else 0):
            for cpus in [cpus for cpus in self._idle if cpus > 0]:
                for actor in self._idle.pop(cpus):
                    ray.kill(actor)
