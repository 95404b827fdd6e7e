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


def graded(tmp_path: Path, lines: list[dict[str, object]], *words: str) -> list[dict[str, object]]:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["grade", str(source), "-o", str(output), *words]) == 0
    return rows(output)


@pytest.mark.parametrize(
    ("option", "pred", "gold", "without", "with_it"),
    [
        ("percent=value", "10%", "10", True, False),
        ("units=match", "3 cm", "3 kg", True, False),
        ("order=fixed", "1, 2", "2, 1", True, False),
        ("unsimplified=reject", "2/4", "1/2", True, False),
        ("brackets=reject", "1, 2", "(1, 2)", True, False),
        ("base=reject", "4210", "4210_5", True, False),
        ("choices=off", "(B) 42", "B", True, False),
        ("verifier.choices=off", "(B) 42", "B", True, False),
        ("rounding=gold", "0.333", "0.33", False, True),
        ("rounding=0.02", "100", "101", False, True),
    ],
)
def test_every_option_can_be_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, pred: str, gold: str, without: bool, with_it: bool
) -> None:
    lines: list[dict[str, object]] = [{"pred": pred, "gold": gold}]
    assert graded(tmp_path, lines)[0]["correct"] is without
    assert graded(tmp_path, lines, "--set", option)[0]["correct"] is with_it
    assert option.removeprefix("verifier.") in capsys.readouterr().err.splitlines()[-1]


def test_without_options_it_says_which_it_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graded(tmp_path, [{"pred": "1", "gold": "1"}])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("graded by math percent=equal units=ignore order=free ") and "timeout_s=2.0" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["percnt=value"], "--set percnt=value: math has no option 'percnt'; its options are percent, units, order, "),
        (["percent"], "--set percent: expected KEY=VALUE"),
        (["percent=maybe"], "--set percent: input should be 'equal', 'ignore' or 'value' (it is 'maybe')"),
        (["rounding=2"], "--set rounding: expected reject, gold or a number between 0 and 1 (it is 2)"),
        (["percent.x=1"], "--set percent: input should be 'equal', 'ignore' or 'value'"),
        (["timeout_s=5", "memory_mb=1"], "--set memory_mb: input should be greater than or equal to 512 (it is 1)"),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    (tmp_path / "in.jsonl").write_text('{"pred": "1", "gold": "1"}\n')
    options = [word for option in words for word in ("--set", option)]
    assert main(["grade", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bonbench: {complaint}")
    assert not (tmp_path / "out.jsonl").exists()


def test_gold_answers_as_benchmarks_write_them(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"response": "So 3 * 6 = 18.\n#### 18", "answer": "She has 3 * 6 = <<3*6=18>>18.\n#### 18"},
        {"prediction": "1,800", "target": "#### 1800"},
        {"pred": "0.5", "gold": ["1/3", r"\frac12", "7"]},
        {"pred": "8", "gold": ["1/3", r"\frac12", "7"]},
        {"pred": None, "gold": ["1", "2"]},
        {"prediction": 7, "gold": [6, 7.0]},
        {"pred": "4", "gold": "4", "answer": "a worked solution"},
        {"pred": "B", "answer": "(B) 12", "target": "(B) 12"},
    ]
    verdicts = [(row["correct"], row["reason"]) for row in graded(tmp_path, lines)]
    assert verdicts == [
        (True, "exact"), (True, "exact"), (True, "arithmetic"), (False, "different"), (False, "no answer"),
        (True, "exact"), (True, "exact"), (True, "exact"),
    ]  # fmt: skip


def test_rows_that_name_no_gold_answer(tmp_path: Path, grader: Grader) -> None:
    source = tmp_path / "in.jsonl"
    lines: list[dict[str, object]] = [
        {"pred": "1", "gold": []},
        {"pred": "1", "gold": ["1", None]},
        {"pred": "1", "answer": "1", "target": "2"},
        {"answer": "1", "gold": "1"},
        {"prediction": {}, "gold": "1"},
        {"pred": "1", "gold": "1"},
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    complaints = grade_file(source, tmp_path / "out.jsonl", grader).file.bad_lines
    assert [number for number, _ in complaints] == [1, 2, 3, 4, 5]
    assert [complaint[:8] for _, complaint in complaints] == [
        'no "gold',
        'no "gold',
        '"answer"',
        "neither ",
        '"predict',
    ]


def test_a_folder_is_no_output(tmp_path: Path, grader: Grader) -> None:
    (tmp_path / "in.jsonl").write_text('{"pred": "1", "gold": "1"}\n')
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="out: is a folder"):
        grade_file(tmp_path / "in.jsonl", tmp_path / "out", grader)
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "out"}


def test_memory_does_not_grow_with_the_file(tmp_path: Path, grader: Grader) -> None:
    peaks = []
    for n in (5_000, 20_000):
        source, output = tmp_path / f"{n}.jsonl", tmp_path / f"{n}.graded.jsonl"
        with source.open("w") as file:
            for i in range(n):
                file.write(json.dumps({"pred": str(i % 1000), "gold": "7", "note": "x" * 200}) + "\n")
        tracemalloc.start()
        assert grade_file(source, output, grader).file.lines == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**20
