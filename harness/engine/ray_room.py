"""What actors and workers wait for, in words, and what a Ray cluster has free."""

from __future__ import annotations

import ray

from harness.engine.executor import Machine

#: What an actor waits for whose room is free: another one may take it only if the earlier one does not need it.
TURN = "waiting until an earlier stage has what it needs"


def free_on_ray() -> Machine:
    """What is free on all nodes together."""
    free = ray.available_resources()
    return Machine(free.get("CPU", 0.0), free.get("GPU", 0.0))


def waiting_for_room(cpus: float, gpus: float, free: Machine, otherwise: str, count: int = 1) -> str:
    """What ``count`` actors or workers of a size wait for; ``otherwise`` where all of that is free."""
    if count * cpus <= free.cpus and count * gpus <= free.gpus:
        return otherwise
    gpus_free = f" and {_amount(free.gpus, 'GPU')}" if gpus else ""
    size = " and ".join(_amount(n, unit) for n, unit in ((cpus, "CPU"), (gpus, "GPU")) if n) or "a process"
    wanted = f"{count} workers of {size} each" if count > 1 else size
    return f"waiting for {wanted}; {_amount(free.cpus, 'CPU')}{gpus_free} free"


def _amount(n: float, unit: str) -> str:
    return f"{n:g} {unit}{'' if n == 1 else 's'}"
