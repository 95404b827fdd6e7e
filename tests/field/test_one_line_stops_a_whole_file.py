"""One response that a model cannot read, or fails on, stops a file of thousands; without it, all is scored again.

What happens to responses longer than a model reads: facebookresearch/multimodal_rewardbench#7,
allenai/reward-bench#137.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from places import ROOT
from runs import bonbench

from harness.streams import score as scoring
from harness.streams.isolation import Failed, isolated

MODEL = ROOT / "experiments" / "pocket" / "models" / "middle"
LONG = "2 + 3 = 5. " * 300

#: Scores by length, writes down what it scores, and fails on some.
MINE = """
import os
from harness import ComponentParams, RewardModel, StepScores, UserError

class Params(ComponentParams):
    broken: bool = False

class Mine(RewardModel[Params]):
    Params = Params
    reward = "ORM"

    def score(self, batch):
        texts = [s.response.text for s in batch]
        if self.params.broken:
            raise RuntimeError("no weights")
        if any(text.startswith("bad") for text in texts):
            raise ValueError("no such text")
        with open(os.environ["SEEN"], "a") as file:
            file.writelines(text + chr(10) for text in texts)
        return [StepScores(s.response.problem_id, "", s.response.sample, self.name, (float(len(s.response.text)),),
                           (len(s.response.text),), 1) for s in batch]
"""


def lines(path: Path, responses: Sequence[object]) -> Path:
    rows = [{"problem": "1 + 1?", "response": response} for response in responses]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("spec", "choice"), [(f"step-token:model={MODEL}", "error"), (f"implicit:policy={MODEL},reference=null", "skip")]
)
def test_a_response_too_long_for_the_model_is_a_bad_line(tmp_path: Path, spec: str, choice: str) -> None:
    source = lines(tmp_path / "in.jsonl", ["2", LONG, "3"])
    done = bonbench("score", source, "--reward-model", f"{spec},too_long={choice}", "-o", tmp_path / "out.jsonl")
    assert done.code == 2
    assert "1 bad lines, passed over: line 2: " in done.err and f"({source})" in done.err and "sample" not in done.err
    assert [isinstance(row.get("score"), float) for row in rows(tmp_path / "out.jsonl")] == [True, False, True]
    steps = [{"problem": "1 + 1?", "steps": [step], "label": -1} for step in ("2", LONG, "3")]
    (tmp_path / "pb.jsonl").write_text("".join(json.dumps(row) + "\n" for row in steps) + "no JSON\n")
    found = bonbench("benchmark", "processbench", tmp_path / "pb.jsonl", "--reward-model", f"{spec},too_long={choice}")
    assert found.code == 2
    assert f"2 bad lines: {tmp_path}/pb.jsonl line 4: not JSON" in found.out and "pb.jsonl line 2: " in found.out
    assert "1 of the 3 solutions of pb.jsonl have no score" in found.out


def test_what_is_scored_stays_scored_when_lines_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first of two bad lines is taken out, the other one mended, one added, and the rest in another
    order."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setattr(scoring, "BATCH", 4)
    good = [f"response {i}" for i in range(10)]

    def score(responses: Sequence[object], options: str = "") -> tuple[int, list[str]]:
        (tmp_path / "seen").write_text("")
        source = lines(tmp_path / "in.jsonl", responses)
        words = ("--reward-model", f"{tmp_path / 'mine.py'}:Mine{options}", "-o", tmp_path / "out.jsonl")
        done = bonbench("score", source, *words)
        return done.code, (tmp_path / "seen").read_text().splitlines()

    assert score([*good[:6], "bad", 7, *good[6:]]) == (2, good)
    written = rows(tmp_path / "out.jsonl")
    assert written[6] == {"line": 7, "error": "ValueError: no such text"} and written[7]["line"] == 8
    assert score([*good[6:], "mended", *good[:6], "new"]) == (0, ["mended", "new"])
    assert [row["score"] for row in rows(tmp_path / "out.jsonl")] == [10.0] * 4 + [6.0] + [10.0] * 6 + [3.0]
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()
    # A reward model that can do nothing is not a file of bad lines.
    with pytest.raises(RuntimeError, match="no weights"):
        score([*good, *good], ":broken=true")


def test_the_items_at_fault_are_found() -> None:
    def work(items: Sequence[int]) -> list[int]:
        if at_fault := [i for i in items if i % 7 == 3]:
            raise ValueError(f"{at_fault[0]}")
        return [10 * i for i in items]

    made = isolated(work, range(40))
    assert made == [Failed(f"ValueError: {i}") if i % 7 == 3 else 10 * i for i in range(40)]
    assert isolated(work, []) == []


@pytest.mark.parametrize("error", [OSError("no space left"), RuntimeError("the device is gone")])
def test_a_machine_at_fault_is_no_item(error: Exception) -> None:
    calls = 0

    def work(items: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(type(error)):
        isolated(work, range(1000))
    assert calls < 20
