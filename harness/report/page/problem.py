"""One problem as the explorer shows it: its graded responses, their step rewards, and what every method chose.

Problems are read one after the other, so that a large run's responses need not be in memory together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.analysis.selection import aggregate, best_of_n, majority
from harness.core.arrays import Bools, Floats, Ints
from harness.core.records import Response, StepScores
from harness.core.stages import StageKind
from harness.core.terms import ScoreType
from harness.report.page.blocks import rounded
from harness.storage.results import Results


class ExploredChooser(NamedTuple):
    """A reward model (by its place among the models) that chooses by its step rewards, aggregated in one way."""

    label: str
    model: int
    aggregation: str


class Answer(NamedTuple):
    """Equivalent answers: how often given, as first written, and whether right (where graders disagree: the first)."""

    answer_class: int
    votes: int
    right: bool
    text: str | None


@dataclass(frozen=True)
class Steps:
    """A reward model's step rewards for responses to a problem.

    Response i has the rewards ``flat[starts[i]:starts[i + 1]]``, rounded, and steps ending at ``ends[i]`` (None where
    the steps do not rebuild the text).
    """

    flat: list[float]
    starts: list[int]
    ends: list[list[int] | None]

    def rewards(self, row: int) -> list[float]:
        return self.flat[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True)
class ExploredProblem:
    """All graded responses to a problem by one generator, in the order of their sample numbers.

    Per model: ``steps``; per chooser: ``scores`` and ``chosen``, the rows that share the best score. None where the
    model has not scored every response. ``outcomes``: expected accuracy of the majority, then of each chooser.
    ``elected``: the answer classes that share the most votes.
    """

    samples: list[int]
    texts: list[str]
    extracted: list[str | None]
    reasons: list[str]
    correct: Bools
    classes: Ints
    answers: list[Answer]
    elected: list[int]
    steps: list[Steps | None]
    scores: list[Floats | None]
    chosen: list[list[int] | None]
    outcomes: list[float | None]

    @cached_property
    def singled_out(self) -> set[int]:
        """The first row that each method could choose."""
        rows = {chosen[0] for chosen in self.chosen if chosen}
        if self.elected:
            rows.add(int(np.isin(self.classes, self.elected).argmax()))
        return rows

    def kept(self, first: int) -> list[int]:
        """The first rows and those singled out."""
        return sorted({*range(min(first, len(self.samples))), *self.singled_out})


def explored_problems(
    results: Results,
    generator: str,
    problem_ids: Sequence[str],
    models: Sequence[str],
    choosers: Sequence[ExploredChooser],
) -> Iterator[ExploredProblem | None]:
    """The problems in order; None for one without graded responses."""
    responses = results.by_problem(Response, StageKind.SAMPLE.folder, generator)
    scores = [results.by_problem(StepScores, StageKind.SCORE.folder, model, generator) for model in models]
    score_types = [results.manifest.reward_models[model].score_type for model in models]
    grades = results.grades[results.grades["generator"] == generator]
    rows = grades.groupby("problem_id").indices
    for problem_id in problem_ids:
        if problem_id not in rows:
            yield None
            continue
        own = grades.iloc[rows[problem_id]].sort_values("sample")
        texts = responses[problem_id]
        by_sample = dict(zip(texts.column("sample").to_pylist(), texts.column("text").to_pylist(), strict=True))
        tables = [scored[problem_id] for scored in scores]
        yield _explored(own, by_sample, tables, score_types, choosers)


def _explored(
    grades: pd.DataFrame,
    texts: dict[int, str],
    tables: Sequence[pa.Table],
    score_types: Sequence[ScoreType],
    choosers: Sequence[ExploredChooser],
) -> ExploredProblem:
    samples = grades["sample"].tolist()
    correct, classes = grades["correct"].to_numpy(dtype=bool), grades["answer_class"].to_numpy(dtype=np.int64)
    extracted = [text if isinstance(text, str) else None for text in grades["extracted"]]
    answers = _answers(correct, classes, extracted)
    outcomes: list[float | None] = [float(majority(classes[None], correct[None])[0])]
    ordered = [_ordered(table, samples) for table in tables]
    rewards = [None if table is None else _rewards(table) for table in ordered]
    scores: list[Floats | None] = []
    chosen: list[list[int] | None] = []
    for chooser in choosers:
        own = rewards[chooser.model]
        if own is None:
            scores.append(None)
            chosen.append(None)
            outcomes.append(None)
            continue
        values = aggregate(*own, chooser.aggregation, score_types[chooser.model])
        scores.append(values)
        chosen.append(np.flatnonzero(values == values.max()).tolist())
        outcomes.append(float(best_of_n(values[None], correct[None])[0]))
    return ExploredProblem(
        samples=samples,
        texts=[texts.get(sample, "(this response is not stored)") for sample in samples],
        extracted=extracted,
        reasons=grades["reason"].tolist(),
        correct=correct,
        classes=classes,
        answers=answers,
        elected=[a.answer_class for a in answers if a.votes == answers[0].votes],
        steps=[
            None if table is None or own is None else _steps(*own, table)
            for own, table in zip(rewards, ordered, strict=True)
        ],
        scores=scores,
        chosen=chosen,
        outcomes=outcomes,
    )


def _answers(correct: Bools, classes: Ints, extracted: Sequence[str | None]) -> list[Answer]:
    """The distinct answers, most votes first."""
    names, first, votes = np.unique(classes, return_index=True, return_counts=True)
    found = [
        Answer(int(name), int(count), bool(correct[row]), extracted[row])
        for name, row, count in zip(names, first, votes, strict=True)
        if name >= 0
    ]
    return sorted(found, key=lambda a: -a.votes)


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
    rewards = table.column("step_rewards").combine_chunks()
    lengths = rewards.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return rewards.flatten().to_numpy(zero_copy_only=False), lengths


def _steps(flat: Floats, lengths: Ints, table: pa.Table) -> Steps:
    starts = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    return Steps(rounded(flat, 3).tolist(), starts, table.column("step_ends").to_pylist())
