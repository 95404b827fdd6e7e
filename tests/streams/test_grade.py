"""``bonbench grade``: order, bad lines, memory, nothing half-written."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from bonbench.verifiers.math import MathParams, MathVerifier
from harness.core.errors import UserError
from harness.streams.grade import GradeSummary, grade_file
from harness.streams.transform import Transformed


@pytest.fixture(scope="module")
def verifier() -> MathVerifier:
    return MathVerifier(MathParams())


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_keep_their_order_and_fields(tmp_path: Path, verifier: MathVerifier) -> None:
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
    summary = grade_file(source, output, verifier, seen.append)
    assert rows(output) == [
        {"id": 7, "pred": "0.5", "gold": r"\frac12", "extracted": "0.5", "correct": True, "reason": "arithmetic"},
        {**lines[1], "extracted": "3", "correct": False, "reason": "different"},
        {**lines[2], "extracted": None, "correct": False, "reason": "no answer"},
        {**lines[3], "extracted": "5", "correct": True, "reason": "exact"},
        {**lines[4], "extracted": None, "correct": False, "reason": "no answer"},
    ]
    assert sum(seen) == summary.file.lines == 5
    assert summary == GradeSummary(Transformed(5), 2, summary.reasons)
    assert str(summary).startswith("5 graded, 2 correct (40.00 %): ")


def test_bad_lines_are_reported_by_number(tmp_path: Path, verifier: MathVerifier) -> None:
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
    summary = grade_file(source, output, verifier)
    assert [number for number, _ in summary.file.bad_lines] == [2, 3, 5, 6, 7, 8]
    assert [r.get("line") for r in rows(output)] == [None, 2, 3, None, 5, 6, 7, 8]
    assert "line 2: not JSON" in str(summary) and "line 6: neither" in str(summary)


def test_compressed_input(tmp_path: Path, verifier: MathVerifier) -> None:
    source, output = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    with gzip.open(source, "wt") as file:
        file.write('{"pred": "1", "gold": "1"}\n')
    assert grade_file(source, output, verifier).correct == 1


@pytest.mark.parametrize("content", [None, b"", b"not json\n", b"\x1f\x8b\x08broken"])
def test_nothing_is_left_where_nothing_can_be_graded(
    tmp_path: Path, verifier: MathVerifier, content: bytes | None
) -> None:
    source = tmp_path / "in.jsonl.gz" if content and content[0] == 0x1F else tmp_path / "in.jsonl"
    output = tmp_path / "out.jsonl"
    output.write_text("as before")
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(UserError, match=source.name):
        grade_file(source, output, verifier)
    assert output.read_text() == "as before"
    assert {p.name for p in tmp_path.iterdir()} <= {source.name, output.name}


def test_an_interruption_leaves_the_old_file_and_costs_little(tmp_path: Path, verifier: MathVerifier) -> None:
    source, output, whole = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    source.write_text("".join(f'{{"pred": "{i}", "gold": "7"}}\n' for i in range(4999)) + "oops\n")
    output.write_text("as before")
    expected = grade_file(source, whole, verifier)

    def interrupt(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_file(source, output, verifier, interrupt)
    assert output.read_text() == "as before"
    (partial,) = tmp_path.glob(".out.jsonl.*.partial")
    with partial.open("a") as file:
        file.write('{"pred": "20')  # as a kill in the middle of a write would leave it
    resumed = grade_file(source, output, verifier)
    assert resumed.file.resumed == 2000
    assert (resumed.file.lines, resumed.correct, resumed.reasons, resumed.file.bad_lines) == (
        (5000, 1, expected.reasons, expected.file.bad_lines)
    )
    assert output.read_bytes() == whole.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "whole.jsonl"}


def test_another_input_does_not_continue_the_old_one(tmp_path: Path, verifier: MathVerifier) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"pred": "1", "gold": "1"}\n' * 3000)

    def interrupt(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_file(source, output, verifier, interrupt)
    source.write_text('{"pred": "2", "gold": "1"}\n' * 3000)
    summary = grade_file(source, output, verifier)
    assert summary.correct == 0 and summary.file.resumed == 0


def test_memory_does_not_grow_with_the_file(tmp_path: Path, verifier: MathVerifier) -> None:
    peaks = []
    for n in (5_000, 20_000):
        source, output = tmp_path / f"{n}.jsonl", tmp_path / f"{n}.out"
        with source.open("w") as file:
            for i in range(n):
                file.write(json.dumps({"pred": str(i % 1000), "gold": "7", "note": "x" * 200}) + "\n")
        tracemalloc.start()
        assert grade_file(source, output, verifier).file.lines == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**20
