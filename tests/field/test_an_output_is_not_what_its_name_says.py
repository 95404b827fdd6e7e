"""The file that comes out is not what the command line names.

The format of the name is ignored, ``-o results.json`` is something else (EleutherAI/lm-evaluation-harness#2927). Where
the file is renamed to its name, a root's ``-o /dev/null`` replaces the device for everybody (bazelbuild/bazel#31038).
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from runs import bonbench

from harness.core.errors import UserError
from harness.streams.formats import check_output, publish

ROWS: list[dict[str, Any]] = [
    {"text": 'a,"b"\né', "n": 1, "x": 0.5, "rewards": [], "ids": [1], "ok": True, "any": "1", "deep": {"a": [1]}},
    {"text": None, "n": 2**60, "x": 2, "rewards": [0.5, 1], "ids": [2, 3], "ok": None, "any": 1, "late": "z"},
    {"line": 3, "error": "not JSON"},
]


def written(output: Path) -> None:
    """The rows, in the format that the name says."""
    lines = output.parent / "lines"
    lines.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    publish(lines, output)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that was written, columns that a row lacks as null."""
    match "".join(path.suffixes):
        case ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        case ".parquet":
            return list(pq.read_table(path).to_pylist())
        case ".json":
            return list(json.loads(path.read_bytes()))
        case ".jsonl.gz":
            return [json.loads(line) for line in gzip.open(path)]
        case _:
            return [json.loads(line) for line in path.open("rb")]


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.json", "o.csv", "o.parquet", "o"])
def test_the_name_says_the_format(tmp_path: Path, name: str) -> None:
    written(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    rows = read(tmp_path / name)
    if name == "o.csv":
        assert [row["text"] for row in rows] == ['a,"b"\né', "", ""] and [row["late"] for row in rows] == ["", "z", ""]
        assert rows[0]["deep"] == '{"a": [1]}' and rows[1]["rewards"] == "[0.5, 1]" and rows[0]["ok"] == "true"
    elif name == "o.parquet":
        columns = dict.fromkeys(column for row in ROWS for column in row)
        whole = [dict.fromkeys(columns) | row for row in ROWS]
        whole[0] |= {"any": '"1"', "deep": '{"a": [1]}'}  # JSON, where the values of a column are of several kinds
        whole[1] |= {"any": "1"}
        assert rows == whole
    else:
        assert rows == ROWS


def test_a_verb_writes_the_format(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"problem": "1 + 1?", "response": "It is 2"}\n')
    done = bonbench("score", tmp_path / "in.jsonl", "--reward-model", "length", "-o", tmp_path / "out.csv")
    (row,) = read(tmp_path / "out.csv")
    assert done.code == 0 and row["problem"] == "1 + 1?" and float(row["score"]) == json.loads(row["step_rewards"])[0]


def test_an_unknown_suffix_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{}\n")
    for words in (["score", "--reward-model", "no.py:Such"], ["grade"]):
        done = bonbench(words[0], tmp_path / "in.jsonl", *words[1:], "-o", tmp_path / "out.xlsx")
        assert done.code == 2 and "its name does not say its format" in done.err and ".parquet" in done.err


def test_a_device_a_pipe_and_a_link_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for path, what in ((Path("/dev/null"), "a device"), (tmp_path / "pipe.jsonl", "a pipe")):
        with pytest.raises(UserError, match=rf"{path}: is {what}; name a file"):
            check_output(path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    (tmp_path / "link.jsonl").symlink_to("there.jsonl")
    written(tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink() and read(tmp_path / "there.jsonl") == ROWS
