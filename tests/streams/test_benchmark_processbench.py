"""ProcessBench: the protocol by hand, by brute force, and on real solutions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import MODELS

from harness.cli import main
from harness.core.errors import UserError
from harness.core.steps import joined_steps
from harness.data import published_rows
from harness.data.hub import HubSplit
from harness.streams.benchmarks.base import Answer, Judged, Numbers, Settings
from harness.streams.benchmarks.processbench import (
    ErrorLocationScores,
    Labelled,
    ProcessBench,
    best_threshold,
    error_location_scores,
)
from harness.streams.benchmarks.scoring import Entry, load, scored
from harness.streams.scorer import Scorer


def arrays(rows: list[list[float]]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.float64) for row in rows]


def evaluate(*subsets: tuple[str, list[np.ndarray], list[int]], given: float | None = None) -> Numbers:
    sets = {
        name: [
            Judged(Labelled("p", ("a",) * 9, label), [Answer(values)])
            for values, label in zip(rewards, labels, strict=True)
        ]
        for name, rewards, labels in subsets
    }
    return ProcessBench().numbers(sets, Settings(given))


def entries(items: list[Labelled]) -> list[Entry[Labelled]]:
    return [Entry(f"x.jsonl line {n}", {}, item) for n, item in enumerate(items, 1)]


def test_by_hand() -> None:
    """First step below 0.5: found, missed (early), missed (none), right kept, right accused."""
    rewards = arrays([[0.9, 0.2, 0.1], [0.4, 0.2], [0.9, 0.8], [0.7, 0.5], [0.9, 0.49]])
    scores = error_location_scores(rewards, [1, 1, 0, -1, -1], 0.5)
    assert scores == ErrorLocationScores(wrong=1 / 3, right=1 / 2)
    assert scores.f1 == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert ErrorLocationScores(0.0, 0.0).f1 == 0.0


@st.composite
def subsets(draw: st.DrawFn) -> tuple[list[np.ndarray], list[int]]:
    values = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0])
    rows = draw(st.lists(st.lists(values, min_size=0, max_size=4), min_size=1))
    # A label may lie beyond the rewards: of a solution without a score, or one that was cut.
    labels = [draw(st.integers(-1, len(row))) for row in rows]
    return arrays(rows), labels


@given(subsets())
def test_the_best_threshold_is_the_best_of_all(subset: tuple[list[np.ndarray], list[int]]) -> None:
    rewards, labels = subset
    every = [-3.0, *(v + d for v in (-2.0, -0.5, 0.0, 0.25, 0.5, 1.0) for d in (-0.01, 0.0, 0.01)), 2.0]
    best = max(error_location_scores(rewards, labels, t).f1 for t in every)
    assert error_location_scores(rewards, labels, best_threshold(rewards, labels)).f1 == pytest.approx(best)


def test_a_solution_without_a_score_is_not_judged_right() -> None:
    rewards = arrays([[], [], [0.9], [0.9, 0.1], [0.9]])
    labels = [-1, 0, -1, 1, 1]  # the last one was cut before its wrong step
    assert error_location_scores(rewards, labels, 0.5) == ErrorLocationScores(wrong=1 / 3, right=1 / 2)
    result = evaluate(("a", rewards, labels))
    assert result.rows[0][:2] == ("a", 5) and result.rows[0][2][:2] == [1 / 3, 1 / 2]
    assert result.notes[0].startswith("2 of the 5 solutions of a have no score")


@pytest.mark.parametrize(("choice", "n_rewards"), [("skip", [1, 0]), ("truncate", [1, 1])])
def test_a_solution_too_long_for_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], choice: str, n_rewards: list[int]
) -> None:
    model = MODELS / "middle"
    scorer = Scorer(f"implicit:policy={model},reference=null,too_long={choice}")
    data = [Labelled("1 + 1", ("2",), -1), Labelled("1 + 1", ("1 + 1", "= 2 " * 300), -1)]
    judged = scored(ProcessBench(), entries(data), scorer, lambda n: None)
    assert [len(one.answers[0].step_rewards) for one in judged] == n_rewards
    rows = [{"problem": item.problem, "steps": list(item.steps), "label": item.label} for item in data]
    spec = f"implicit:policy={model},reference=null,too_long={choice}"
    code = main(["benchmark", "processbench", str(write(tmp_path / "x.jsonl", rows)), "--reward-model", spec])
    assert code == (2 if choice == "skip" else 0)
    out = capsys.readouterr().out
    for said in ("1 of the 2 solutions of x.jsonl have no score and count as judged wrongly", "x.jsonl line 2: longer"):
        assert (said in out) == (choice == "skip")


def test_a_solution_that_is_too_long_is_an_error_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"problem": "1 + 1", "steps": ["1 + 1", "= 2 " * 300], "label": -1}]
    data = write(tmp_path / "x.jsonl", rows)
    for spec in (f"implicit:policy={MODELS / 'middle'},reference=null", f"step-token:model={MODELS / 'middle'}"):
        assert main(["benchmark", "processbench", str(data), "--reward-model", f"{spec},too_long=error"]) == 2
        assert "let too_long be skip or truncate" in capsys.readouterr().err


def test_an_outcome_reward_model_is_refused() -> None:
    data = [Labelled("1 + 1", ("1 + 1", "= 2"), -1)]
    with pytest.raises(UserError, match="gives 1 rewards for 2 steps: processbench needs a process reward model"):
        scored(ProcessBench(), entries(data), Scorer("length"), lambda n: None)


def test_the_first_subset_tunes_for_all() -> None:
    first = ("a", arrays([[0.9, 0.1], [0.8]]), [1, -1])
    second = ("b", arrays([[0.3, 0.2], [0.35]]), [1, -1])
    result = evaluate(first, second)
    assert result.threshold is not None and 0.1 < result.threshold <= 0.8
    assert result.values["a: F1"] == 1.0 and result.values["b: F1"] == 0.0
    assert result.values["b: F1, own threshold"] == 1.0 and result.values["F1"] == 0.5


def test_real_solutions_keep_their_steps(shared_data: Path) -> None:
    for name in ("gsm8k", "math"):
        data = [entry.item for entry in load(ProcessBench(), str(shared_data / f"processbench_{name}.jsonl.gz"))]
        assert len(data) == {"gsm8k": 400, "math": 1000}[name]
        read = [(joined_steps(item.steps), item.steps) for item in data]
        assert all(
            text[a : a + len(step)] == step
            for (text, ends), steps in read
            for a, step in zip((0, *ends[:-1]), steps, strict=True)
        )


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("verb", [["benchmark", "processbench"], ["processbench"]])
def test_recorded_rewards_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    """The verb's earlier name does the same."""
    rows = [
        {"problem": "p", "steps": ["a", "b"], "label": 1, "step_rewards": [0.9, 0.1]},
        {"problem": "q", "steps": ["a"], "label": -1, "step_rewards": [0.8]},
    ]
    assert main([*verb, str(write(tmp_path / "gsm8k.jsonl", rows))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["gsm8k.jsonl", "2", "100.0", "100.0", "100.0", "100.0"]
    assert lines[-1].startswith("threshold 0.45, tuned on ")


def row(**changed: object) -> dict[str, object]:
    return {"problem": "p", "steps": ["a"], "label": -1} | changed


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (row(problem=None), 'no "problem"'),
        (row(problem=5), 'no "problem"'),
        *((row(steps=steps), '"steps" is not a list of texts') for steps in (None, "a", [], ["a", " "], [1])),
        *((row(label=label), '"label" is not the index of one of 1 steps') for label in (1, -2, None, "0", 0.0, True)),
        (row(step_rewards=[]), "0 step_rewards for 1 steps"),
        *(
            (row(step_rewards=rewards), '"step_rewards" is not a list of finite numbers')
            for rewards in (0.5, "0.5", {}, ["x"], [None], [True], [[0.5]], [float("nan")], [10**400])
        ),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, object], complaint: str) -> None:
    with pytest.raises(UserError, match=f"x.jsonl line 1: {complaint}"):
        load(ProcessBench(), str(write(tmp_path / "x.jsonl", [row])))


def test_a_split_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[HubSplit] = []

    def split(of: HubSplit) -> list[dict[str, object]]:
        asked.append(of)
        return [row(), row(label=5)]

    monkeypatch.setattr(published_rows, "load_split", split)
    with pytest.raises(UserError, match='Qwen/ProcessBench:gsm8k row 2: "label" is not the index'):
        load(ProcessBench(), "Qwen/ProcessBench:gsm8k")
    assert asked == [HubSplit(path="Qwen/ProcessBench", split="gsm8k")]
