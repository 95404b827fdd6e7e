"""Shards of which a part failed: what was made is kept, and the next try makes the rest.

A component says with :class:`~harness.core.incomplete.Incomplete` which problems of a shard failed. ``kept`` is what an
earlier run made of the same shard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from harness.core.errors import UserError, one_line
from harness.core.incomplete import Incomplete
from harness.core.records import Grade, Problem, Response, Sampling, Solution, StepScores, TokenLogprobs
from harness.engine.failures import breaks_process
from harness.engine.sparing import spared

Made = TypeVar("Made", Grade, StepScores, TokenLogprobs)
Row = TypeVar("Row", Response, Solution)

#: Samples responses to problems: (problems, sampling, seeds by problem id) -> responses.
Generate = Callable[[Sequence[Problem], Sampling, Mapping[str, Sequence[int]]], list[Response]]


class Sampled(NamedTuple):
    """Responses, by problem and sample, and the problems that lack some: problem id -> why."""

    responses: list[Response]
    missing: dict[str, str]


def sampled(
    generate: Generate,
    problems: Sequence[Problem],
    sampling: Sampling,
    seeds: Mapping[str, Sequence[int]],
    kept: Sequence[Response] | None,
) -> Sampled:
    """The responses to ``problems``. Of those that are ``kept`` none is sampled again; an error costs none of them."""
    if kept is None:
        try:
            return Sampled(spared(_generating(generate, sampling, seeds), problems, _id), {})
        except Incomplete as error:
            return Sampled(error.made, error.missing)
    have = {(r.problem_id, r.sample) for r in kept}
    lacking = {p.problem_id: [i for i in range(sampling.n) if (p.problem_id, i) not in have] for p in problems}
    responses, missing = list(kept), dict[str, str]()
    for n in sorted({len(samples) for samples in lacking.values()} - {0}):
        block = [p for p in problems if len(lacking[p.problem_id]) == n]
        wanted = {p.problem_id: [seeds[p.problem_id][i] for i in lacking[p.problem_id]] for p in block}
        try:
            made = spared(_generating(generate, replace(sampling, n=n), wanted), block, _id)
        except Incomplete as error:
            made = error.made
            missing |= error.missing
        except Exception as error:
            if breaks_process(error):
                raise
            made = []
            missing |= dict.fromkeys(wanted, str(error) if isinstance(error, UserError) else one_line(error))
        responses += [replace(r, sample=lacking[r.problem_id][r.sample]) for r in made]
    place = {p.problem_id: i for i, p in enumerate(problems)}
    responses.sort(key=lambda r: (place[r.problem_id], r.sample))
    return Sampled(responses, {p.problem_id: missing[p.problem_id] for p in problems if p.problem_id in missing})


def made_of(
    rows: Sequence[Row], kept: Sequence[Made] | None, make: Callable[[list[Row]], list[Made]]
) -> tuple[list[Made], dict[str, str]]:
    """What is made of responses, in their order, and why nothing is made of those to some problems.

    ``make`` gets the responses to the problems of which nothing is ``kept``.
    """
    done = {record.problem_id for record in kept or ()}
    waiting = [row for row in rows if _place(row)[0] not in done]
    missing: Mapping[str, str] = {}
    made: list[Made]
    try:
        made = spared(make, waiting, lambda row: _place(row)[0]) if waiting or kept is None else []
    except Incomplete as error:
        made, missing = error.made, error.missing
    except Exception as error:
        if not kept or isinstance(error, UserError) or breaks_process(error):
            raise
        made, missing = [], {_place(row)[0]: one_line(error) for row in waiting}
    if kept is None and not missing:
        return made, {}
    by_place: dict[tuple[str, int], Made] = {}
    for records in (kept or (), made):
        by_place.update({(record.problem_id, record.sample): record for record in records})
    return [by_place[p] for row in rows if (p := _place(row)) in by_place and p[0] not in missing], dict(missing)


def _generating(
    generate: Generate, sampling: Sampling, seeds: Mapping[str, Sequence[int]]
) -> Callable[[list[Problem]], list[Response]]:
    """What samples of some of the problems."""
    return lambda some: generate(some, sampling, {p.problem_id: seeds[p.problem_id] for p in some})


def _id(problem: Problem) -> str:
    return problem.problem_id


def _place(row: Response | Solution) -> tuple[str, int]:
    response = row.response if isinstance(row, Solution) else row
    return response.problem_id, response.sample
