"""Step labels: real completions of real rollouts, counted again by hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from experiments.pocket.world import PocketDataset, PocketParams
from generators.transformers import TransformersGenerator, TransformersParams
from harness import tasks
from harness.completions import prefixes
from harness.records import Grade, Problem, Response, Sampling, StepLabels
from harness.registry import UserError
from harness.steps import step_spans
from harness.store import to_records, to_table
from verifiers.math import MathParams, MathVerifier

MODEL = Path(__file__).resolve().parent.parent / "experiments" / "pocket" / "models" / "middle"
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
    found["labels"] = tasks.label(verifier, **found, n=N).table
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
        assert (label.problem_id, label.sample, label.n) == (response.problem_id, response.sample, N)
        assert len(label.n_correct) == len(spans)
        assert label.n_correct[-1] == (N if grade.correct else 0)
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


def test_a_generator_that_cannot_go_on_says_so(tmp_path: Path) -> None:
    from generators.replay import ReplayGenerator, ReplayParams

    (tmp_path / "r.jsonl").write_text('{"problem": "p", "gold": "1", "samples": [{"text": "1"}]}\n')
    generator = ReplayGenerator(ReplayParams(path=str(tmp_path / "r.jsonl")))
    with pytest.raises(UserError, match="ReplayGenerator cannot go on from the beginning of a response"):
        generator.complete([], [], Sampling(n=1), {})
