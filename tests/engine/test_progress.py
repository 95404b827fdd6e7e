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


def test_what_has_no_inputs_is_not_called_done(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as board:
        board.line("label", 8, "responses").leave_out(8)
        line = board.line("grade", 16, "responses").start()
        clock[0] += 3
        line.advance(8)
        line.leave_out(8)
    assert capsys.readouterr().err == "grade: 8/8 responses, done in 3.0 s\n"


def test_a_stream_has_no_end_in_sight(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as board:
        line = board.line("grade", None, "lines").start()
        clock[0] += 12
        line.advance(7)
    assert capsys.readouterr().err == "grade: 7 lines, 12 s\n"


def test_silent_stages_say_what_they_wait_for(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """Stages that wait for the same are named together; each says it again after twice the time."""
    free = [5]
    with Board() as board:
        lines = [board.line(label, 10, "responses") for label in ("sample a", "train b", "score c", "score d")]
        for line in lines[:3]:
            line.waits(lambda: f"waiting for 8 GPUs, {free[0]} free")
        lines[3].waits("waiting for train b")
        said: dict[float, list[str]] = {}
        for second in range(0, 430, 5):
            clock[0] = 100.0 + second
            if second in (100, 150):
                lines[0].advance(5)
                capsys.readouterr()
            if second == 300:
                lines[3].waits(None)
            board.explain_silence()
            if text := capsys.readouterr().err:
                said[second] = text.splitlines()
    all_three = "sample a, train b, score c: waiting for 8 GPUs, 5 free"
    assert said == {
        60: [all_three, "score d: waiting for train b"],
        180: ["train b, score c: waiting for 8 GPUs, 5 free", "score d: waiting for train b"],
        240: ["sample a: waiting for 8 GPUs, 5 free"],
        360: ["sample a: waiting for 8 GPUs, 5 free"],
        420: ["train b, score c: waiting for 8 GPUs, 5 free"],
    }


def test_the_board_explains_once_a_minute_at_most(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as board:
        board.line("sample a", 10, "responses").waits("its replica loads")
        clock[0] += 30
        board.line("sample b", 10, "responses").waits("its replica loads")
        clock[0] += 30
        board.explain_silence()
        clock[0] += 30  # b has been silent for a minute, and a has just spoken
        board.explain_silence()
    assert capsys.readouterr().err == "sample a: its replica loads\n"


def test_the_same_progress_again_is_no_step(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """A training is looked at every half second, whether it has made a step or not."""
    with Board() as board:
        line = board.line("train m", 1, "steps")
        line.waits("its workers compute")
        line.update(3, 10, "loss 0.1")
        capsys.readouterr()
        for _ in range(8):
            clock[0] += 9
            line.update(3, 10, "loss 0.1")
        capsys.readouterr()
        board.explain_silence()
    assert capsys.readouterr().err == "train m: its workers compute\n"
