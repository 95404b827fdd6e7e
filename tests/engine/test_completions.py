"""Step labels: real completions of real rollouts, counted again by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from places import MODELS

from bonbench.experiments.pocket.world import PocketDataset, PocketParams
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.training.params import StepTokenTrainerParams
from bonbench.reward_models.training.step_token import StepTokenTrainer
from bonbench.verifiers.math import MathParams, MathVerifier
from harness.core.errors import UserError
from harness.core.records import Grade, Problem, Response, Sampling, StepLabels
from harness.core.steps import step_spans
from harness.engine import tasks
from harness.engine.prefixes import prefixes
from harness.storage.arrow import to_records, to_table

MODEL = MODELS / "middle"
N = 3


def respond(sample: int, text: str) -> Response:
    return Response("p", "g", sample, text)


def test_equal_prefixes_are_one_and_the_first_responses_have_the_first() -> None:
    problem = Problem("p", "1 + 1 + 1?", "3")
    texts = ["a\nb\nc", "a\nx\nc", "a\nb\nd", "one step", ""]
    found = prefixes([problem], [respond(i, text) for i, text in enumerate(texts)])
    assert [(p.text, p.problem.problem_id, p.sample) for p in found.values()] == [
        ("a\n", "p#0", 0),
        ("a\nb\n", "p#1", 0),
        ("a\nx\n", "p#2", 1),
    ]
    fewer = prefixes([problem], [respond(i, text) for i, text in enumerate(texts[:2])])
    assert list(fewer.items()) == list(found.items())[: len(fewer)]


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    """Rollouts of the middle pocket model to four problems, their grades, completions and labels."""
    problems = PocketDataset(PocketParams(split="train", limit=4)).load()
    generator = TransformersGenerator(TransformersParams(model=str(MODEL)), "middle")
    verifier = MathVerifier(MathParams())
    sampling = Sampling(n=4, max_tokens=96)
    found = {"problems": to_table(Problem, problems)}
    found["responses"] = tasks.sample(generator, found["problems"], sampling, 0).table
    found["grades"] = tasks.grade(verifier, found["problems"], found["responses"]).table
    completed = tasks.complete(generator, found["problems"], found["responses"], Sampling(n=N, max_tokens=96), 0)
    found["completions"] = completed.table
    assert completed.flops > 0 and completed.completion_tokens == sum(found["completions"]["n_tokens"].to_pylist())
    found["labels"] = tasks.label(verifier, **found).table
    return found


def test_labels_count_right_completions(tables: dict[str, pa.Table]) -> None:
    """Each completed response is put together and graded alone."""
    verifier = MathVerifier(MathParams())
    problems = {p.problem_id: p for p in to_records(Problem, tables["problems"])}
    responses = to_records(Response, tables["responses"])
    completions = to_records(Response, tables["completions"])
    grades = to_records(Grade, tables["grades"])
    numbers: dict[tuple[str, str], int] = {}  # (problem, prefix) -> place among the problem's prefixes
    counts: dict[str, int] = {}
    inner = 0
    for response, grade, label in zip(responses, grades, to_records(StepLabels, tables["labels"]), strict=True):
        spans = step_spans(response.text)
        assert (label.problem_id, label.sample) == (response.problem_id, response.sample)
        assert label.n == (N,) * (len(spans) - 1) + (1,)
        assert len(label.n_correct) == len(spans)
        assert label.n_correct[-1] == grade.correct
        for (_, end), n_correct in zip(spans[:-1], label.n_correct, strict=False):
            prefix = response.text[:end]
            place = numbers.setdefault((response.problem_id, prefix), counts.get(response.problem_id, 0))
            counts[response.problem_id] = max(counts.get(response.problem_id, 0), place + 1)
            own = [c for c in completions if c.problem_id == f"{response.problem_id}#{place}"]
            assert [c.sample for c in own] == list(range(N))
            gold = problems[response.problem_id].answer
            right = [verifier.verify([(verifier.extract(prefix + c.text), gold)])[0][0] for c in own]
            assert n_correct == sum(right)
            inner += 1
    assert inner > 10 and len(numbers) < inner, "no two responses began alike"
    assert len(completions) == N * len(numbers)
    assert len(set(tables["completions"]["seed"].to_pylist())) == len(completions)


def test_completions_do_not_depend_on_the_other_rollouts(tables: dict[str, pa.Table]) -> None:
    generator = TransformersGenerator(TransformersParams(model=str(MODEL)), "middle")
    first = tables["responses"].filter([s < 2 for s in tables["responses"]["sample"].to_pylist()])
    fewer = tasks.complete(generator, tables["problems"], first, Sampling(n=N, max_tokens=96), 0).table
    whole = {(c.problem_id, c.sample): c for c in to_records(Response, tables["completions"])}
    assert all(whole[c.problem_id, c.sample] == c for c in to_records(Response, fewer))
    assert 0 < len(fewer) < len(whole)


def test_deciding_early_changes_no_hard_label(tables: dict[str, pa.Table]) -> None:
    """Completed in rounds, every prefix gets just as many completions as it takes, and the very same ones."""
    n, rounds = 8, StepTokenTrainer.completions(StepTokenTrainerParams(base="m", stop_when_decided=True))
    assert (sum(rounds), StepTokenTrainer.completions(StepTokenTrainerParams(base="m"))) == (n, (n,))
    generator, verifier = (
        TransformersGenerator(TransformersParams(model=str(MODEL)), "middle"),
        MathVerifier(MathParams()),
    )
    given = {name: tables[name] for name in ("problems", "responses", "grades")}

    def complete(size: int, **labels: pa.Table) -> tasks.Result:
        sampling = Sampling(n=size, max_tokens=96)
        return tasks.complete(generator, tables["problems"], tables["responses"], sampling, 0, **labels)

    everything = complete(n)
    full = tasks.label(verifier, **given, completions=everything.table).table
    labels: dict[str, pa.Table] = {}
    results = []
    for size in rounds:
        results.append(complete(size, **labels))
        labels = {"labels": tasks.label(verifier, **given, completions=results[-1].table, **labels).table}

    # By brute force: one completion after the other, the round filled up in which the first right one comes.
    known = {p.problem.problem_id: p for p in prefixes(*_records(tables, "problems", "responses")).values()}
    whole = {(c.problem_id, c.sample): c for c in to_records(Response, everything.table)}
    needed: dict[str, int] = {}
    for id_, prefix in known.items():
        texts = [prefix.text + whole[id_, j].text for j in range(n)]
        right = [ok for ok, _ in verifier.verify([(verifier.extract(t), prefix.problem.answer) for t in texts])]
        ends = np.cumsum(rounds).tolist()
        needed[id_] = next((end for end in ends if any(right[:end])), n)
    assert len(set(needed.values())) == len(rounds)
    sampled = [c for result in results for c in to_records(Response, result.table)]
    assert {(c.problem_id, c.sample) for c in sampled} == {(id_, j) for id_, k in needed.items() for j in range(k)}
    assert all(whole[c.problem_id, c.sample] == c for c in sampled)
    tokens = sum(result.completion_tokens for result in results)
    assert tokens == sum(c.n_tokens for c in sampled) < everything.completion_tokens

    hard = []
    for early, late in zip(*_records({"a": labels["labels"], "b": full}, "a", "b"), strict=True):
        assert [k > 0 for k in early.n_correct] == [k > 0 for k in late.n_correct]
        hard += [k > 0 for k in early.n_correct[:-1]]
        assert late.n == (n,) * (len(late.n) - 1) + (1,)
    assert 0.1 < np.mean(hard) < 0.9
    # Had every prefix been decided, a further round would find nothing to do.
    decided = [replace(label, n_correct=label.n) for label in to_records(StepLabels, full)]
    assert len(complete(2, labels=to_table(StepLabels, decided)).table) == 0


def _records(tables: dict[str, pa.Table], *names: str) -> list[list[Any]]:
    kinds = {"problems": Problem, "responses": Response}
    return [to_records(kinds.get(name, StepLabels), tables[name]) for name in names]


def test_a_generator_that_cannot_go_on_says_so(tmp_path: Path) -> None:
    from bonbench.generators.replay import ReplayGenerator, ReplayParams

    (tmp_path / "r.jsonl").write_text('{"problem": "p", "gold": "1", "samples": [{"text": "1"}]}\n')
    generator = ReplayGenerator(ReplayParams(path=str(tmp_path / "r.jsonl")))
    with pytest.raises(UserError, match="ReplayGenerator cannot continue a response that has begun"):
        generator.complete([], [], Sampling(n=1), {})
