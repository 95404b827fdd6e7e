"""Completions of responses from the end of every step. Math-Shepherd's step labels are counted from them.

A response cut after a step is a *prefix*. Responses to a problem often begin alike: equal prefixes are completed once.
In tables a prefix has the problem id ``<problem>#<k>``, where k counts the problem's prefixes in order of appearance.
So the prefixes of the first responses come first, and further responses do not change their ids.

Completions come in one or several rounds. A later round completes only the prefixes that have no right completion yet.
The hard label of every other prefix is decided, because it only says whether any completion is right. Completion j of a
prefix is the same in every division into rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.core.records import Problem, Response, StepLabels
from harness.core.steps import step_ends

Prefixes = Mapping[tuple[str, str], "Prefix"]  # by problem id and text


@dataclass(frozen=True, slots=True)
class Prefix:
    """A problem under a prefix's own id, the prefix, and the lowest sample number of the responses it begins."""

    problem: Problem
    text: str
    sample: int


@dataclass(frozen=True, slots=True)
class Tally:
    """``n_correct`` of ``n`` completions of a prefix are right."""

    n_correct: int = 0
    n: int = 0


def prefixes(problems: Sequence[Problem], responses: Sequence[Response]) -> dict[tuple[str, str], Prefix]:
    """(problem id, text) -> prefix, for every step but the last of every response, each problem's in a row."""
    by_problem: dict[str, list[Response]] = {p.problem_id: [] for p in problems}
    for response in responses:
        by_problem[response.problem_id].append(response)
    by_text: dict[tuple[str, str], Prefix] = {}
    for problem in problems:
        texts: dict[str, int] = {}
        for response in by_problem[problem.problem_id]:
            for end in step_ends(response.text)[:-1]:
                texts.setdefault(response.text[:end], response.sample)
        for k, (text, sample) in enumerate(texts.items()):
            named = replace(problem, problem_id=f"{problem.problem_id}#{k}")
            by_text[problem.problem_id, text] = Prefix(named, text, sample)
    return by_text


def tallies(prefix_by_text: Prefixes, responses: Sequence[Response], labels: Sequence[StepLabels]) -> dict[str, Tally]:
    """The completions so far of each prefix, by its id.

    Args:
        labels: of the responses, after the latest round; none before the first.
    """
    tally_by_id = {prefix.problem.problem_id: Tally() for prefix in prefix_by_text.values()}
    for response, label in zip(responses, labels, strict=True) if labels else ():
        for id_, n_correct, n in zip(_ids(prefix_by_text, response), label.n_correct[:-1], label.n[:-1], strict=True):
            tally_by_id[id_] = Tally(n_correct, n)
    return tally_by_id


def step_labels(
    prefix_by_text: Prefixes, responses: Sequence[Response], correct: Sequence[bool], tally_by_id: Mapping[str, Tally]
) -> list[StepLabels]:
    """Step labels of each response.

    Args:
        correct: whether each response is right.
        tally_by_id: the completions of each prefix, by its id.
    """
    labels = []
    for response, is_correct in zip(responses, correct, strict=True):
        steps = [*(tally_by_id[id_] for id_ in _ids(prefix_by_text, response)), Tally(int(is_correct), 1)]
        n_correct, n = tuple(step.n_correct for step in steps), tuple(step.n for step in steps)
        labels.append(StepLabels(response.problem_id, response.generator, response.sample, n_correct, n))
    return labels


def _ids(prefix_by_text: Prefixes, response: Response) -> list[str]:
    """The ids of a response's prefixes, in order of its steps."""
    ends = step_ends(response.text)[:-1]
    return [prefix_by_text[response.problem_id, response.text[:end]].problem.problem_id for end in ends]
