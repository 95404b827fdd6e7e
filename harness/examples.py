"""Example problems for the report: where a reward model chose better than the majority, and where it failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

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
        for problem_id, candidates in _candidates(results, method, generator).items():
            title = _case(candidates)
            if title is not None and title not in found:
                problem = statements[problem_id]
                pair = _pair(candidates)
                found[title] = Example(title, generator, problem_id, problem["problem"], problem["answer"], pair)
    return [found[title] for title, *_ in _CASES if title in found]


def _candidates(results: Results, method: Method, generator: str) -> dict[str, list[Candidate]]:
    """The scored responses of a generator, by problem."""
    table = results.scores(method.reward_model, generator)
    if not table.num_rows:
        return {}
    rewards = table.column("step_rewards").combine_chunks()
    flat: Floats = rewards.flatten().to_numpy(zero_copy_only=False)
    lengths: Ints = rewards.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    scores = aggregate(
        flat, lengths, method.aggregation, results.manifest.reward_models[method.reward_model].score_type
    )
    tints = rankdata(flat) / len(flat)
    stops = np.cumsum(lengths)

    grades = results.grades[results.grades["generator"] == generator].to_dict("records")
    graded = {(g["problem_id"], g["sample"]): g for g in grades}
    votes = Counter((g["problem_id"], g["answer_class"]) for g in grades if g["answer_class"] >= 0)
    texts = {(r["problem_id"], r["sample"]): r["text"] for r in results.responses(generator).to_dict("records")}
    columns = [table.column(name).to_pylist() for name in ("problem_id", "sample", "step_ends")]
    found: dict[str, list[Candidate]] = {}
    for i, (problem_id, sample, ends) in enumerate(zip(*columns, strict=True)):
        grade, text = graded.get((problem_id, sample)), texts.get((problem_id, sample))
        if grade is None or text is None:
            continue
        own = slice(stops[i] - lengths[i], stops[i])
        extracted = grade["extracted"]
        candidate = Candidate(
            sample=sample,
            text=text,
            extracted=extracted if isinstance(extracted, str) else None,
            correct=bool(grade["correct"]),
            answer_class=int(grade["answer_class"]),
            votes=votes[problem_id, grade["answer_class"]],
            score=float(scores[i]),
            steps=_steps(text, ends, flat[own].tolist(), tints[own].tolist()),
        )
        found.setdefault(problem_id, []).append(candidate)
    return found


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


def _case(candidates: list[Candidate]) -> str | None:
    """Which case a problem is an instance of; none where the verdicts on its responses do not differ."""
    if len({c.correct for c in candidates}) == 1:
        return None
    verdicts = (_chosen(candidates).correct, _elected(candidates).correct)
    return next((title for title, *wanted in _CASES if tuple(wanted) == verdicts), None)


def _pair(candidates: list[Candidate]) -> tuple[tuple[str, Candidate], ...]:
    """The reward model's choice; beside a right one the majority's answer, else the right one it ranked highest."""
    chosen = _chosen(candidates)
    if chosen.correct:
        return ("its choice", chosen), ("the majority's answer", _elected(candidates))
    best_right = _chosen([c for c in candidates if c.correct])
    return ("its choice", chosen), ("the right response it ranked highest", best_right)
