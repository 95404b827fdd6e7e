"""One problem of a file has a single response, the others have sixteen, and the whole report is silently about one
response each; or all of it is refused, and nothing says which problem is to blame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.engine.provenance import results_key
from harness.experiment.config import Experiment


@pytest.fixture
def responses(tmp_path: Path) -> str:
    """Four problems with 3, 3, 1 and 3 responses."""
    rows = [
        {"problem_id": f"q{i}", "problem": f"{i} + 1?", "gold": "2", "samples": [{"text": str(j)} for j in range(n)]}
        for i, n in enumerate((3, 3, 1, 3))
    ]
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def graph(responses: str, **more: Any) -> Graph:
    return build_graph(Experiment.model_validate({"name": "x", "responses": responses, "reward_models": {}, **more}))


def test_it_is_said_which_problem_has_how_many(responses: str) -> None:
    made = graph(responses)
    said = "n = 1: problem 'q2' has 1 response of generators.recorded; 3 problems have 3 responses."
    assert made.n == 1 and [note.partition(" A ")[0] for note in made.notes] == [said]
    with pytest.raises(
        UserError, match=r"sampling.n: 3 wanted, but problem 'q2' has 1 response of generators.recorded; "
    ):
        graph(responses, sampling={"n": 3})
    assert not graph(responses, sampling={"n": 1}).notes


def test_short_problems_are_left_out_where_the_experiment_says_so(responses: str) -> None:
    made = graph(responses, sampling={"n": 3, "too_few": "skip"})
    assert made.n == 3 and [p.problem_id for p in made.problems["test"]] == ["q0", "q1", "q3"]
    assert {p.problem_id for stage in made.stages for shard in stage.shards for p in shard.problems} == {
        "q0",
        "q1",
        "q3",
    }
    assert made.notes == [
        "Left out for fewer than 3 responses: 1 of 4 problems (problem 'q2' has 1 response of generators.recorded; "
        "3 problems have 3 responses)."
    ]
    with pytest.raises(UserError, match=r"sampling.n: no problem has 9 responses: "):
        graph(responses, sampling={"n": 9, "too_few": "skip"})
    with pytest.raises(ValueError, match=r"skip needs sampling.n"):
        graph(responses, sampling={"too_few": "skip"})


def test_the_choice_is_in_no_key(responses: str) -> None:
    """What is stored of the problems that have enough stays."""
    either = [graph(responses, sampling={"n": 1, "too_few": choice}) for choice in ("error", "skip")]
    keys = [[shard.key for stage in one.stages for shard in stage.shards] for one in either]
    assert keys[0] == keys[1] and results_key(either[0], []) == results_key(either[1], [])


def test_a_problem_without_any_response(responses: str, tmp_path: Path) -> None:
    more = tmp_path / "problems.jsonl"
    rows = [{"problem_id": f"q{i}", "problem": f"{i} + 1?", "answer": "2"} for i in range(5)]
    more.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems = {"test": {"dataset": "jsonl", "path": str(more)}}
    with pytest.raises(UserError, match=r"generators.recorded has no responses to some problems: problem 'q4' has 0 "):
        graph(responses, problems=problems)
    made = graph(responses, problems=problems, sampling={"n": 1, "too_few": "skip"})
    assert [p.problem_id for p in made.problems["test"]] == ["q0", "q1", "q2", "q3"]
