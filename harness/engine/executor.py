"""Where a run computes: the engine asks an :class:`Executor`, and does not know whether that is Ray or this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from harness.core.errors import UserError
from harness.core.stages import Task
from harness.core.trainer import TrainerParams
from harness.core.workers import Launcher, Workers
from harness.engine.progress import Line
from harness.engine.tasks import Result
from harness.experiment.spec import Spec

T = TypeVar("T")

_ROUNDING = 1e-9  # ten replicas of 0.1 GPUs share one


class ShardFailed(Exception):
    """A shard failed after the last try. The message is the last error, in one line."""


class StageFailed(Exception):
    """No replica of a component starts; the message is the last error, in one line."""


class Pool(Protocol):
    """The replicas of one component."""

    async def run(self, task: Task, payload: Callable[[], Mapping[str, Any]], n_responses: int) -> Result:
        """Run one shard.

        Args:
            task: a name of ``harness.engine.tasks.TASKS``.
            payload: reads what the task takes; called when a replica is free.
            n_responses: of the shard, for whoever looks on.

        Raises:
            UserError: for a mistake of the user's that only the component could see.
            StageFailed: where no replica is left that could run it.
            ShardFailed: for any other error.
        """
        ...

    def waits_for(self) -> str | None:
        """What the replicas wait for or do; None where one has nothing to do."""
        ...


class Executor(Protocol):
    """Runs shards and trainings. ``start`` comes first, ``close`` last."""

    def start(self) -> None:
        """Begin.

        Raises:
            UserError: where there is nothing to run on.
        """
        ...

    def check(self, spec: Spec[Any]) -> None:
        """Check that a component, or a trainer with all its workers, can ever be placed.

        Raises:
            UserError: where it cannot, however long it waits.
        """
        ...

    def hides_gpus(self) -> bool:
        """Whether there are GPUs which a component sees only if its entry asks for them."""
        ...

    def pool(self, spec: Spec[Any], shards: int, place: int, line: Line) -> AbstractAsyncContextManager[Pool]:
        """Replicas of a component for so many shards, until the context ends.

        Args:
            place: of the stage in the run's order. Of those that wait for the same resources the lowest comes first.
            line: where the stage reports.
        """
        ...

    async def train(self, spec: Spec[Any], place: int, training: Callable[[Launcher], T], line: Line) -> T:
        """Run a training, which gets what launches its workers. They take their resources while they run, when
        ``place`` says. ``line`` is told what the training waits for."""
        ...

    def close(self) -> None:
        """Stop everything that still runs, without waiting for it."""
        ...


@dataclass(frozen=True, slots=True)
class Machine:
    """What one machine has."""

    cpus: float
    gpus: float

    def holds(self, cpus: float, gpus: float) -> float:
        """How many replicas of that size the machine holds."""
        ratios = [
            math.floor(has / needs + _ROUNDING) for has, needs in ((self.cpus, cpus), (self.gpus, gpus)) if needs > 0
        ]
        return min(ratios, default=math.inf)


def workers_of(spec: Spec[Any]) -> Workers:
    """The workers of a training."""
    assert isinstance(spec.params, TrainerParams), f"{spec.where} is a trainer"
    return spec.params.in_workers()


def replicas_of(spec: Spec[Any], nodes: Collection[Machine]) -> int:
    """How many replicas a component asks for: where it leaves that open, as many as all nodes together hold."""
    pool = spec.pool
    if pool.replicas != "auto":
        return pool.replicas
    if not pool.holds_resources:
        return max(1, int(sum(node.cpus for node in nodes)))
    return max(1, int(sum(node.holds(pool.num_cpus, pool.num_gpus) for node in nodes)))


def check_placement(spec: Spec[Any], machines: Sequence[Machine]) -> None:
    """Check that the machines can hold a replica of a component, or all workers of a training at once.

    Raises:
        UserError: naming the entry, what it asks for, and what there is.
    """
    size: dict[str, float]
    if spec.kind == "trainers":
        workers = workers_of(spec)
        count, size = workers.count, {"cpus_per_worker": workers.cpus, "gpus_per_worker": workers.gpus}
    else:
        count, size = 1, {"num_cpus": spec.pool.num_cpus, "num_gpus": spec.pool.num_gpus}
    cpus, gpus = size.values()
    most = max(machine.cpus for machine in machines), max(machine.gpus for machine in machines)
    for (option, needs), has in zip(size.items(), most, strict=True):
        if needs > has:
            raise UserError(f"{spec.where}.{option}: {needs:g} wanted, no node has more than {has:g}")
    places = sum(machine.holds(cpus, gpus) for machine in machines)
    if places == 0:
        raise UserError(f"{spec.where}: {cpus:g} CPUs and {gpus:g} GPUs wanted on one node, no node has both")
    if places < count:
        each = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        raise UserError(f"{spec.where}.workers: {count} of {each} each wanted, there is room for {places:g}")
