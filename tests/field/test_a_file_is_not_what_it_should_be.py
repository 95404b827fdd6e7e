"""A file of rows from elsewhere: a byte order mark (huggingface/datasets#8241, pydantic-ai#8316), another encoding,
another compression, a pipe that nobody writes to, a folder. What is meant is read; all else is one line, never a wait.
``tests/data/test_lines.py`` has damaged files and lines.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import bonbench

from harness.core.errors import UserError
from harness.core.steps import step_spans
from harness.data.datasets import FileDataset, FileParams
from harness.data.lines import parse_row, read_rows
from harness.data.response_files import read_recorded
from harness.streams.benchmarks.processbench import ProcessBench
from harness.streams.benchmarks.scoring import load

ROW = {"problem": "1 + 1?", "answer": "2", "gold": "2", "samples": [{"text": "é 2"}], "steps": ["2"], "label": -1}
LINE = json.dumps(ROW, ensure_ascii=False).encode()

READERS: dict[str, Callable[[Path], object]] = {
    "problems": lambda path: FileDataset(FileParams(path=str(path)), "test").load(),
    "responses": lambda path: read_recorded(path).problems,
    "processbench": lambda path: load(ProcessBench(), str(path)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + LINE, LINE + b"\r\n\r\n", b"\n" + LINE + b"\n \n\n"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_marks_and_blank_lines_are_no_rows(tmp_path: Path, reader: str, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert len(READERS[reader](tmp_path / name)) == 1  # type: ignore[arg-type]


def test_a_mark_alone_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf")
    assert list(read_rows(tmp_path / "a.jsonl")) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LINE.decode().encode("utf-16"), "it is UTF-16: save it as UTF-8"),
        (LINE.decode().encode("latin-1"), "not UTF-8 text, from byte"),
        (b"\x28\xb5\x2f\xfd\xff", "zstd"),
        (b"PK\x03\x04\xff", "zip"),
        (b"PAR1\xff", "a Parquet file must be named .parquet"),
        (b'{"gold": 1, "gold": 2}', "the key 'gold' stands twice"),
        (b'{"a": {"gold": 1, "gold": 2}}', "the key 'gold' stands twice"),
        (b'{"a": ' + b"[" * 150 + b"]" * 150 + b"}", "nested too deeply"),
    ],
)
def test_another_format_is_named(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_row(content)


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_not_waited_for(tmp_path: Path, reader: str) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    for name, says in (("a.jsonl", "is a pipe: write its content to a file"), ("loop.jsonl", "Too many levels")):
        with pytest.raises(UserError, match=rf"{name}: .*{says}"):
            READERS[reader](tmp_path / name)


def test_every_verb_says_what_a_path_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    spec = tmp_path / "e.yaml"
    spec.write_text(f"name: a\nresponses: {pipe}\noutput: {tmp_path / 'out'}\n")
    commands = [[verb, pipe] for verb in ("run", "plan", "train", "processbench")]
    commands += [["plan", spec], ["grade", pipe, "-o", tmp_path / "o.jsonl"]]
    commands += [["score", pipe, "--reward-model", "length", "-o", tmp_path / "o.jsonl"]]
    for words in commands:
        done = bonbench(*words)
        assert done.code == 2 and "is a pipe" in done.err and done.err.count("\n") == 1, words


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table([[1], [2]], names=["a", "a"]), "a.parquet: two columns are named 'a'"),
        (pa.table({"a": pa.array([2**31 - 1], pa.date32())}), "a.parquet row 1: cannot be read"),
    ],
)
def test_parquet_that_python_has_no_form_for(tmp_path: Path, table: pa.Table, says: str) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=says):
        list(read_rows(tmp_path / "a.parquet"))


def test_paragraphs_of_another_system_are_steps() -> None:
    for text in ("a\r\n\r\nb", "a\n\nb", "a\r\n \t\r\n\r\nb"):
        spans = step_spans(text)
        assert [text[start:end].strip() for start, end in spans] == ["a", "b"]
        assert "".join(text[start:end] for start, end in spans) == text
