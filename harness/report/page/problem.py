"""One problem as the explorer shows it: its graded responses, their step rewards, and what every chooser takes.

Problems are read one after the other, so that a large run's responses need not be in memory together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from harness.analysis.choosers import Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.selection import best_of_n, highest, majority, response_scores
from harness.core.arrays import Bools, Floats, Ints
from harness.core.records import Response, StepScores
from harness.core.solution_parts import Reads, span_of
from harness.core.stages import StageKind
from harness.core.terms import ScoreType
from harness.report.page.blocks import rounded


class Steps(NamedTuple):
    """A reward model's steps of a response: their rewards, rounded, and the character offsets at which they end (None
    where recorded steps do not rebuild the text). Where the first step does not begin with the text, because a part of
    it is read, ``ends`` has one more number: at first the offset at which that step begins."""

    rewards: list[float]
    ends: list[int] | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A graded response. ``steps`` are by reward model, for the reward models that have scored every response."""

    number: int
    text: str
    extracted: str | None
    correct: bool
    reason: str
    answer_class: int
    steps: Mapping[str, Steps]


class Answer(NamedTuple):
    """Equivalent answers: how often given, as first written, and whether right (where graders disagree: the first)."""

    answer_class: int
    votes: int
    right: bool
    text: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """What a chooser takes: the scores of all responses, float [N], -inf for unscored ones, and the rows that share the
    best one.

    One of them is taken with equal chances; ``accuracy`` is what to expect of it.
    """

    scores: Floats
    rows: list[int]
    accuracy: float


@dataclass(frozen=True)
class ExploredProblem:
    """All graded responses to a problem by one generator, in the order of their sample numbers.

    ``answers`` come with the most votes first. ``majority`` is the expected accuracy of the majority. ``choices`` are
    by best-of-n chooser, None where the reward model has not scored every response.
    """

    samples: list[Sample]
    answers: list[Answer]
    majority: float
    choices: Mapping[Chooser, Choice | None]

    @property
    def n_right(self) -> int:
        """How many responses are right."""
        return sum(sample.correct for sample in self.samples)

    @property
    def elected(self) -> list[int]:
        """The answer classes that share the most votes."""
        return [answer.answer_class for answer in self.answers if answer.votes == self.answers[0].votes]

    @cached_property
    def singled_out(self) -> set[int]:
        """The first row that each chooser, and the majority, could take."""
        rows = {choice.rows[0] for choice in self.choices.values() if choice}
        elected = self.elected
        voters = (row for row, sample in enumerate(self.samples) if sample.answer_class in elected)
        return rows | set(islice(voters, 1))

    def rows_shown(self, first: int) -> list[int]:
        """The rows that the page shows: the ``first`` rows, and the rows that are singled out."""
        return sorted({*range(min(first, len(self.samples))), *self.singled_out})


def explored_problems(evaluation: Evaluation, generator: str, n: int) -> Iterator[ExploredProblem | None]:
    """The first ``n`` problems in order; None for one without graded responses by the generator."""
    results, models = evaluation.results, evaluation.first_choosers
    responses = results.rows(Response, StageKind.SAMPLE.folder, generator)
    grades = results.graded(generator)
    scores = {model: results.rows(StepScores, StageKind.SCORE.folder, model, generator) for model in models}
    facts = results.manifest.reward_models
    score_types = {model: facts[model].score_type for model in models}
    reads: dict[str, Reads] = {model: facts[model].reads for model in models}
    for problem_id in results.problems["problem_id"].head(n):
        graded = grades[problem_id].sort_by("sample")
        if not len(graded):
            yield None
            continue
        stored = responses[problem_id]
        texts = dict(zip(stored.column("sample").to_pylist(), stored.column("text").to_pylist(), strict=True))
        tables = {model: of_model[problem_id] for model, of_model in scores.items()}
        yield _explored(graded, texts, tables, score_types, reads, list(evaluation.choosers))


def _explored(
    grades: pa.Table,
    texts: Mapping[int, str],
    tables: Mapping[str, pa.Table],
    score_types: Mapping[str, ScoreType],
    reads: Mapping[str, Reads],
    choosers: Sequence[Chooser],
) -> ExploredProblem:
    numbers, extracted = grades.column("sample").to_pylist(), grades.column("extracted").to_pylist()
    correct, classes = grades.column("correct").to_numpy(), grades.column("answer_class").to_numpy()
    ordered = {model: _ordered(table, numbers) for model, table in tables.items()}
    rewards = {model: _rewards(table) for model, table in ordered.items() if table is not None}
    read = [texts.get(number, "") for number in numbers]
    steps = {
        model: _steps(*rewards[model], table, _begins(read, reads[model]))
        for model, table in ordered.items()
        if table is not None
    }
    reasons = grades.column("reason").to_pylist()
    return ExploredProblem(
        samples=[
            Sample(
                number,
                texts.get(number, "(this response is not stored)"),
                extracted[row],
                bool(correct[row]),
                reasons[row],
                int(classes[row]),
                {model: of_model[row] for model, of_model in steps.items()},
            )
            for row, number in enumerate(numbers)
        ],
        answers=_answers(correct, classes, extracted),
        majority=float(majority(classes[None], correct[None])[0]),
        choices={
            chooser: _choice(*rewards[chooser.reward_model], chooser, score_types[chooser.reward_model], correct)
            if chooser.reward_model in rewards
            else None
            for chooser in choosers
        },
    )


def _choice(flat: Floats, lengths: Ints, chooser: Chooser, score_type: ScoreType, correct: Bools) -> Choice:
    scores = response_scores(flat, lengths, chooser.aggregation, score_type)
    rows = np.flatnonzero(highest(scores[None])[0]).tolist()
    return Choice(scores, rows, float(best_of_n(scores[None], correct[None])[0]))


def _answers(correct: Bools, classes: Ints, extracted: Sequence[str | None]) -> list[Answer]:
    """The distinct answers, most votes first."""
    names, first, votes = np.unique(classes, return_index=True, return_counts=True)
    answers = [
        Answer(int(name), int(count), bool(correct[row]), extracted[row])
        for name, row, count in zip(names, first, votes, strict=True)
        if name >= 0
    ]
    return sorted(answers, key=lambda answer: -answer.votes)


def _ordered(table: pa.Table, samples: Sequence[int]) -> pa.Table | None:
    """A problem's scores in the order of ``samples``; None where one has none."""
    stored = table.column("sample").to_pylist()
    if stored == samples:
        return table
    rows = {sample: row for row, sample in enumerate(stored)}
    if any(sample not in rows for sample in samples):
        return None
    return table.take([rows[sample] for sample in samples])


def _rewards(table: pa.Table) -> tuple[Floats, Ints]:
    """The step rewards of all responses, one after the other, and the number of steps of each."""
    rewards = table.column("step_rewards").combine_chunks()
    lengths = rewards.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return rewards.flatten().to_numpy(zero_copy_only=False), lengths


def _begins(texts: Sequence[str], reads: Reads) -> list[int]:
    """Where what is read of each response begins; 0 where there is none."""
    return [span[0] if (span := span_of(text, reads)[0]) else 0 for text in texts]


def _steps(flat: Floats, lengths: Ints, table: pa.Table, begins: Sequence[int]) -> list[Steps]:
    """Per response."""
    short = rounded(flat, 3).tolist()
    stops = np.cumsum(lengths).tolist()
    ends = table.column("step_ends").to_pylist()
    return [
        Steps(short[start:stop], [begin, *at] if begin and at else at)
        for start, stop, at, begin in zip([0, *stops], stops, ends, begins, strict=False)
    ]
