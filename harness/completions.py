"""Completions of responses from the end of every step: what Math-Shepherd's step labels are counted from.

A response cut after a step is a *prefix*. Responses to a problem often begin alike: equal prefixes are completed once.
In tables a prefix goes by the problem id ``<problem>#<k>``, k counting the problem's prefixes in order of appearance:
those of the first responses are the first ones, however many responses follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.records import Grade, Problem, Response, StepLabels
from harness.steps import step_ends


@dataclass(frozen=True, slots=True)
class Prefix:
    """A problem under a prefix's own id, the prefix, and the lowest sample number of the responses it begins."""

    problem: Problem
    text: str
    sample: int


def prefixes(problems: Sequence[Problem], responses: Sequence[Response]) -> dict[tuple[str, str], Prefix]:
    """(problem id, text) -> prefix, for every step but the last of every response, each problem's in a row."""
    by_problem: dict[str, list[Response]] = {p.problem_id: [] for p in problems}
    for response in responses:
        by_problem[response.problem_id].append(response)
    found: dict[tuple[str, str], Prefix] = {}
    for problem in problems:
        texts: dict[str, int] = {}
        for response in by_problem[problem.problem_id]:
            for end in step_ends(response.text)[:-1]:
                texts.setdefault(response.text[:end], response.sample)
        for k, (text, sample) in enumerate(texts.items()):
            named = replace(problem, problem_id=f"{problem.problem_id}#{k}")
            found[problem.problem_id, text] = Prefix(named, text, sample)
    return found


def count_correct(
    responses: Sequence[Response],
    correct: Sequence[bool],
    known: dict[tuple[str, str], Prefix],
    grades: Sequence[Grade],
    n: int,
) -> list[StepLabels]:
    """Step labels of each response.

    Args:
        correct: whether each response is right.
        known: the prefixes of the responses.
        grades: of ``n`` completions of each prefix, under the prefixes' ids.
    """
    right: dict[str, int] = {}
    for grade in grades:
        right[grade.problem_id] = right.get(grade.problem_id, 0) + grade.correct
    labels = []
    for response, is_correct in zip(responses, correct, strict=True):
        inner = [
            right[known[response.problem_id, response.text[:end]].problem.problem_id]
            for end in step_ends(response.text)[:-1]
        ]
        counts = (*inner, n if is_correct else 0)
        labels.append(StepLabels(response.problem_id, response.generator, response.sample, counts, n))
    return labels
