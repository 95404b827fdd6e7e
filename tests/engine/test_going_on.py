"""Shards of which some problems failed: what is kept, what is asked for again, in which order all is put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from harness.core.components import Generator, RewardModel, Verifier
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.params import ComponentParams
from harness.core.records import Grade, Problem, Response, Sampling, Solution, StepScores
from harness.core.stages import Task
from harness.engine import tasks
from harness.storage.arrow import to_records, to_table

PROBLEMS = [Problem(f"p{i}", f"What is {i}?", str(i)) for i in range(4)]
SAMPLING = Sampling(n=3)


class Failing(Generator[ComponentParams]):
    """Fails at some samples, by seed; ``asked`` are the seeds that it was asked for."""

    def __init__(self, failing: Sequence[int]) -> None:
        super().__init__(ComponentParams(), "g")
        self.failing, self.asked = failing, list[int]()

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        places = [(p.problem_id, i) for p in problems for i in range(sampling.n)]
        self.asked += [seeds[id_][i] for id_, i in places]
        made = [
            Response(id_, "g", i, str(seeds[id_][i]), 5, 2, "stop", seeds[id_][i])
            for id_, i in places
            if seeds[id_][i] not in self.failing
        ]
        missing = {id_: f"{id_} fails" for id_, i in places if seeds[id_][i] in self.failing}
        if missing:
            raise Incomplete(made, missing)
        return made


def seed(problem: int, sample: int) -> int:
    return tasks.response_seed(7, "g", f"p{problem}", sample)


def sample(model: Failing, kept: tasks.Result | None = None) -> tasks.Result:
    payload = {"problems": to_table(Problem, PROBLEMS), "sampling": SAMPLING, "run_seed": 7}
    return tasks.run(Task.SAMPLE, model, payload if kept is None else {**payload, "kept": kept.table})


def test_only_the_samples_that_are_missing_are_asked_for() -> None:
    whole = sample(Failing([]))
    first = sample(Failing([seed(1, 0), seed(3, 1), seed(3, 2)]))
    assert first.missing == {"p1": "p1 fails", "p3": "p3 fails"}
    assert first.table.num_rows == 9
    again = Failing([seed(3, 2)])
    second = sample(again, first)
    assert sorted(again.asked) == sorted([seed(1, 0), seed(3, 1), seed(3, 2)])
    assert second.missing == {"p3": "p3 fails"}
    third = sample(Failing([]), second)
    assert not third.missing
    assert third.table.equals(whole.table)
    assert (third.prompt_tokens, third.completion_tokens) == (whole.prompt_tokens, whole.completion_tokens) == (20, 24)


def test_an_error_costs_nothing_that_is_kept() -> None:
    class Broken(Failing):
        def generate(self, *_: object) -> list[Response]:
            raise UserError("no server answers")

    first = sample(Failing([seed(2, 1)]))
    second = sample(Broken([]), first)
    assert second.missing == {"p2": "no server answers"}
    assert second.table.equals(first.table)
    with pytest.raises(UserError, match="no server"):
        sample(Broken([]))


class Some(Verifier[ComponentParams]):
    """Grades all problems but those that fail."""

    def __init__(self, failing: Sequence[str]) -> None:
        super().__init__(ComponentParams(), "v")
        self.failing, self.asked = failing, list[str]()

    def extract(self, text: str) -> str | None:
        return text

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        raise NotImplementedError

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        self.asked += dict.fromkeys(r.problem_id for r in responses)
        made = [Grade(r.problem_id, "g", r.sample, r.text, True, "", 0) for r in responses]
        if failing := {r.problem_id: "fails" for r in responses if r.problem_id in self.failing}:
            raise Incomplete([grade for grade in made if grade.problem_id not in failing], failing)
        return made


def test_only_the_problems_that_are_missing_are_graded() -> None:
    payload = {"problems": to_table(Problem, PROBLEMS), "responses": sample(Failing([])).table}
    whole = tasks.run(Task.GRADE, Some([]), payload)
    first = tasks.run(Task.GRADE, Some(["p1", "p2"]), payload)
    assert first.missing == {"p1": "fails", "p2": "fails"}
    again = Some(["p2"])
    second = tasks.run(Task.GRADE, again, {**payload, "kept": first.table})
    assert again.asked == ["p1", "p2"]
    third = tasks.run(Task.GRADE, Some([]), {**payload, "kept": second.table})
    assert not third.missing and third.table.equals(whole.table)


def test_only_the_problems_that_are_missing_are_scored() -> None:
    class Scores(RewardModel[ComponentParams]):
        failing: Sequence[str] = ()

        def score(self, batch: Sequence[Solution]) -> list[StepScores]:
            made = [StepScores(s.problem.problem_id, "g", s.response.sample, "r", (1.0,), (1,), 1) for s in batch]
            if failing := {m.problem_id: "fails" for m in made if m.problem_id in self.failing}:
                raise Incomplete([m for m in made if m.problem_id not in failing], failing)
            return made

    payload = {"problems": to_table(Problem, PROBLEMS), "responses": sample(Failing([])).table}
    model = Scores(ComponentParams(), "r")
    whole = tasks.run(Task.SCORE, model, payload)
    model.failing = ["p0"]
    first = tasks.run(Task.SCORE, model, payload)
    assert first.missing == {"p0": "fails"}
    assert {s.problem_id for s in to_records(StepScores, first.table)} == {"p1", "p2", "p3"}
    model.failing = ["p1"]  # is not asked again
    assert tasks.run(Task.SCORE, model, {**payload, "kept": first.table}).table.equals(whole.table)


def test_what_needs_all_problems_makes_nothing_of_some() -> None:
    payload = {"problems": to_table(Problem, PROBLEMS), "responses": to_table(Response, [])}
    payload |= {"grades": to_table(Grade, []), "completions": to_table(Response, [])}

    class Never(Some):
        def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
            raise Incomplete([], {"p1": "fails"})

    result = tasks.run(Task.LABEL, Never([]), payload)
    assert result.missing == {"p1": "fails"} and not result.table.num_rows
