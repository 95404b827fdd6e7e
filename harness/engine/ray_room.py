"""What actors and workers wait for, in words, and what a Ray cluster has free."""

from __future__ import annotations

from collections.abc import Sequence

import ray
from ray._private.state import available_resources_per_node

from harness.engine.executor import Machine
from harness.engine.room import fitting

#: What an actor waits for whose room is free: another one may take it only if the earlier one does not need it.
TURN = "waiting until an earlier stage has what it needs"


def nodes_of_ray() -> dict[str, Machine]:
    """All nodes, with all of their CPUs and GPUs; none once Ray has ended."""
    if not ray.is_initialized():
        return {}
    alive = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    return {node: Machine(has.get("CPU", 0.0), has.get("GPU", 0.0)) for node, has in alive.items()}


def free_on_ray() -> list[Machine]:
    """What is free on each node."""
    free = available_resources_per_node().values()  # there is no public way
    return [Machine(has.get("CPU", 0.0), has.get("GPU", 0.0)) for has in free]


def waiting_for_room(cpus: float, gpus: float, free: Sequence[Machine], otherwise: str, count: int = 1) -> str:
    """What ``count`` actors or workers of a size wait for; ``otherwise`` where nodes have all of that free."""
    if fitting(cpus, gpus, count, {str(i): node for i, node in enumerate(free)}) is not None or cpus == gpus == 0:
        return otherwise
    cpus_free, gpus_free = sum(node.cpus for node in free), sum(node.gpus for node in free)
    says_gpus = f" and {_amount(gpus_free, 'GPU')}" if gpus else ""
    size = " and ".join(_amount(n, unit) for n, unit in ((cpus, "CPU"), (gpus, "GPU")) if n)
    wanted = f"{count} workers of {size} each" if count > 1 else size
    is_scattered = count * cpus <= cpus_free and count * gpus <= gpus_free
    where = (" on single nodes" if count > 1 else " on one node") if is_scattered else ""
    return (
        f"waiting for {wanted}{where}; {_amount(cpus_free, 'CPU')}{says_gpus} free{' in all' if is_scattered else ''}"
    )


def _amount(n: float, unit: str) -> str:
    return f"{n:g} {unit}{'' if n == 1 else 's'}"
