"""Example problems for the report: where a reward model chose better than the majority, and where it failed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.accuracy import Method
from harness.results import Results
from harness.selection import Floats, Ints, aggregate

_CASES = (  # title, whether the reward model is right, whether the majority is
    ("The reward model is right, the majority is wrong", True, False),
    ("The reward model is wrong, the majority is right", False, True),
    ("Both are wrong, though a right response was there", False, False),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step with its reward; ``tint`` in (0, 1] is its rank among the rewards of all the generator's steps.

    ``text`` is empty where the recorded steps do not rebuild the response.
    """

    text: str
    reward: float
    tint: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graded and scored response; ``votes`` counts the responses with its answer."""

    sample: int
    text: str
    extracted: str | None
    correct: bool
    answer_class: int
    votes: int
    score: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One problem, why it is shown, and two responses to it, each with the part it plays."""

    title: str
    generator: str
    problem_id: str
    problem: str
    answer: str
    responses: tuple[tuple[str, Candidate], ...]


def find_examples(results: Results, method: Method) -> list[Example]:
    """One problem per case, from the first generator that has one; ``method`` names the reward model."""
    statements = {p["problem_id"]: p for p in results.problems.to_dict("records")}
    found: dict[str, Example] = {}
    for generator in results.manifest.generators:
        if len(found) == len(_CASES):
            break
        scored = _Scored.read(results, method, generator)
        if scored is None:
            continue
        cases = {title: problem_id for title, problem_id in _cases(scored).items() if title not in found}
        # Only these problems' responses are ever read: all of a large run's do not fit in memory.
        responses = results.responses(generator, set(cases.values()))
        for title, problem_id in cases.items():
            own = responses[responses["problem_id"] == problem_id]
            texts = dict(zip(own["sample"].tolist(), own["text"].tolist(), strict=True))
            problem = statements[problem_id]
            pair = _pair(_candidates(scored, problem_id, texts))
            found[title] = Example(title, generator, problem_id, problem["problem"], problem["answer"], pair)
    return [found[title] for title, *_ in _CASES if title in found]


@dataclass(frozen=True)
class _Scored:
    """A generator's scored and graded responses.

    ``frame`` has the columns problem_id, sample, score, row (in ``table``, that of the scores), extracted, correct,
    answer_class, votes. The step rewards of row i end at ``stops[i]`` of ``flat``.
    """

    frame: pd.DataFrame
    table: pa.Table
    flat: Floats
    stops: Ints

    @classmethod
    def read(cls, results: Results, method: Method, generator: str) -> _Scored | None:
        table = results.scores(method.reward_model, generator)
        if not table.num_rows:
            return None
        rewards = table.column("step_rewards").combine_chunks()
        flat: Floats = rewards.flatten().to_numpy(zero_copy_only=False)
        lengths: Ints = rewards.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        score_type = results.manifest.reward_models[method.reward_model].score_type
        frame = table.select(["problem_id", "sample"]).to_pandas()
        frame["score"] = aggregate(flat, lengths, method.aggregation, score_type)
        frame["row"] = np.arange(len(frame))
        columns = ["problem_id", "sample", "extracted", "correct", "answer_class"]
        grades = results.grades.loc[results.grades["generator"] == generator, columns]
        votes = grades.groupby(["problem_id", "answer_class"])["sample"].transform("size")
        grades = grades.assign(votes=votes.where(grades["answer_class"] >= 0, 0))
        return cls(frame.merge(grades, on=["problem_id", "sample"]), table, flat, np.cumsum(lengths))

    def steps(self, row: int, text: str) -> tuple[Step, ...]:
        own = self.flat[self.stops[row - 1] if row else 0 : self.stops[row]]
        ends = self.table.column("step_ends")[row].as_py()
        # The mean rank of equal rewards.
        ranks = (np.searchsorted(self.ordered, own, "left") + np.searchsorted(self.ordered, own, "right") + 1) / 2
        return _steps(text, ends, own.tolist(), (ranks / len(self.flat)).tolist())

    @cached_property
    def ordered(self) -> Floats:
        return np.sort(self.flat)


def _cases(scored: _Scored) -> dict[str, str]:
    """Case -> its first problem. Problems where the verdicts on all responses agree are no case."""
    frame = scored.frame
    by_problem = frame.groupby("problem_id", sort=False)
    differ = by_problem["correct"].nunique() > 1
    chosen = frame.loc[by_problem["score"].idxmax()].set_index("problem_id")["correct"]
    elections = frame.sort_values(["votes", "score"], ascending=False, kind="stable").drop_duplicates("problem_id")
    elected = elections.set_index("problem_id")["correct"].reindex(chosen.index)
    found: dict[str, str] = {}
    for title, right, elected_right in _CASES:
        matches = differ & (chosen == right) & (elected == elected_right)
        if matches.any():
            found[title] = str(matches.idxmax())
    return found


def _candidates(scored: _Scored, problem_id: str, texts: dict[int, str]) -> list[Candidate]:
    return [
        Candidate(
            sample=row["sample"],
            text=texts[row["sample"]],
            extracted=row["extracted"] if isinstance(row["extracted"], str) else None,
            correct=row["correct"],
            answer_class=row["answer_class"],
            votes=row["votes"],
            score=row["score"],
            steps=scored.steps(row["row"], texts[row["sample"]]),
        )
        for row in scored.frame[scored.frame["problem_id"] == problem_id].to_dict("records")
    ]


def _steps(text: str, ends: list[int] | None, rewards: list[float], tints: list[float]) -> tuple[Step, ...]:
    if ends is None or len(ends) != len(rewards):
        pieces = [""] * len(rewards)
    else:
        pieces = [text[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return tuple(Step(*step) for step in zip(pieces, rewards, tints, strict=True))


def _chosen(candidates: list[Candidate]) -> Candidate:
    return max(candidates, key=lambda c: c.score)


def _elected(candidates: list[Candidate]) -> Candidate:
    """The best-scored response with the most frequent answer."""
    return max(candidates, key=lambda c: (c.votes, c.score))


def _pair(candidates: list[Candidate]) -> tuple[tuple[str, Candidate], ...]:
    """The reward model's choice; beside a right one the majority's answer, else the right one it ranked highest."""
    chosen = _chosen(candidates)
    if chosen.correct:
        return ("its choice", chosen), ("the majority's answer", _elected(candidates))
    best_right = _chosen([c for c in candidates if c.correct])
    return ("its choice", chosen), ("the right response it ranked highest", best_right)
