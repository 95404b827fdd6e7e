"""Damaged files: whoever reads a user's rows says in one line what is wrong, and where."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cli import main
from harness.core.errors import UserError
from harness.data.datasets import FileDataset, FileParams
from harness.data.lines import parse_row, read_lines, read_rows
from harness.data.response_files import read_recorded
from harness.streams.benchmarks.processbench import ProcessBench
from harness.streams.benchmarks.scoring import load
from harness.streams.transform import transform

GOOD = {"problem": "1 + 1?", "answer": "2", "gold": "2", "samples": [{"text": "2"}], "steps": ["2"], "label": -1}
LINE = json.dumps(GOOD).encode() + b"\n"


def stream(path: Path) -> None:
    """A transformation that does nothing to its lines."""
    transform(path, path.with_name("out.jsonl"), key="", check=lambda row: "", work=list, batch=10)


READERS: dict[str, Callable[[Path], object]] = {
    "problems": lambda path: FileDataset(FileParams(path=str(path)), "test").load(),
    "responses": read_recorded,
    "processbench": lambda path: load(ProcessBench(), str(path)),
    "stream": stream,
}

# name of the file, its content (None: a folder), what its complaint says
BROKEN_FILES: dict[str, tuple[str, bytes | None, str]] = {
    "a folder": ("a.jsonl", None, "a.jsonl: is a folder"),
    "a folder named as Parquet": ("a.parquet", None, "a.parquet: is a folder"),
    "truncated": (
        "a.jsonl.gz",
        gzip.compress(LINE + b"\n" * 50, mtime=0)[:-9],
        r"a.jsonl.gz line \d+: cannot be read: ",
    ),
    "damaged inside": (
        "a.jsonl.gz",
        gzip.compress(LINE, mtime=0)[:10] + b"\xff" * 40,
        r"a.jsonl.gz: cannot be read: Error -3 while decompressing data",
    ),
    "not compressed": ("a.jsonl.gz", LINE, "a.jsonl.gz: cannot be read: Not a gzipped file"),
    "an empty name.gz": ("a.jsonl.gz", b"", "a.jsonl.gz"),
    "not Parquet": ("a.parquet", LINE, "a.parquet: not a Parquet file: "),
    "an empty Parquet file": ("a.parquet", b"", "a.parquet: not a Parquet file: "),
    "empty": ("a.jsonl", b"", "a.jsonl"),
    "blank lines": ("a.jsonl", b"\n  \n", "a.jsonl"),
}

# a line, what its complaint says
BROKEN_LINES: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{oops", "not JSON: Expecting property name enclosed in double quotes at column 2"),
    "cut off": (LINE[:-10], "not JSON: "),
    "cut off after a key": (b'{"a"\n', "not JSON: Expecting ':' delimiter at column 5"),
    "a list": (b"[1]", "not a JSON object"),
    "a text": (b'"x"', "not a JSON object"),
    "not UTF-8": (b'{"problem": "\xe9"}', "not UTF-8 text, from byte 14 on"),
    "UTF-16": ("{}".encode("utf-16"), "not UTF-8 text, from byte 1 on"),
    "compressed": (
        gzip.compress(b"{}", mtime=0).replace(b"\n", b""),
        r"not UTF-8 text, from byte 2 on \(a compressed file must be named .gz\)",
    ),
    "nested too deeply": (b'{"a": ' * 100_000, "not JSON: nested too deeply"),
    "a number of 5000 digits": (b'{"a": ' + b"1" * 5000 + b"}", "not JSON: Exceeds the limit"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", BROKEN_FILES)
def test_a_broken_file_is_one_line(tmp_path: Path, reader: str, damage: str) -> None:
    name, content, complaint = BROKEN_FILES[damage]
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    if reader == "problems" and damage in ("empty", "blank lines", "an empty name.gz"):
        assert READERS[reader](path) == []  # "the set is empty" is said with the set's name
        return
    with pytest.raises(UserError, match=complaint) as raised:
        READERS[reader](path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_not_there(tmp_path: Path, reader: str) -> None:
    with pytest.raises(UserError, match=r"nowhere.jsonl: no such file"):
        READERS[reader](tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", BROKEN_LINES)
def test_a_broken_line_is_named(tmp_path: Path, reader: str, damage: str) -> None:
    line, complaint = BROKEN_LINES[damage]
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE + b"\n" + line)
    if reader == "stream":
        stream(path)
        good, bad = map(json.loads, (tmp_path / "out.jsonl").read_bytes().splitlines())
        assert good == GOOD and bad["line"] == 3
        assert re.match(complaint, bad["error"])
        return
    with pytest.raises(UserError, match=rf"a.jsonl line 3: {complaint}.*; each line must be one JSON object$"):
        READERS[reader](path)


@pytest.mark.parametrize("verb", ["run", "plan", "processbench", "grade"])
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(LINE + b"\n" * 50, mtime=0)[:-9])
    experiment = tmp_path / "experiment.yaml"
    content = {
        "name": "a",
        "output": str(tmp_path / "results"),
        "problems": {"test": {"dataset": "jsonl", "path": str(path)}},
        "generators": {"g": {"type": "replay", "path": str(path)}},
    }
    experiment.write_text(json.dumps(content))
    words = {"run": [experiment], "plan": [experiment], "processbench": [path], "grade": [path, "-o", tmp_path / "out"]}
    assert main([verb, *map(str, words[verb])]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert line.startswith("bonbench: ") and f"{path} line " in line and "cannot be read" in line


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_rows(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, Any]] = [{"a": "é🙂", "b": None}, {"a": "x\ny", "b": [0.1, -1e300]}]
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        text = b"\xef\xbb\xbf" + "\n\n".join(map(json.dumps, rows)).encode()  # begins with a byte order mark
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    numbers, unit = ([1, 2], "row") if name == "a.parquet" else ([1, 3], "line")
    assert list(read_rows(path)) == [
        (f"{path} {unit} {number}", row) for number, row in zip(numbers, rows, strict=True)
    ]
    assert next(where for where, _ in read_rows(path, "shown")) == f"shown {unit} 1"


def test_values_that_json_lacks_are_texts(tmp_path: Path) -> None:
    from datetime import date
    from decimal import Decimal

    row = {"when": date(2026, 1, 31), "much": Decimal("0.10"), "text": "é".encode(), "nan": float("inf")}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    assert [r for _, r in read_rows(tmp_path / "a.parquet")] == [
        {"when": "2026-01-31", "much": "0.10", "text": "é", "nan": float("inf")}
    ]


def test_what_can_be_parsed_can_be_written() -> None:
    """However deep a row is nested: a stream writes with json what it has read."""
    for depth in range(80, 1000):
        try:
            row = parse_row(b'{"a": ' * depth + b"1" + b"}" * depth)
        except ValueError:
            break
        json.dumps(row)


def test_lines_before_the_damage_are_given(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    whole = [f"{number:06d}\n".encode() for number in range(10_000)]
    path.write_bytes(gzip.compress(b"".join(whole), mtime=0)[:-100])
    lines: list[bytes] = []
    with pytest.raises(UserError) as raised:
        lines.extend(line.content for line in read_lines(path))
    assert 9_000 < len(lines) < 10_000 and lines == whole[: len(lines)]
    assert f"line {len(lines) + 1}: cannot be read" in str(raised.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    """A socket in the place of the file: nobody may open it, the superuser neither."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as place:
        place.bind("a.jsonl")
        with pytest.raises(UserError, match=r"a.jsonl: cannot be read: No such device or address$"):
            READERS[reader](Path("a.jsonl"))
