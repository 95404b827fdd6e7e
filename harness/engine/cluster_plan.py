"""What a plan takes on a cluster: its stages and trainings as jobs, and the simulation of their run.

A stage's work is divided over its shards, and a training's over its workers. What a model without GPUs, or no model,
takes is a rough guess; it counts where it holds up what needs GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.core.errors import UserError
from harness.core.stages import Task
from harness.cost_model import gpus as hardware
from harness.engine.critical_path import by_urgency
from harness.engine.executor import Machine, check_placement, replicas_of
from harness.engine.graph import Graph, Node, Shard, Stage, Training
from harness.engine.plan import Plan, PlannedStage, Planner
from harness.engine.simulation import Job, Schedule, simulate

CPUS_PER_GPU = 8  # of a node, where nobody says
START_S, START_ON_CPU_S = 60.0, 5.0  # of a process with a model, besides reading its weights
DISK_BANDWIDTH = 2e9  # bytes/s: weights read by each replica, and states of a training written
STATE_BYTES = 12  # of a parameter, in a training's saved state: float32 weights and Adam's two moments
GRADE_S, ARITHMETIC_S = 5e-4, 1e-4  # of a response, where no model runs
_WEIGHT_BYTES = 2
_LEAST_S = 1.0  # between two saved states, where they are asked for after every step


@dataclass(frozen=True)
class Cluster:
    """``nodes`` nodes of ``gpus`` GPUs and ``cpus`` CPUs each."""

    nodes: int
    gpus: int
    cpus: int

    @classmethod
    def parse(cls, text: str) -> Cluster:
        """From ``2x8``, nodes x GPUs, or ``2x8x64``, with CPUs.

        Raises:
            UserError: for anything else.
        """
        if not re.fullmatch(r"[1-9]\d{0,4}x\d{1,3}(x[1-9]\d{0,4})?", text):
            raise UserError(f"--cluster {text}: NODESxGPUS or NODESxGPUSxCPUS wanted, for instance 2x8 or 2x8x64")
        nodes, gpus, *cpus = map(int, text.split("x"))
        return cls(nodes, gpus, cpus[0] if cpus else CPUS_PER_GPU * max(gpus, 1))

    @property
    def machines(self) -> dict[str, Machine]:
        return {f"node {number}": Machine(self.cpus, self.gpus) for number in range(self.nodes)}


@dataclass(frozen=True)
class Place:
    """Where a stage or training runs: ``actors`` of ``processes`` with so many ``cpus`` and ``gpus`` each, from hour
    ``start`` to hour ``end``."""

    actors: int
    processes: int
    cpus: float
    gpus: float
    start: float
    end: float


@dataclass(frozen=True)
class ClusterRun:
    """A simulated run, in hours and GPU-hours.

    ``busy`` is the work of GPUs, ``held`` what actors hold them for, and ``reserved`` all GPUs for all of ``wall``. Of
    ``held``, ``starting`` is before an actor's first shard, and ``saving`` the saved states and final weights of
    trainings. ``disk`` are the bytes at the most, with the states of trainings that run at the same time. ``places``
    are those of the plan's stages; None for what is stored.
    """

    tokens: int
    steps: int
    wall: float
    busy: float
    held: float
    reserved: float
    starting: float
    saving: float
    disk: float
    places: list[Place | None] = field(repr=False)

    @property
    def idle(self) -> float:
        """The share of reserved GPU-hours in which a GPU does no work."""
        return 1 - self.busy / self.reserved if self.reserved else 0.0


class ClusterPlanner:
    """Simulates the run of a graph.

    Raises:
        UserError: for an entry that the cluster could never hold.
    """

    def __init__(self, graph: Graph, planner: Planner, cluster: Cluster) -> None:
        self._graph, self._planner, self._cluster = graph, planner, cluster
        self._places = {node: place for place, node in enumerate(by_urgency(graph, graph.nodes))}
        self._todo = [node for node in graph.nodes if self._shards(node) or _is_missing(node, graph)]
        self._numbers = {node: number for number, node in enumerate(self._todo)}
        self._tasks = {
            shard: (number, task)
            for node, number in self._numbers.items()
            for task, shard in enumerate(self._shards(node))
        }
        for node in self._todo:
            check_placement(node.spec, [*cluster.machines.values()])

    def run(self, plan: Plan) -> ClusterRun:
        """The run of a plan of the graph."""
        rows = {node: row for node, row in zip(self._graph.nodes, plan.stages, strict=True) if node in self._numbers}
        saves = {node: _saves(node, row) for node, row in rows.items() if isinstance(node, Training)}
        jobs = [self._job(node, rows[node]) for node in self._todo]
        schedule = simulate(jobs, self._cluster.machines)
        held = sum((seat.end - seat.start) * _gpus(jobs[seat.job]) for seat in schedule.seats)
        starting = sum(jobs[seat.job].start_s * _gpus(jobs[seat.job]) for seat in schedule.seats)
        saving = sum(save.seconds * _gpus(jobs[self._numbers[node]]) for node, save in saves.items())
        return ClusterRun(
            tokens=plan.tokens,
            steps=plan.steps,
            wall=schedule.wall_s / 3600,
            busy=sum(row.gpu_hours or 0.0 for row in rows.values() if not row.on_cpus),
            held=held / 3600,
            reserved=self._cluster.nodes * self._cluster.gpus * schedule.wall_s / 3600,
            starting=starting / 3600,
            saving=saving / 3600,
            disk=sum(row.disk or 0.0 for row in plan.stages) + self._states(saves, schedule),
            places=[self._place(node, jobs, schedule) for node in self._graph.nodes],
        )

    def assumptions(self) -> Iterator[str]:
        """What is assumed besides what the plan says."""
        cluster = self._cluster
        yield (
            f"Cluster: {cluster.nodes} nodes of {cluster.gpus} GPUs and {cluster.cpus} CPUs. What has the longest way "
            "ahead starts first; a replica leaves when no shard is left for it."
        )
        yield (
            f"A process with a model starts in {START_S:.0f} s ({START_ON_CPU_S:.0f} s without GPUs) and reads its "
            f"weights at {DISK_BANDWIDTH / 1e9:g} GB/s; a model that stays loaded for the next stage saves that."
        )
        if any(isinstance(node, Training) for node in self._todo):
            yield (
                f"Trainings save {STATE_BYTES} bytes per parameter, at {DISK_BANDWIDTH / 1e9:g} GB/s in all, as often "
                "as they say, and the weights at the end; of two states one is kept. Preparing rollouts takes no time."
            )
        yield (
            f"Grading takes {1000 * GRADE_S:g} ms a response, arithmetic {1000 * ARITHMETIC_S:g} ms; a model without "
            f"GPUs computes {hardware.CPU_FLOPS / 1e9:.0f} GFLOP/s on each of its CPUs."
        )
        yield "Layers over several GPUs (num_gpus) compute one after the other; tensor parallelism is perfect."

    def warnings(self, plan: Plan) -> Iterator[str]:
        """What runs a model without GPUs, and what takes no time here because its model is unknown."""
        rows = [(node, row) for node, row in zip(self._graph.nodes, plan.stages, strict=True) if node in self._numbers]
        if on_cpus := [f"{row.kind} {row.who}" for _, row in rows if row.on_cpus]:
            yield f"! Without GPUs, but with a model: {', '.join(on_cpus)}."
        if unknown := [f"{row.kind} {row.who}" for _, row in rows if row.gpu_hours is None]:
            yield f"Taken to need no time, as their models are unknown or do not fit: {', '.join(unknown)}."

    # -- a stage or training as a job ---------------------------------------------------------------------------

    def _shards(self, node: Node) -> list[Shard]:
        return self._planner.missing(node) if isinstance(node, Stage) else []

    def _job(self, node: Node, row: PlannedStage) -> Job:
        before = {self._numbers[other] for other in node.requires if other in self._numbers}
        runs_model = row.gpu_hours is None or row.gpu_hours > 0
        start_s = (START_ON_CPU_S if row.on_cpus or not runs_model else START_S) + row.weights / DISK_BANDWIDTH
        if isinstance(node, Training):
            workers = node.params.in_workers()
            return Job(
                tasks=(_training_s(node, row) + _saves(node, row).seconds,),
                place=self._places[node],
                processes=workers.count,
                cpus=workers.cpus,
                gpus=workers.gpus,
                start_s=start_s,
                after=frozenset(before),
            )
        assert isinstance(node, Stage)
        shards, pool = self._shards(node), node.spec.pool
        whole = _stage_s(node, row)
        reads = {
            task: [self._tasks[read] for read in shard.inputs.values() if read in self._tasks]
            for task, shard in enumerate(shards)
        }
        if pool.holds_resources:  # it begins when all that it reads is complete
            before |= {number for made in reads.values() for number, _ in made}
            reads = {}
        return Job(
            tasks=[whole * shard.n_responses / max(row.responses, 1) for shard in shards],
            place=self._places[node],
            actors=replicas_of(node.spec, self._cluster.machines.values()),
            cpus=pool.num_cpus,
            gpus=pool.num_gpus,
            start_s=start_s,
            after=frozenset(before),
            reads=reads,
        )

    def _place(self, node: Node, jobs: Sequence[Job], schedule: Schedule) -> Place | None:
        number = self._numbers.get(node)
        if number is None:
            return None
        job, (start, end) = jobs[number], schedule.spans[number]
        return Place(min(job.actors, len(job.tasks)), job.processes, job.cpus, job.gpus, start / 3600, end / 3600)

    def _states(self, saves: dict[Training, _Saves], schedule: Schedule) -> float:
        """The most bytes of saved states that are there at one time."""
        changes = []
        for training, save in saves.items():
            start, end = schedule.spans[self._numbers[training]]
            changes += [(start, save.state), (end, -save.state)]
        most = held = 0.0
        for _, change in sorted(changes):
            held += change
            most = max(most, held)
        return most


@dataclass(frozen=True)
class _Saves:
    """Seconds that a training takes to save states and its weights, and the bytes of its states on disk."""

    seconds: float
    state: float


def _saves(training: Training, row: PlannedStage) -> _Saves:
    effort = training.spec.cls.effort(training.spec.params)
    state = 0.0 if effort.frozen else row.weights / _WEIGHT_BYTES * STATE_BYTES  # that of adapters is small
    count = int(_training_s(training, row) / max(60 * effort.checkpoint_minutes, _LEAST_S))
    # The last state goes when the next is whole.
    return _Saves((count * state + row.weights) / DISK_BANDWIDTH, min(count, 2) * state)


def _training_s(training: Training, row: PlannedStage) -> float:
    workers = training.params.in_workers()
    if workers.gpus:
        return (row.gpu_hours or 0.0) * 3600 / workers.count
    return (row.flops or 0.0) / (hardware.CPU_FLOPS * workers.count * workers.cpus)


def _stage_s(stage: Stage, row: PlannedStage) -> float:
    """Seconds that one actor would take for all missing shards."""
    pool = stage.spec.pool
    if row.gpu_hours == 0:
        return row.responses * (GRADE_S if stage.task is Task.GRADE else ARITHMETIC_S)
    if row.on_cpus:
        return (row.flops or 0.0) / (hardware.CPU_FLOPS * max(pool.num_cpus, 1.0))
    return (row.gpu_hours or 0.0) * 3600 / _at_work(stage)


def _at_work(stage: Stage) -> float:
    """How many GPUs of an actor compute at the same time: those of a tensor or pipeline parallel engine, else one."""
    params = stage.spec.params
    together = getattr(params, "tensor_parallel_size", 1) * getattr(params, "pipeline_parallel_size", 1)
    return float(min(stage.spec.pool.num_gpus, together))


def _gpus(job: Job) -> float:
    return job.gpus * job.processes


def _is_missing(node: Node, graph: Graph) -> bool:
    return isinstance(node, Training) and not node.is_done(graph.results)
