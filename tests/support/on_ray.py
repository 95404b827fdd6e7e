"""What trainings and stages on a running Ray need."""

from __future__ import annotations

from harness.engine.executor import Machine
from harness.engine.ray_actors import Actors
from harness.engine.ray_training import RayLauncher
from harness.engine.room import Room


def room() -> Room:
    """Room for whatever asks: Ray itself counts the CPUs."""
    return Room(lambda: Machine(cpus=64, gpus=0))


def launcher(are_shared: bool = False) -> RayLauncher:
    """A launcher with actors of its own."""
    return RayLauncher(Actors(room()), are_shared)
