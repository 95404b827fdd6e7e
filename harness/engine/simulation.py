"""How long jobs take on machines: a simulation of a run by its own rules, from one event to the next. Nothing runs.

The rules are those of ``harness.engine.run`` and its room: a job whose actors hold CPUs or GPUs begins when all that it
reads is complete; one that holds nothing follows task by task. Actors are let in by the place of their job. One may
overtake an earlier one only if it takes no resource that the earlier one lacks. An actor leaves when no task is left
for it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.engine.executor import Machine
from harness.engine.room import fitting


@dataclass(frozen=True)
class Job:
    """A stage or a training, as far as time goes.

    Attributes:
        tasks: seconds of each task (a shard; a training is one task), in the order in which they are taken.
        place: the lowest is let in first.
        actors: how many work at once at most.
        processes: of an actor, each with so many ``cpus`` and ``gpus`` of one machine; they start together.
        start_s: seconds of an actor before its first task.
        after: jobs, by their number, that must be complete before an actor asks for room.
        reads: for a task, the tasks (job, number) that must be done before it begins.
    """

    tasks: Sequence[float]
    place: int = 0
    actors: int = 1
    processes: int = 1
    cpus: float = 0.0
    gpus: float = 0.0
    start_s: float = 0.0
    after: frozenset[int] = frozenset()
    reads: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)

    @property
    def holds_nothing(self) -> bool:
        return self.cpus == self.gpus == 0


@dataclass(frozen=True)
class Seat:
    """The time of an actor of a job, in seconds, and the machine of each of its processes."""

    job: int
    start: float
    end: float
    machines: Sequence[str]


@dataclass(frozen=True)
class Schedule:
    """When everything is.

    Attributes:
        spans: of each job, when its first actor is let in (its first task begins, where it holds nothing) and its last
            task is done.
        tasks: of each job, when each task begins and ends.
        seats: of all actors that hold something.
    """

    spans: list[tuple[float, float]]
    tasks: list[list[tuple[float, float]]]
    seats: list[Seat]

    @property
    def wall_s(self) -> float:
        return max((end for _, end in self.spans), default=0.0)


def simulate(jobs: Sequence[Job], machines: Mapping[str, Machine]) -> Schedule:
    """The schedule of the jobs on the machines.

    Raises:
        ValueError: for jobs that wait for each other, or for more than there is.
    """
    return _Simulation(jobs, machines).run()


@dataclass
class _State:
    """How far a job is."""

    ready: deque[int]  # tasks that may begin
    unread: dict[int, int]  # task -> how many of the tasks that it reads are not done
    is_open: bool = False
    left: int = 0  # tasks that are not done
    asking: int = 0  # actors that wait to be let in
    inside: int = 0
    idle: list[int] = field(default_factory=list)  # actors without a task


class _Simulation:
    def __init__(self, jobs: Sequence[Job], machines: Mapping[str, Machine]) -> None:
        self._jobs, self._free = jobs, dict(machines)
        self._states = [
            _State(
                ready=deque(),
                unread={task: len(reads) for task, reads in job.reads.items() if reads},
                left=len(job.tasks),
            )
            for job in jobs
        ]
        self._readers: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for number, job in enumerate(jobs):
            for task, reads in job.reads.items():
                for read in reads:
                    self._readers.setdefault(read, []).append((number, task))
        self._now = 0.0
        self._events: list[tuple[float, int, int, int, int | None]] = []  # time, order, job, actor, the task it ends
        self._order = itertools.count()
        self._actors: list[tuple[float, Sequence[str]]] = []  # when each was let in, and where
        self._starts: list[float | None] = [None] * len(jobs)
        self._ends = [0.0] * len(jobs)
        self._times: list[list[tuple[float, float]]] = [[(0.0, 0.0)] * len(job.tasks) for job in jobs]
        self._seats: list[Seat] = []

    def run(self) -> Schedule:
        self._open()
        self._let_in()
        while self._events:
            self._now = self._events[0][0]
            while self._events and self._events[0][0] == self._now:
                _, _, job, actor, ended = heapq.heappop(self._events)
                if ended is not None:
                    self._end(job, ended)
                self._states[job].idle.append(actor)
            self._open()
            for job, state in enumerate(self._states):
                if state.idle:
                    self._give_tasks(job)
            self._let_in()
        if stuck := [number for number, state in enumerate(self._states) if state.left]:
            raise ValueError(f"jobs {stuck} wait for each other, or for more than there is")
        spans = [(start or 0.0, end) for start, end in zip(self._starts, self._ends, strict=True)]
        return Schedule(spans, self._times, self._seats)

    def _open(self) -> None:
        """Let the jobs ask for room that may begin now. One without tasks is complete at once."""
        for number, (job, state) in enumerate(zip(self._jobs, self._states, strict=True)):
            if not state.is_open and all(self._states[before].left == 0 for before in job.after):
                state.is_open = True
                state.asking = min(job.actors, len(job.tasks))
                state.ready.extend(task for task in range(len(job.tasks)) if task not in state.unread)
                if not job.tasks:
                    self._starts[number], self._ends[number] = self._now, self._now

    def _end(self, number: int, task: int) -> None:
        """A task is done: those that read it may be ready."""
        self._states[number].left -= 1
        self._ends[number] = self._now
        for reader, reading in self._readers.get((number, task), ()):
            state = self._states[reader]
            state.unread[reading] -= 1
            if state.unread[reading] == 0:
                del state.unread[reading]
                if state.is_open:
                    state.ready.append(reading)

    def _give_tasks(self, number: int) -> None:
        job, state = self._jobs[number], self._states[number]
        while state.idle and state.ready:
            actor, task = state.idle.pop(0), state.ready.popleft()
            if self._starts[number] is None:
                self._starts[number] = self._now
            self._times[number][task] = (self._now, self._now + job.tasks[task])
            self._at(self._now + job.tasks[task], number, actor, task)
        while state.idle and not state.ready and state.inside > len(state.unread):  # no task will come for it
            self._leave(number, state.idle.pop(0))
        state.asking = max(0, min(state.asking, state.left - state.inside))

    def _let_in(self) -> None:
        """Let in whoever may enter, in the order of their places."""
        cpus_are_kept = gpus_are_kept = False  # for one that stands before
        waiting = [number for number, state in enumerate(self._states) if state.asking]
        for number in sorted(waiting, key=lambda number: self._jobs[number].place):
            job, state = self._jobs[number], self._states[number]
            while state.asking:
                if (cpus_are_kept and job.cpus > 0) or (gpus_are_kept and job.gpus > 0):
                    break
                seat = fitting(job.cpus, job.gpus, job.processes, self._free)
                if seat is None:
                    lacks_cpus = fitting(job.cpus, 0, job.processes, self._free) is None
                    lacks_gpus = fitting(0, job.gpus, job.processes, self._free) is None
                    neither = not lacks_cpus and not lacks_gpus  # each is there, but not on the same machines
                    cpus_are_kept |= lacks_cpus or neither
                    gpus_are_kept |= lacks_gpus or neither
                    break
                self._enter(number, seat)

    def _enter(self, number: int, machines: Sequence[str]) -> None:
        job, state = self._jobs[number], self._states[number]
        state.asking -= 1
        state.inside += 1
        self._reserve(job, machines, 1)
        self._actors.append((self._now, machines))
        if self._starts[number] is None and not job.holds_nothing:
            self._starts[number] = self._now
        self._at(self._now + job.start_s, number, len(self._actors) - 1, None)

    def _leave(self, number: int, actor: int) -> None:
        job, (start, machines) = self._jobs[number], self._actors[actor]
        self._states[number].inside -= 1
        self._reserve(job, machines, -1)
        if not job.holds_nothing:
            self._seats.append(Seat(number, start, self._now, machines))

    def _at(self, time: float, job: int, actor: int, ended: int | None) -> None:
        heapq.heappush(self._events, (time, next(self._order), job, actor, ended))

    def _reserve(self, job: Job, machines: Sequence[str], times: int) -> None:
        for machine in machines:
            free = self._free[machine]
            self._free[machine] = Machine(free.cpus - times * job.cpus, free.gpus - times * job.gpus)
