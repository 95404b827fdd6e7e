"""Recorded responses and scores: formats, errors, and real files."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonbench.generators.replay import ReplayGenerator, ReplayParams
from bonbench.reward_models.recorded import RecordedParams, RecordedScores
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling, Solution
from harness.data.response_files import RecordedSample, derived_id, read_recorded
from harness.engine import tasks
from harness.storage.arrow import to_table

FULL: dict[str, Any] = {
    "problem_id": "a", "problem": "1 + 1?", "gold": "2", "subject": "sums", "level": 1,
    "samples": [
        {
            "text": "One.\n\nTwo.", "steps": ["One.", "Two."], "num_tokens": 5, "finish_reason": "stop",
            "step_scores": {"prm": [0.9, 0.2], "orm": [3.0, -1.0]},
        },
        {"text": "2", "steps": ["Two"], "num_tokens": 1, "step_scores": {"prm": [0.5], "orm": [1.5]}},
    ],
}  # fmt: skip
MINIMAL = {"problem": "1 + 2?", "gold": "3", "samples": [{"text": "3"}, {"text": "Step 1: 3\nStep 2: so 3"}]}


def write(path: Path, *rows: Any) -> str:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def replay(path: str, problems: list[Problem], n: int, **params: Any) -> list[Any]:
    seeds = {p.problem_id: [0] * n for p in problems}
    return ReplayGenerator(ReplayParams(path=path, **params), "r").generate(problems, Sampling(n=n), seeds)


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_nested(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, FULL, "", MINIMAL)
    first, second = read_recorded(path)
    assert first.problem == Problem("a", "1 + 1?", "2", "sums", 1)
    scores = {"prm": (0.9, 0.2), "orm": (3.0, -1.0)}
    assert first.samples[0] == RecordedSample("One.\n\nTwo.", ("One.", "Two."), 5, scores, finish_reason="stop")
    assert second.problem == Problem(derived_id("1 + 2?"), "1 + 2?", "3")
    assert [s.step_ends for s in first.samples] == [(6, 10), None]
    assert second.samples[1].step_ends == (10, 22)
    responses = replay(path, [second.problem, first.problem], 2)
    assert [(r.problem_id, r.generator, r.sample, r.text, r.n_tokens, r.finish_reason, r.seed) for r in responses] == [
        (second.problem.problem_id, "r", 0, "3", 0, "", None),
        (second.problem.problem_id, "r", 1, "Step 1: 3\nStep 2: so 3", 0, "", None),
        ("a", "r", 0, "One.\n\nTwo.", 5, "stop", None),
        ("a", "r", 1, "2", 1, "", None),
    ]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_flat(tmp_path: Path, kind: str) -> None:
    rows = [
        {"problem_id": p, "generator": g, "sample": i, "text": f"{p}{g}{i}", "n_prompt_tokens": 3, "n_tokens": 4 + i,
         "finish_reason": "stop", "seed": None}
        for p in ("a", "b") for g in ("x", "y") for i in (1, 0)
    ]  # fmt: skip
    path = str(tmp_path / f"flat.{kind}")
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write(Path(path), *rows)
    problems = [Problem("b", "?", "1")]
    assert min(ReplayGenerator.available_samples(ReplayParams(path=path, generator="y")).values()) == 2
    responses = replay(path, problems, 2, generator="y")
    assert [(r.text, r.n_prompt_tokens, r.n_tokens, r.finish_reason) for r in responses] == [
        ("by0", 3, 4, "stop"),
        ("by1", 3, 5, "stop"),
    ]
    with pytest.raises(UserError, match="has responses of x, y: say which"):
        ReplayGenerator.check(ReplayParams(path=path))
    with pytest.raises(UserError, match="no generator 'z'"):
        ReplayGenerator.check(ReplayParams(path=path, generator="z"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([FULL, "{"], r"r.jsonl line 2: not JSON: "),
        ([FULL, "[1]"], r"r.jsonl line 2: not a JSON object"),
        ([FULL, "[" * 100_000], r"r.jsonl line 2: not JSON: "),
        ([{**MINIMAL, "samples": [{"text": "3"}, {"txt": "3"}]}], r"r.jsonl line 1: samples\[1\].text: missing"),
        ([{"problem": "?", "samples": [{"text": ""}]}], r"r.jsonl line 1: gold: missing"),
        ([{**MINIMAL, "samples": []}], r"r.jsonl line 1: samples: .*at least 1 item"),
        ([FULL, MINIMAL, FULL], r"r.jsonl line 3: problem_id 'a' is already in .*r.jsonl line 1"),
        ([MINIMAL, MINIMAL], r"r.jsonl line 2: problem_id '\w+' is already in"),
        ([], r"r.jsonl: the file is empty"),
        (
            [{**MINIMAL, "samples": [{"text": "x", "steps": ["x"], "step_scores": {"prm": [0.1, 0.2, 0.3]}}]}],
            r"line 1: samples\[0\]: step_scores.prm has 3 values for 1 steps",
        ),
        (
            [{**MINIMAL, "samples": [{"text": "x", "step_scores": {"prm": [True]}}]}],
            r"line 1: samples\[0\].step_scores.prm\[0\]: a number is expected, not true or false",
        ),
        ([FULL, {"problem_id": "a", "text": "x"}], r"r.jsonl line 2: the file mixes single responses and problems"),
        (
            [{"problem_id": "a", "text": "x", "sample": 0}, {"problem_id": "a", "text": "y", "sample": 0}],
            r"r.jsonl line 2: sample 0 of problem 'a' is already in line 1",
        ),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recorded(write(tmp_path / "r.jsonl", *rows))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.jsonl: no such file"):
        read_recorded(tmp_path / "nowhere.jsonl")
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    with pytest.raises(UserError, match=r"r.jsonl.gz line \d+: "):
        read_recorded(tmp_path / "r.jsonl.gz")
    (tmp_path / "r.parquet").write_text("no")
    with pytest.raises(UserError, match=r"r.parquet: not a Parquet file"):
        read_recorded(tmp_path / "r.parquet")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", FULL)
    assert len(read_recorded(path)) == 1
    assert read_recorded(path) is read_recorded(path)
    write(tmp_path / "r.jsonl", FULL, MINIMAL)
    assert len(read_recorded(path)) == 2


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_responses_stay_in_the_file(tmp_path: Path, name: str) -> None:
    samples = [{"text": chr(97 + i) * 20_000, "step_scores": {"prm": [0.5]}} for i in range(4)]
    path = write(tmp_path / name, *({"problem": f"{n}?", "gold": "1", "samples": samples} for n in range(100)))
    tracemalloc.start()
    try:
        recorded = read_recorded(path)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 400_000, "of 8 MB"
    assert [s.text[0] for s in recorded.samples(Problem(derived_id("57?"), "57?", "1"))] == ["a", "b", "c", "d"]
    assert recorded.samples(Problem(derived_id("100?"), "100?", "1")) == ()


def test_too_few_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", FULL)
    assert ReplayGenerator.available_samples(ReplayParams(path=path)) == {"a": 2}
    generator = ReplayGenerator(ReplayParams(path=path), "r")
    recorded, other = read_recorded(path)[0].problem, Problem("other", "?", "1")

    def sample(*problems: Problem, n: int, fewer: bool) -> list[tuple[str, int]]:
        table = tasks.sample(generator, to_table(Problem, problems), Sampling(n=n), 0, fewer).table
        return list(zip(table["problem_id"].to_pylist(), table["sample"].to_pylist(), strict=True))

    with pytest.raises(UserError, match=r"r: 2 responses to problem 'a' are recorded, 3 wanted; .*`evaluate: false`"):
        sample(recorded, n=3, fewer=False)
    with pytest.raises(UserError, match="r: 0 responses to problem 'other'"):
        sample(recorded, other, n=1, fewer=False)
    # Rollouts may be fewer than asked for, but a block without any is of other problems than the file's.
    assert sample(recorded, other, n=3, fewer=True) == [("a", 0), ("a", 1)]
    with pytest.raises(UserError, match=r"0 responses to problem 'other' are recorded, 3 wanted$"):
        sample(other, n=3, fewer=True)


def solutions(path: str) -> list[Solution]:
    problems = [recorded.problem for recorded in read_recorded(path)]
    responses = iter(
        replay(path, problems, n := min(ReplayGenerator.available_samples(ReplayParams(path=path)).values()))
    )
    return [Solution(problem, next(responses)) for problem in problems for _ in range(n)]


def test_recorded_scores(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", FULL)
    entries = RecordedScores.expand({"type": "recorded", "path": path, "aggregation": "last"})
    assert entries == {
        model: {"type": "recorded", "path": path, "aggregation": "last", "model": model} for model in ("orm", "prm")
    }
    assert RecordedScores.expand(entries["prm"]) is None
    prm, orm = (RecordedScores(RecordedParams(path=path, model=model), model) for model in ("prm", "orm"))
    assert (prm.score_type, orm.score_type, prm.aggregation) == ("probability", "unbounded", "min")
    first, second = prm.score(solutions(path))
    assert (first.step_rewards, first.step_ends, first.n_tokens) == ((0.9, 0.2), (6, 10), 5)
    # Its steps do not rebuild the text, but a single reward is the whole response's.
    assert (second.step_rewards, second.step_ends, second.n_tokens) == ((0.5,), (1,), 1)
    assert (first.reward_model, first.generator, first.sample) == ("prm", "r", 0)


def test_recorded_scores_mistakes(tmp_path: Path) -> None:
    partly = json.loads(json.dumps(FULL))
    del partly["samples"][1]["step_scores"]["orm"]
    path = write(tmp_path / "r.jsonl", partly)
    RecordedScores.check(RecordedParams(path=path, model="prm"))
    with pytest.raises(UserError, match="sample 1 of problem 'a' has no step_scores of orm"):
        RecordedScores.check(RecordedParams(path=path, model="orm"))
    with pytest.raises(UserError, match="no scores of 'pmr'; did you mean prm"):
        RecordedScores.check(RecordedParams(path=path, model="pmr"))
    bare = write(tmp_path / "m.jsonl", MINIMAL)
    assert RecordedScores.expand({"path": bare}) == {}
    with pytest.raises(UserError, match="has no step_scores"):
        RecordedScores.check(RecordedParams(path=bare, model="prm"))
    other = write(tmp_path / "other.jsonl", {**FULL, "samples": FULL["samples"][::-1]})
    with pytest.raises(UserError, match="did not record sample 0 of problem 'a'"):
        RecordedScores(RecordedParams(path=path, model="prm"), "prm").score(solutions(other))


def test_real_files(shared_data: Path) -> None:
    path = str(shared_data / "math500_recorded.jsonl.gz")
    problems = read_recorded(path)
    assert (len(problems), {len(p.samples) for p in problems}) == (252, {32})
    raw = [json.loads(line) for line in gzip.decompress(Path(path).read_bytes()).splitlines()]
    model = RecordedScores(RecordedParams(path=path, model="qwen_prm"), "qwen_prm")
    records = iter(model.score(solutions(path)))
    rebuilt = 0
    for problem in raw:
        for sample in problem["samples"]:
            record = next(records)
            assert list(record.step_rewards) == sample["step_scores"]["qwen_prm"]
            if record.step_ends is not None and len(record.step_rewards) > 1:
                rebuilt += 1
                spans = zip((0, *record.step_ends[:-1]), record.step_ends, strict=True)
                assert [sample["text"][a:b].strip() for a, b in spans] == [s.strip() for s in sample["steps"]]
    assert rebuilt > 4000
    assert model.score_type == "probability"
    assert set(RecordedScores.expand({"path": str(shared_data / "gsm8k_recorded.jsonl.gz")}) or ()) == {
        "qwen_prm", "math_shepherd", "rlhflow_prm", "skywork_prm", "skywork_prm_1_5b", "internlm2_7b_reward",
        "internlm2_1_8b_reward",
    }  # fmt: skip
