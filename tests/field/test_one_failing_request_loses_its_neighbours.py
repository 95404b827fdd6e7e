"""One request to a server keeps failing: an evaluation loses all that was answered beside it, counts the problem as
wrong, or pays for it again and again.

tracel-ai/pegainfer#1006, Softcatala/ai-eval-catalan#29.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from model_server import ModelServer, Reply, completion, serving
from runs import Done, bonbench, table

import harness.core.server.client
from harness.analysis.compute_accuracies import compute_accuracies
from harness.storage.results import load_results

N = 4


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.core.server.client, "_PAUSE_S", 0.001)


def run(folder: Path, server: ModelServer, per_shard: int = 4, **entry: Any) -> Done:
    rows = [{"problem_id": f"p{i}", "problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(4)]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "name": "served",
        "problems": {"test": {"dataset": "jsonl", "path": str(folder / "test.jsonl")}},
        "sampling": {"n": N},
        "problems_per_shard": per_shard,
        "generators": {"remote": {"type": "openai", "model": "served", "base_url": server.url, "tries": 2, **entry}},
        "reward_models": {"length": {"type": "length"}},
        "evaluation": {"n": [1, 2, 4], "bootstrap": 100},
        "output": str(folder / "results"),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return bonbench("run", folder / "config.yaml", "--local", "--until", "score")


def right(body: dict[str, Any]) -> Reply:
    number = int(asked_about(body)[1:]) + 1
    return Reply(completion(f"It is \\boxed{{{number}}}."))


def asked_about(body: dict[str, Any]) -> str:
    return f"p{body['messages'][-1]['content'].split()[2]}"


@pytest.mark.parametrize("per_shard", [4, pytest.param(1, marks=pytest.mark.thorough)])
def test_what_was_answered_is_kept_and_only_the_rest_is_asked_for(tmp_path: Path, per_shard: int) -> None:
    is_ill = True
    failing: set[int] = set()
    lock = threading.Lock()

    def answer(body: dict[str, Any]) -> Reply:
        """Two of the four requests about p3 fail while the server is ill."""
        with lock:
            if asked_about(body) == "p3" and len(failing) < 2:
                failing.add(body["seed"])
        if is_ill and body["seed"] in failing:
            return Reply({"error": {"message": "the worker is lost"}}, 500)
        return right(body)

    with serving(answer) as server:
        done = run(tmp_path, server, per_shard)
        assert done.code == 1
        assert "problem 'p3': " in done.err and "answers 500: the worker is lost" in done.err
        assert Counter(map(asked_about, server.asked)) == {"p0": N, "p1": N, "p2": N, "p3": N + 2}  # two tries
        results = load_results(tmp_path / "results")
        (entry,) = results.manifest.quarantined
        assert entry.problem_ids == ["p3"]
        assert set(results.grades.problem_id) == {"p0", "p1", "p2"} and results.grades.correct.all()
        rows = compute_accuracies(results).rows
        assert {key.chooser.reward_model for key in rows} >= {"length"}
        for accuracy in rows.values():
            np.testing.assert_allclose(accuracy, [1, 1, 1, np.nan])

        server.asked.clear()
        assert run(tmp_path, server, per_shard).code == 1
        assert Counter(map(asked_about, server.asked)) == {"p3": 4}  # the two, tried twice

        server.asked.clear()
        is_ill = False
        done = run(tmp_path, server, per_shard)
        assert done.code == 0
        assert Counter(map(asked_about, server.asked)) == {"p3": 2}
        responses = table(tmp_path / "results", "responses")
        assert list(zip(responses.problem_id, responses["sample"], strict=True)) == [
            (f"p{i}", j) for i in range(4) for j in range(N)
        ]
        assert responses.seed.is_unique
        assert len(table(tmp_path / "results", "scores")) == 16
        assert not load_results(tmp_path / "results").manifest.quarantined
        server.asked.clear()
        assert run(tmp_path, server, per_shard).code == 0
        assert not server.asked


def test_a_problem_that_is_refused_costs_nothing_else(tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        if asked_about(body) == "p1":
            return Reply({"error": {"message": "the prompt is against our policy", "code": "content_filter"}}, 400)
        return right(body)

    with serving(answer) as server:
        done = run(tmp_path, server)
    assert done.code == 1
    assert "answers 400: the prompt is against our policy" in done.err
    assert len(server.asked) == 4 * N  # a refusal is not tried again
    assert set(load_results(tmp_path / "results").grades.problem_id) == {"p0", "p2", "p3"}


@pytest.mark.parametrize(("status", "words"), [(400, "unknown field"), (503, "overloaded")])
def test_a_server_that_answers_nobody_stops_the_entry(tmp_path: Path, status: int, words: str) -> None:
    with serving(lambda body: Reply({"error": {"message": words}}, status)) as server:
        done = run(tmp_path, server)
    assert done.code == 2
    assert f"answers {status}: {words}" in done.err
    assert "Traceback" not in done.err
    assert len(server.asked) <= 4 * N * (2 if status == 503 else 1)


def test_an_account_that_ends_half_way_costs_nothing_that_was_paid(tmp_path: Path) -> None:
    credit = iter(range(2 * N + 2))

    def answer(body: dict[str, Any]) -> Reply:
        no_credit = Reply({"error": {"message": "out of credit", "code": "insufficient_quota"}}, 429)
        return no_credit if next(credit, None) is None else right(body)

    with serving(answer) as server:
        done = run(tmp_path, server, per_shard=1, concurrency=1)
        assert done.code == 1
        assert "answers 429: out of credit" in done.err
        assert len(server.asked) <= 2 * N + 4  # those in flight, and one to try
        credit = iter(range(100))
        server.asked.clear()
        assert run(tmp_path, server, per_shard=1, concurrency=1).code == 0
    assert len(server.asked) == 2 * N - 2
    assert len(table(tmp_path / "results", "grades")) == 4 * N
