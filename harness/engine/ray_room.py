"""What a Ray cluster has free, in words."""

from __future__ import annotations

import ray


def waiting_for_room(cpus: float, gpus: float, count: int = 1) -> str:
    """What ``count`` actors or workers of a size wait for, and what is free on all nodes together."""
    free = ray.available_resources()
    gpus_free = f" and {_amount(free.get('GPU', 0.0), 'GPU')}" if gpus else ""
    size = " and ".join(_amount(n, unit) for n, unit in ((cpus, "CPU"), (gpus, "GPU")) if n) or "a process"
    wanted = f"{count} workers of {size} each" if count > 1 else size
    return f"waiting for {wanted}; {_amount(free.get('CPU', 0.0), 'CPU')}{gpus_free} free"


def _amount(n: float, unit: str) -> str:
    return f"{n:g} {unit}{'' if n == 1 else 's'}"
