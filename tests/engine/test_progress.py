"""What is said of long work where nobody watches a terminal."""

from __future__ import annotations

import pytest

from harness.engine import progress
from harness.engine.progress import Board


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_first_part_of_the_work_counts(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as board:
        line = board.line("score", 40, "responses").start()
        clock[0] += 30
        line.advance(10, tokens=600)
        clock[0] += 4
        line.advance(10, tokens=80)  # too soon to say anything
        clock[0] += 8
        line.advance(20, tokens=160)
    assert capsys.readouterr().err.splitlines() == [
        "score: 10/40 responses, 30 s, 90 s left, 20 tokens/s",
        "score: 40/40 responses, done in 42.0 s, 20 tokens/s",
    ]


def test_a_stream_has_no_end_in_sight(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as board:
        line = board.line("grade", None, "lines").start()
        clock[0] += 12
        line.advance(7)
    assert capsys.readouterr().err == "grade: 7 lines, 12 s\n"
