"""One response makes a grader, a reward model or a generator raise, and the results of all that were asked for together
with it are lost (tracel-ai/pegainfer#1006, which is about requests; in-process components go the same way)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.choosers import MAJORITY, Chooser
from harness.analysis.compute_accuracies import compute_accuracies
from harness.cli import main
from harness.core.components import Generator, TokenScorer, Verifier
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.params import ComponentParams
from harness.core.records import Grade, Problem, Response, Sampling, Solution, TokenLogprobs
from harness.engine import tasks
from harness.engine.sparing import spared
from harness.storage.arrow import to_table
from harness.storage.results import load_results

IDS = ("a", "b", "c", "d")
ROWS = [(id_, k) for id_ in IDS for k in range(2)]


@pytest.mark.parametrize("bad", [set(some) for some in chain.from_iterable(combinations(IDS, k) for k in range(4))])
def test_what_can_be_made_is_made(bad: set[str]) -> None:
    """As if every problem had been asked for alone."""
    calls = 0

    def make(rows: list[tuple[str, int]]) -> list[str]:
        nonlocal calls
        calls += 1
        for id_, k in rows:
            if id_ in bad and k:
                raise ValueError(f"not {id_}")
        return [f"{id_}{k}" for id_, k in rows]

    good = [f"{id_}{k}" for id_, k in ROWS if id_ not in bad]
    if not bad:
        assert spared(make, ROWS, lambda row: row[0]) == good and calls == 1
        return
    with pytest.raises(Incomplete) as raised:
        spared(make, ROWS, lambda row: row[0])
    assert raised.value.made == good
    assert raised.value.missing == {id_: f"ValueError: not {id_}" for id_ in sorted(bad)}


@pytest.mark.parametrize(
    "error", [ValueError("each"), UserError("a mistake"), RuntimeError("CUDA error: an illegal memory access")]
)
def test_what_is_no_single_problems_fault_goes_on_as_it_is(error: Exception) -> None:
    def make(rows: list[tuple[str, int]]) -> list[str]:
        if isinstance(error, ValueError) or ("c", 0) in rows:
            raise error
        return []

    with pytest.raises(type(error)) as raised:
        spared(make, ROWS, lambda row: row[0])
    assert raised.value is error


class Fragile(Generator[ComponentParams], Verifier[ComponentParams], TokenScorer[ComponentParams]):  # type: ignore[misc]
    """Cannot do problem "b", whatever it is asked for."""

    def _look(self, ids: Sequence[str]) -> None:
        if "b" in ids:
            raise MemoryError("b")

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        self._look([p.problem_id for p in problems])
        assert seeds.keys() == {p.problem_id for p in problems}
        return [Response(p.problem_id, "g", i, str(i)) for p in problems for i in range(sampling.n)]

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        self._look([r.problem_id for r in responses])
        return [Grade(r.problem_id, r.generator, r.sample, r.text, False, "different", 0) for r in responses]

    def logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        self._look([s.problem.problem_id for s in batch])
        return [TokenLogprobs(s.problem.problem_id, "g", s.response.sample, (-1.0,), (1,), 1) for s in batch]

    def extract(self, text: str) -> str | None:
        return None

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        return []


@pytest.mark.parametrize("task", [tasks.sample, tasks.grade, tasks.token_pass])
def test_every_task_keeps_the_rest(task: Any) -> None:
    problems = to_table(Problem, [Problem(id_, f"{id_}?", "1") for id_ in IDS])
    responses = to_table(Response, [Response(id_, "g", k, str(k)) for id_, k in ROWS])
    more = (Sampling(n=2), 0) if task is tasks.sample else (responses,)
    result = task(Fragile(ComponentParams(), "mine"), problems, *more)
    places = list(zip(result.table["problem_id"].to_pylist(), result.table["sample"].to_pylist(), strict=True))
    assert places == [(id_, k) for id_, k in ROWS if id_ != "b"]
    assert result.missing == {"b": "MemoryError: b"}


REWARD_MODEL = """
from harness import ComponentParams, RewardModel, StepScores

class Mine(RewardModel[ComponentParams]):
    def score(self, batch):
        if any("boom" in s.response.text for s in batch):
            raise KeyError("boom")
        return [
            StepScores(s.response.problem_id, s.response.generator, s.response.sample, self.name, (1.0,), None, 1)
            for s in batch
        ]
"""


def test_a_run_names_the_problem_and_has_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(REWARD_MODEL)
    samples = [[{"text": str(i)}, {"text": "boom" if i == 2 else str(i + 1)}] for i in range(4)]
    rows = [{"problem_id": f"q{i}", "problem": f"{i} + 1?", "gold": "1", "samples": s} for i, s in enumerate(samples)]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "name": "x",
        "responses": f"{tmp_path}/r.jsonl",
        "output": f"{tmp_path}/out",
        "reward_models": {"mine": {"type": f"{tmp_path}/mine.py:Mine"}},
        "evaluation": {"n": [1, 2], "bootstrap": 20},
    }
    (tmp_path / "e.yaml").write_text(json.dumps(config))
    assert main(["run", str(tmp_path / "e.yaml"), "--local", "--until", "score"]) == 1
    assert "problem 'q2': KeyError: 'boom'" in capsys.readouterr().err
    results = load_results(tmp_path / "out")
    accuracies = compute_accuracies(results)
    has = {c: accuracies.values("recorded", c, 2) for c in (MAJORITY, Chooser("best_of_n", "mine", "min"))}
    assert [sum(v == v) for v in has.values() if v is not None] == [4, 3] and not accuracies.left_out


def test_what_was_kept_stays_where_the_rest_fails_again() -> None:
    problems = to_table(Problem, [Problem(id_, f"{id_}?", "1") for id_ in IDS])
    responses = to_table(Response, [Response(id_, "g", k, str(k)) for id_, k in ROWS])
    component = Fragile(ComponentParams(), "mine")
    first = tasks.grade(component, problems, responses)
    again = tasks.grade(component, problems, responses, kept=first.table)
    assert again.table == first.table and again.missing == first.missing == {"b": "MemoryError: b"}
