"""A reward model is given other steps than the data set has.

A solution's steps were joined into one text and found in it again: "**Step 1:** Choose 2" became "Step 3: ** Choose 2",
and blank lines in a step went missing.

Reports: QwenLM/ProcessBench#3 (a fixed threshold), the discussion of huggingface/trl#2127, LightRFT#53.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from places import MODELS
from reward_checkpoints import make_checkpoint

from bonbench.reward_models.text.layouts import numbered
from harness.cli import main
from harness.core.records import Problem, Response, Solution
from harness.core.steps import joined_steps
from harness.streams.benchmarks.processbench import Labelled, ProcessBench
from harness.streams.benchmarks.scoring import Entry, scored
from harness.streams.scorer import Scorer

STEPS = ("We begin.\n\nIt is easy.", "**Step 1:** Choose 2", "Step 7. so\nStep 2: 4", "# Step 3: ** done", "a\nb")


def given(steps: tuple[str, ...]) -> Solution:
    text, ends = joined_steps(steps)
    return Solution(Problem("p", "2?", ""), Response("p", "", 0, text, finish_reason="stop"), given_ends=ends)


def test_every_model_is_given_the_steps_as_they_are(tmp_path: Path) -> None:
    assert [step.strip() for step in given(STEPS).steps] == list(STEPS)
    folder = make_checkpoint(tmp_path, "qwen", {"score.weight": (2, 32), "score.bias": (2,)}, num_labels=2)
    specs = [
        f"step-token:model={MODELS / 'middle'}",
        f"step-token:model={MODELS / 'middle'},convention=rlhflow",
        f"implicit:policy={MODELS / 'middle'},reference=null",
        f"implicit:policy={MODELS / 'middle'},reference=null,steps=numbered",
        f"head-prm:model={folder},convention=trl",
    ]
    items = [Labelled("2?", steps, -1) for steps in (STEPS, ("one\nstep",), ("Step 1: a Step 2: b",))]
    data = [Entry("", {}, item) for item in items]
    for spec in specs:
        judged = scored(ProcessBench(), data, Scorer(spec), lambda n: None)
        assert [len(one.answers[0].step_rewards) for one in judged] == [len(STEPS), 1, 1], spec
    # Two ways to divide one text are two solutions.
    scorer = Scorer(specs[0])
    text, ends = joined_steps(("a", "b"))
    one, two = scorer.score([("2?", text), ("2?", text)], [None, (len(text),)])
    assert (one.scores.step_ends, two.scores.step_ends) == (ends, (len(text),))


def test_a_model_that_numbers_steps_numbers_these() -> None:
    assert numbered(given(("**Step 3:** a\n\nb", "c")).steps)[0] == "Step 1: a\n\nb\n\nStep 2: c"


def test_a_threshold_that_is_not_tuned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"problem": "p", "steps": ["a", "b"], "label": 1, "step_rewards": [0.45, 0.1]},
        {"problem": "q", "steps": ["a"], "label": -1, "step_rewards": [0.8]},
        {"problem": "r", "steps": ["a"], "label": -1, "step_rewards": [0.4]},
    ]
    file = tmp_path / "x.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["benchmark", "processbench", str(file), "--threshold", "0.5"]) == 0
    said = capsys.readouterr().out.splitlines()
    (line,) = (line for line in said if line.startswith("x.jsonl"))
    # Tuned, all are right. At 0.5 the first is accused too early, and the last one wrongly.
    assert line.split() == ["x.jsonl", "3", "100.0", "100.0", "100.0", "100.0", "0.0", "50.0", "0.0"]
    assert main(["benchmark", "processbench", str(file), "--threshold", "nan"]) == 2
    assert "--threshold nan: a finite number is expected" in capsys.readouterr().err
