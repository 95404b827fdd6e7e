"""ProcessBench: the protocol by hand, by brute force, and on real solutions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import BONBENCH

from harness.core.errors import UserError
from harness.core.steps import join_steps, step_ends
from harness.streams.processbench import Accuracies, accuracies, best_threshold, evaluate, load


def arrays(rows: list[list[float]]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.float64) for row in rows]


def test_by_hand() -> None:
    """First step below 0.5: found, missed (early), missed (none), right kept, right accused."""
    rewards = arrays([[0.9, 0.2, 0.1], [0.4, 0.2], [0.9, 0.8], [0.7, 0.5], [0.9, 0.49]])
    found = accuracies(rewards, [1, 1, 0, -1, -1], 0.5)
    assert found == Accuracies(wrong=1 / 3, right=1 / 2)
    assert found.f1 == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert Accuracies(0.0, 0.0).f1 == 0.0


@st.composite
def subsets(draw: st.DrawFn) -> tuple[list[np.ndarray], list[int]]:
    rows = draw(
        st.lists(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=4), min_size=1)
    )
    labels = [draw(st.integers(-1, len(row) - 1)) for row in rows]
    return arrays(rows), labels


@given(subsets())
def test_the_best_threshold_is_the_best_of_all(subset: tuple[list[np.ndarray], list[int]]) -> None:
    rewards, labels = subset
    every = [-3.0, *(v + d for v in (-2.0, -0.5, 0.0, 0.25, 0.5, 1.0) for d in (-0.01, 0.0, 0.01)), 2.0]
    best = max(accuracies(rewards, labels, t).f1 for t in every)
    assert accuracies(rewards, labels, best_threshold(rewards, labels)).f1 == pytest.approx(best)


def test_the_first_subset_tunes_for_all() -> None:
    first = ("a", arrays([[0.9, 0.1], [0.8]]), [1, -1])
    second = ("b", arrays([[0.3, 0.2], [0.35]]), [1, -1])
    threshold, results = evaluate([first, second])
    assert 0.1 < threshold <= 0.8
    assert results[0].accuracies.f1 == 1.0
    assert results[1].accuracies.f1 == 0.0 and results[1].best.f1 == 1.0


def test_real_solutions_keep_their_steps(shared_data: Path) -> None:
    for name in ("gsm8k", "math"):
        data = load(str(shared_data / f"processbench_{name}.jsonl.gz"))
        assert len(data) == {"gsm8k": 400, "math": 1000}[name]
        assert all(len(step_ends(join_steps(item.steps))) == len(item.steps) for item in data)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_recorded_rewards_on_the_command_line(tmp_path: Path) -> None:
    rows = [
        {"problem": "p", "steps": ["a", "b"], "label": 1, "step_rewards": [0.9, 0.1]},
        {"problem": "q", "steps": ["a"], "label": -1, "step_rewards": [0.8]},
    ]
    done = subprocess.run(
        [*BONBENCH, "processbench", str(write(tmp_path / "gsm8k.jsonl", rows))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "100.0" in done.stdout and "threshold" in done.stdout


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"problem": "p", "steps": ["a"], "label": 1}, '"label" is not the index'),
        ({"problem": "p", "steps": [], "label": -1}, '"steps" is not a list'),
        ({"steps": ["a"], "label": -1}, 'no "problem"'),
        ({"problem": "p", "steps": ["a"], "label": -1, "step_rewards": []}, "0 step_rewards for 1 steps"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, object], complaint: str) -> None:
    with pytest.raises(UserError, match=f"line 1: .*{complaint}"):
        load(str(write(tmp_path / "x.jsonl", [row])))
