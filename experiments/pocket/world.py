"""The pocket world: a procedural problem set in the form of MATH, as the dataset ``pocket``.

A hash of a problem's text decides its split. So no problem is in two splits, whatever the seeds and limits, and the
models' training corpora cannot hold problems of other splits.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from bonbench.experiments.pocket.students import Student, Work, gold_form
from bonbench.experiments.pocket.subjects import LEVELS, SUBJECTS, Task
from harness.core.components import Dataset
from harness.core.errors import suggest
from harness.core.params import ComponentParams
from harness.core.records import Problem

Split = Literal["train", "validation", "test"]
_ERROR_FREE = Student()


@dataclass(frozen=True)
class Exercise:
    """A task with its subject, its level and its gold answer."""

    task: Task
    subject: str
    level: int
    answer: str

    def solution(self, student: Student = _ERROR_FREE, seed: int = 0) -> str:
        """The solution that ``student`` writes; without arguments, the reference solution."""
        work = Work(student, random.Random(seed))
        return work.finish(self.task.solve(work))


def split_of(problem: str) -> Split:
    """The split of a problem: a tenth of all texts is test, a tenth validation, the rest training."""
    bucket = hashlib.sha256(problem.encode()).digest()[0] % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def exercises(split: Split, seed: int, subjects: Collection[str] = tuple(SUBJECTS)) -> Iterator[Exercise]:
    """An endless stream of a split's exercises, each (subject, level) equally often; problems may recur."""
    rng = random.Random(f"pocket-{split}-{seed}")
    cells = [(subject, level) for level in LEVELS for subject in SUBJECTS if subject in subjects]
    while True:
        rng.shuffle(cells)
        for subject, level in cells:
            task = SUBJECTS[subject](level, rng)
            while split_of(task.problem) != split:
                task = SUBJECTS[subject](level, rng)
            work = Work(_ERROR_FREE, random.Random(0))
            yield Exercise(task, subject, level, gold_form(task.solve(work)))


class PocketParams(ComponentParams):
    """``limit`` different problems of a split and of some ``subjects``; another ``seed`` draws other problems.

    Every (subject, level) has the same share of a few hundred problems. With more problems the small levels run out of
    new ones, and have a smaller share.
    """

    split: Split = "test"
    limit: int = Field(200, ge=1, le=2000)
    seed: int = 0
    subjects: list[str] = Field(list(SUBJECTS), min_length=1)

    @field_validator("subjects")
    @classmethod
    def _named_right(cls, subjects: list[str]) -> list[str]:
        for subject in subjects:
            if subject not in SUBJECTS:
                raise ValueError(f"no subject is named {subject!r}{suggest(subject, SUBJECTS)}")
        return subjects


class PocketDataset(Dataset[PocketParams]):
    """Problems of the pocket world."""

    Params = PocketParams

    def load(self) -> list[Problem]:
        split = self.params.split
        problems: dict[str, Problem] = {}
        for exercise in exercises(split, self.params.seed, self.params.subjects):
            if len(problems) == self.params.limit:
                break
            text = exercise.task.problem
            if text not in problems:
                name = f"pocket-{split}-{len(problems):04}"
                problems[text] = Problem(name, text, exercise.answer, exercise.subject, exercise.level, split)
        return list(problems.values())
