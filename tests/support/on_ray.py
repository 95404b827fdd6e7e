"""What trainings and stages on a running Ray need."""

from __future__ import annotations

import asyncio
import threading

from harness.engine.executor import Machine
from harness.engine.ray_actors import Actors
from harness.engine.ray_room import nodes_of_ray
from harness.engine.ray_training import Entrance, RayLauncher
from harness.engine.room import Room


def room(cpus: float = 64) -> Room:
    """Room for whatever asks: Ray itself counts the CPUs."""
    return Room(lambda: {node: Machine(cpus, gpus=0) for node in nodes_of_ray()})


def launcher(are_shared: bool = False, actors: Actors | None = None, cpus: float = 64) -> RayLauncher:
    """A launcher with actors of its own, unless others are given, and room for all that so many CPUs are enough for."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    places = room(cpus)
    return RayLauncher(actors or Actors(places), Entrance(places, loop, 0, lambda: None), are_shared)
