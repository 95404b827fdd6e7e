"""``bonbench grade``: order, bad lines, memory, nothing half-written."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from harness.grade import GradeSummary, grade_file
from harness.registry import UserError
from verifiers.math import MathParams, MathVerifier


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
    assert sum(seen) == summary.lines == 5
    assert summary == GradeSummary(5, 2, summary.reasons, [])
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
    assert [number for number, _ in summary.bad_lines] == [2, 3, 5, 6, 7, 8]
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


def test_an_interruption_leaves_the_old_file(tmp_path: Path, verifier: MathVerifier) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"pred": "1", "gold": "1"}\n' * 5000)
    output.write_text("as before")

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_file(source, output, verifier, interrupt)
    assert output.read_text() == "as before" and len(list(tmp_path.iterdir())) == 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path, verifier: MathVerifier) -> None:
    peaks = []
    for n in (5_000, 20_000):
        source, output = tmp_path / f"{n}.jsonl", tmp_path / f"{n}.out"
        with source.open("w") as file:
            for i in range(n):
                file.write(json.dumps({"pred": str(i % 1000), "gold": "7", "note": "x" * 200}) + "\n")
        tracemalloc.start()
        assert grade_file(source, output, verifier).lines == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**20
