"""The actors of a run: a process whose stage is over is lent to the next stage that asks for as much.

A process takes seconds to start and to import what components need. It is lent on only if it has no GPU, and nothing of
the component before is left in it (``Component.shares_process``).
"""

from __future__ import annotations

from typing import Any

import ray

from harness.core.devices import give_gpus
from harness.engine.ray_training import hide_gpus_unless
from harness.engine.room import Room
from harness.engine.worker import Worker


class _Actor(Worker):
    """A component in a process of its own, which sees the GPUs that its entry asks for."""

    def __init__(self, gpus: float) -> None:
        hide_gpus_unless(gpus)
        give_gpus(gpus)
        super().__init__()


class Actors:
    """Starts actors, and keeps idle ones. An idle actor holds CPUs of Ray that ``room`` counts as free."""

    def __init__(self, room: Room, actor_class: type = _Actor) -> None:
        self._room = room
        self._actor_class = actor_class
        self._idle: dict[float, list[Any]] = {}  # by their CPUs

    def start(self, cpus: float, gpus: float) -> Any:
        """An actor without a component: an idle one, or a new one. Whoever asks has taken room for it."""
        if gpus == 0 and (idle := self._idle.get(cpus)):
            return idle.pop()
        self.make_place()
        return ray.remote(self._actor_class).options(num_cpus=cpus, num_gpus=gpus).remote(gpus)

    def end(self, actor: Any, cpus: float, is_reusable: bool) -> None:
        """End an actor, or keep it idle. On several nodes none is kept that holds CPUs: an actor that needs more CPUs
        may wait for those of one node, though enough are free elsewhere."""
        if is_reusable and (cpus == 0 or len(ray.nodes()) == 1):
            actor.drop.remote()
            self._idle.setdefault(cpus, []).append(actor)
        else:
            ray.kill(actor)

    def make_place(self) -> None:
        """End the idle actors that hold CPUs where somebody needs these, who has taken room."""
        idle = sum(cpus * len(actors) for cpus, actors in self._idle.items())
        if idle and (idle > self._room.free().cpus or len(ray.nodes()) > 1):
            for cpus in [cpus for cpus in self._idle if cpus > 0]:
                for actor in self._idle.pop(cpus):
                    ray.kill(actor)
