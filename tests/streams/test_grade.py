"""``bonbench grade``: order, bad lines, memory, nothing half-written."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from harness.cli import main
from harness.core.errors import UserError
from harness.streams.grade import Grader, grade_file


@pytest.fixture(scope="module")
def grader() -> Grader:
    return Grader()


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_keep_their_order_and_fields(tmp_path: Path, grader: Grader) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "sub" / "out.jsonl"
    lines = [
        {"id": 7, "pred": "0.5", "gold": r"\frac12"},
        {"response": r"So \boxed{3}", "gold": "4", "extracted": "old"},
        {"pred": None, "gold": "4"},
        {"pred": 5, "gold": 5.0},
        {"response": "I do not know", "gold": "1"},
    ]
    source.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    seen: list[int] = []
    summary = grade_file(source, output, grader, seen.append)
    assert rows(output) == [
        {"id": 7, "pred": "0.5", "gold": r"\frac12", "extracted": "0.5", "correct": True, "reason": "arithmetic"},
        {**lines[1], "extracted": "3", "correct": False, "reason": "different"},
        {**lines[2], "extracted": None, "correct": False, "reason": "no answer"},
        {**lines[3], "extracted": "5", "correct": True, "reason": "exact"},
        {**lines[4], "extracted": None, "correct": False, "reason": "no answer"},
    ]
    assert sum(seen) == summary.file.lines == 5
    assert (summary.correct, summary.reasons) == (2, {"arithmetic": 1, "exact": 1, "different": 1, "no answer": 2})
    assert str(summary).startswith("5 graded, 2 correct (40.00 %): ")


def test_bad_lines_are_reported_by_number(tmp_path: Path, grader: Grader) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = json.dumps({"pred": "1", "gold": "1"})
    source.write_bytes(
        b"\n".join(
            [
                good.encode(),
                b"{oops",
                b"[1]",
                good.encode(),
                b'{"pred": "1"}',
                b'{"gold": "1"}',
                b"\xff\xfe",
                b'{"pred": [1], "gold": "1"}',
            ]
        )
    )
    summary = grade_file(source, output, grader)
    assert [number for number, _ in summary.file.bad_lines] == [2, 3, 5, 6, 7, 8]
    assert [r.get("line") for r in rows(output)] == [None, 2, 3, None, 5, 6, 7, 8]
    assert "line 2: not JSON" in str(summary) and "line 6: neither" in str(summary)


def test_compressed_input(tmp_path: Path, grader: Grader) -> None:
    source, output = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    with gzip.open(source, "wt") as file:
        file.write('{"pred": "1", "gold": "1"}\n')
    assert grade_file(source, output, grader).correct == 1


@pytest.mark.parametrize("content", [None, b"", b"not json\n", b"\x1f\x8b\x08broken"])
def test_nothing_is_left_where_nothing_can_be_graded(tmp_path: Path, grader: Grader, content: bytes | None) -> None:
    source = tmp_path / "in.jsonl.gz" if content and content[0] == 0x1F else tmp_path / "in.jsonl"
    output = tmp_path / "out.jsonl"
    output.write_text("as before")
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(UserError, match=source.name):
        grade_file(source, output, grader)
    assert output.read_text() == "as before"
    assert {p.name for p in tmp_path.iterdir()} <= {source.name, output.name}


def test_an_interruption_leaves_the_old_file_and_costs_little(tmp_path: Path, grader: Grader) -> None:
    source, output, whole = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    source.write_text("".join(f'{{"pred": "{i}", "gold": "7"}}\n' for i in range(4999)) + "oops\n")
    output.write_text("as before")
    expected = grade_file(source, whole, grader)

    def interrupt(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_file(source, output, grader, interrupt)
    assert output.read_text() == "as before"
    (partial,) = tmp_path.glob(".out.jsonl.*.partial")
    with partial.open("a") as file:
        file.write('{"pred": "20')  # as a kill in the middle of a write would leave it
    resumed = grade_file(source, output, grader)
    assert resumed.file.resumed == 2000
    assert (resumed.file.lines, resumed.correct, resumed.reasons, resumed.file.bad_lines) == (
        (5000, 1, expected.reasons, expected.file.bad_lines)
    )
    assert output.read_bytes() == whole.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "whole.jsonl"}


def test_another_input_does_not_continue_the_old_one(tmp_path: Path, grader: Grader) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"pred": "1", "gold": "1"}\n' * 3000)

    def interrupt(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_file(source, output, grader, interrupt)
    source.write_text('{"pred": "2", "gold": "1"}\n' * 3000)
    summary = grade_file(source, output, grader)
    assert summary.correct == 0 and summary.file.resumed == 0


MY_VERIFIER = """
from harness import ComponentParams, Verifier

class Params(ComponentParams):
    ignore_case: bool = False

class Same(Verifier[Params]):
    "Equal texts, and nothing else."
    Params = Params

    def grade(self, problems, responses):
        raise NotImplementedError

    def extract(self, text):
        return text.split()[-1]

    def verify(self, pairs):
        fold = str.lower if self.params.ignore_case else str
        return [(fold(answer) == fold(gold), "same" if fold(answer) == fold(gold) else "not same")
                for answer, gold in pairs]
"""


def test_the_verifier_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(MY_VERIFIER)
    (tmp_path / "in.jsonl").write_text('{"response": "it is A", "gold": "a"}\n{"pred": "1/2", "gold": "0.5"}\n')
    words = ["grade", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--verifier"]

    def reasons(verifier: str) -> list[object]:
        assert main([*words, verifier]) == 0
        return [row["reason"] for row in rows(tmp_path / "out.jsonl")]

    assert reasons(f"{tmp_path / 'mine.py'}:Same") == ["not same", "not same"]
    assert reasons(f"{tmp_path / 'mine.py'}:Same:ignore_case=true") == ["same", "not same"]
    assert "2 graded, 1 correct (50.00 %)" in "".join(capsys.readouterr())
    assert reasons("math:timeout_s=5")[1] == "arithmetic"
    for verifier, complaint in {
        "maths": "--verifier maths: ",
        "math:timeout_s": "--verifier math:timeout_s: 'timeout_s' is not key=value",
        "math:timeout=5": "--verifier math:timeout=5.timeout: unknown key; did you mean timeout_s",
    }.items():
        assert main([*words, verifier]) == 2
        assert f"bonbench: {complaint}" in capsys.readouterr().err


def test_a_folder_is_no_output(tmp_path: Path, grader: Grader) -> None:
    (tmp_path / "in.jsonl").write_text('{"pred": "1", "gold": "1"}\n')
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="out: is a folder"):
        grade_file(tmp_path / "in.jsonl", tmp_path / "out", grader)
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "out"}


def test_memory_does_not_grow_with_the_file(tmp_path: Path, grader: Grader) -> None:
    peaks = []
    for n in (5_000, 20_000):
        source, output = tmp_path / f"{n}.jsonl", tmp_path / f"{n}.out"
        with source.open("w") as file:
            for i in range(n):
                file.write(json.dumps({"pred": str(i % 1000), "gold": "7", "note": "x" * 200}) + "\n")
        tracemalloc.start()
        assert grade_file(source, output, grader).file.lines == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**20
