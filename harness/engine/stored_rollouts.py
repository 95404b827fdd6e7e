"""The rollouts of a training as they are stored: any process that sees the results folder loads a shard by itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.core.records import Grade, GradedSolution, Problem, Response, Solution, StepLabels, TokenLogprobs
from harness.core.rollouts import RolloutShard, RolloutShards
from harness.engine.graph import Training
from harness.storage.arrow import to_records
from harness.storage.shards import read_shard


@dataclass(frozen=True)
class StoredRollouts(RolloutShard):
    """The files of a shard of rollouts and of what was made of them, all in the order of the rollouts but the labels.

    Attributes:
        problems: as the training knows them, by the ids that the files have.
        passes: the token passes, by role.
        labels: the step labels, where there are any.
    """

    problems: Mapping[str, Problem]
    responses: Path
    grades: Path
    passes: Mapping[str, Path]
    labels: Path | None = None

    @cached_property
    def _rows(self) -> tuple[int, Sequence[str]]:
        """How many rollouts, and to which problems."""
        ids = read_shard(self.responses, ["problem_id"])["problem_id"]
        return len(ids), [self.problems[id_].problem_id for id_ in ids.unique().to_pylist()]

    @property
    def problem_ids(self) -> Sequence[str]:
        return self._rows[1]

    def __len__(self) -> int:
        return self._rows[0]

    def load(self) -> list[GradedSolution]:
        responses = to_records(Response, read_shard(self.responses))
        grades = to_records(Grade, read_shard(self.grades))
        passes = {role: to_records(TokenLogprobs, read_shard(path)) for role, path in self.passes.items()}
        steps = {} if self.labels is None else _steps(self.labels)
        rollouts = []
        for row, (response, grade) in enumerate(zip(responses, grades, strict=True)):
            logprobs = {role: records[row] for role, records in passes.items()}
            solution = Solution(self.problems[response.problem_id], response, logprobs)
            rollouts.append(GradedSolution(solution, grade.correct, steps.get((response.problem_id, response.sample))))
        return rollouts


def stored_rollouts(training: Training, results: Path) -> RolloutShards:
    """The rollouts that a training is given."""
    results, ids = results.resolve(), training.problem_ids
    labels = {shard.inputs["responses"]: shard for shard in training.labels}
    shards = []
    for i, shard in enumerate(training.rollouts):
        shards.append(
            StoredRollouts(
                {p.problem_id: _named(p, ids[p.problem_id, p.problem]) for p in shard.problems},
                shard.path(results),
                training.grades[i].path(results),
                {role: of_role[i].path(results) for role, of_role in training.passes.items()},
                labels[shard].path(results) if shard in labels else None,
            )
        )
    return RolloutShards(shards)


def _named(problem: Problem, problem_id: str) -> Problem:
    return problem if problem.problem_id == problem_id else dataclasses.replace(problem, problem_id=problem_id)


def _steps(labels: Path) -> dict[tuple[str, int], tuple[float, ...]]:
    """(problem id, sample) -> the share of right completions after each step; NaN where there is none."""
    records = to_records(StepLabels, read_shard(labels))
    return {(of.problem_id, of.sample): tuple(map(_share, of.n_correct, of.n)) for of in records}


def _share(n_correct: int, n: int) -> float:
    return n_correct / n if n else math.nan
