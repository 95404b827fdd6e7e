"""The simulation of a run: small schedules by hand, and what holds of any schedule."""

from __future__ import annotations

import random

import pytest

from harness.engine.executor import Machine
from harness.engine.simulation import Job, Schedule, simulate

ONE = {"a": Machine(cpus=8, gpus=2)}


def spans(jobs: list[Job], machines: dict[str, Machine]) -> list[tuple[float, float]]:
    return simulate(jobs, machines).spans


def test_shards_are_shared_by_replicas_that_start_first() -> None:
    # Two replicas load for 1 s and share five shards of 2 s: three for one of them.
    (span,) = spans([Job(tasks=[2.0] * 5, actors=2, gpus=1, start_s=1)], ONE)
    assert span == (0, 7)
    # The other one leaves at 5: what waits for a GPU starts there.
    jobs = [Job(tasks=[2.0] * 5, actors=2, gpus=1, start_s=1), Job(tasks=[1.0], place=1, gpus=1)]
    assert spans(jobs, ONE) == [(0, 7), (5, 6)]


def test_more_replicas_than_shards_are_not_asked_for() -> None:
    schedule = simulate([Job(tasks=[1.0], actors=4, gpus=1), Job(tasks=[1.0], place=1, gpus=1)], ONE)
    assert schedule.spans == [(0, 1), (0, 1)]
    assert len(schedule.seats) == 2


def test_what_holds_resources_waits_for_all_that_it_reads_and_what_holds_none_follows() -> None:
    sample = Job(tasks=[1.0] * 4, gpus=1)
    grade = Job(tasks=[0.5] * 4, reads={task: [(0, task)] for task in range(4)})
    train = Job(tasks=[3.0], place=1, processes=2, gpus=1, after=frozenset({1}))
    schedule = simulate([sample, grade, train], ONE)
    assert schedule.tasks[1] == [(1, 1.5), (2, 2.5), (3, 3.5), (4, 4.5)]
    assert schedule.spans == [(0, 4), (1, 4.5), (4.5, 7.5)]


def test_the_lower_place_comes_first_and_nothing_overtakes_it_with_what_it_lacks() -> None:
    jobs = [
        Job(tasks=[2.0], place=0, gpus=1, cpus=1),
        Job(tasks=[1.0], place=1, gpus=2, cpus=1),  # needs both
        Job(tasks=[1.0], place=2, gpus=1, cpus=1),  # one is free, but kept
        Job(tasks=[1.0], place=3, cpus=4),  # takes no GPU
    ]
    assert spans(jobs, ONE) == [(0, 2), (2, 3), (3, 4), (0, 1)]


def test_processes_of_a_training_may_be_on_several_machines_and_an_actor_on_one() -> None:
    two = {"a": Machine(cpus=8, gpus=2), "b": Machine(cpus=8, gpus=2)}
    jobs = [
        Job(tasks=[1.0], place=0, gpus=1),
        Job(tasks=[1.0], place=1, processes=3, gpus=1),
        Job(tasks=[1.0], place=2, gpus=2),
    ]
    schedule = simulate(jobs, two)
    assert schedule.spans == [(0, 1), (0, 1), (1, 2)]
    assert {seat.job: sorted(seat.machines) for seat in schedule.seats} == {0: ["a"], 1: ["a", "b", "b"], 2: ["a"]}


def test_half_a_gpu_is_shared() -> None:
    assert spans([Job(tasks=[1.0] * 4, actors=4, gpus=0.5)], ONE) == [(0, 1)]


def test_what_cannot_end_is_an_error() -> None:
    for jobs in ([Job(tasks=[1.0], gpus=3)], [Job(tasks=[1.0], after=frozenset({0}))]):
        with pytest.raises(ValueError, match="jobs \\[0\\] wait"):
            simulate(jobs, ONE)
    assert simulate([Job(tasks=[]), Job(tasks=[1.0], after=frozenset({0}))], ONE).wall_s == 1


@pytest.mark.parametrize("seed", range(40))
def test_what_holds_of_any_schedule(seed: int) -> None:
    """Nothing begins before what it needs is done, no machine ever holds more than it has, every task is done once, and
    all takes at least as long as the longest path and as the work on all GPUs."""
    rng = random.Random(seed)
    machines = {name: Machine(cpus=rng.choice([4, 8]), gpus=4) for name in "abc"[: rng.choice([1, 2, 3])]}
    jobs: list[Job] = []
    for number in range(rng.randint(1, 12)):
        tasks = [rng.choice([0.0, 0.5, 1.0, 2.5]) for _ in range(rng.randint(1, 6))]
        after = frozenset(other for other in range(number) if rng.random() < 0.25)
        if number and rng.random() < 0.3:
            read = rng.randrange(number)
            count = len(jobs[read].tasks)
            jobs.append(Job(tasks=tasks, actors=2, reads={task: [(read, task % count)] for task in range(len(tasks))}))
            continue
        gang = rng.random() < 0.3
        jobs.append(
            Job(
                tasks=tasks[:1] if gang else tasks,
                place=rng.randrange(5),
                actors=1 if gang else rng.randint(1, 4),
                processes=rng.choice([1, 2, 4]) if gang else 1,
                cpus=rng.choice([0, 1]),
                gpus=1 if gang else rng.choice([0, 0.5, 1, 2, 4]),
                start_s=rng.choice([0.0, 0.25]),
                after=after,
            )
        )
    schedule = simulate(jobs, machines)
    check(schedule, jobs, machines)


def check(schedule: Schedule, jobs: list[Job], machines: dict[str, Machine]) -> None:
    ends = [end for _, end in schedule.spans]
    for job, times, (start, end) in zip(jobs, schedule.tasks, schedule.spans, strict=True):
        assert [stop - begin for begin, stop in times] == pytest.approx(list(job.tasks))
        assert all(start <= begin and stop <= end for begin, stop in times)
        assert all(start >= ends[before] for before in job.after)
        for task, reads in job.reads.items():
            assert all(times[task][0] >= schedule.tasks[read][number][1] for read, number in reads)
        # Never more shards at a time than actors.
        for begin, _ in times:
            assert sum(b <= begin < s for b, s in times) <= job.actors
    for moment in {seat.start for seat in schedule.seats}:
        inside = [seat for seat in schedule.seats if seat.start <= moment < seat.end]
        for name, machine in machines.items():
            places = [jobs[seat.job] for seat in inside for at in seat.machines if at == name]
            assert sum(job.cpus for job in places) <= machine.cpus
            assert sum(job.gpus for job in places) <= machine.gpus
    work = sum(job.gpus * job.processes * sum(job.tasks) for job in jobs)
    assert schedule.wall_s >= work / sum(machine.gpus for machine in machines.values()) - 1e-9
    longest: list[float] = []
    for job in jobs:
        needed = [longest[before] for before in job.after]
        own = max(job.tasks) + job.start_s
        longest.append(own + max(needed, default=0.0))
    assert schedule.wall_s >= max(longest) - 1e-9
