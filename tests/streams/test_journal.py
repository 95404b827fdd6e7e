"""A journal: what a kill leaves of it, and that one process writes it."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.data.lines import Row
from harness.streams.journal import Journal, bad_row, identity

#: What rows come to, by what they were made of; a bad line is kept under no identity.
MADE: list[tuple[str | None, Row]] = [
    (identity({"in": 1}), {"a": 1}),
    (None, bad_row(2, "not JSON")),
    (identity({"in": "é"}), {"a": "é"}),
]
FINISHED = {of: row for of, row in MADE if of}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def finished(journal: Journal) -> dict[str, Row]:
    """What the journal has of the rows."""
    found = {of: journal.finished(of) for of in (*FINISHED, identity({"in": 3}))}
    return {of: row for of, row in found.items() if row is not None}


def test_rows_appear_at_once(tmp_path: Path) -> None:
    output = tmp_path / "new" / "out.jsonl"
    with Journal(output, "k") as journal:
        assert finished(journal) == {}
        journal.append(MADE[:2])
        journal.append(MADE[2:])
        assert names(output.parent) == {".out.jsonl.k.partial", ".out.jsonl.k.tmp"}
        journal.commit()
    assert names(output.parent) == {"out.jsonl"}
    assert output.read_bytes() == b'{"a": 1}\n{"line": 2, "error": "not JSON"}\n{"a": "\\u00e9"}\n'


def test_what_is_to_be_kept_is_there_in_the_next_call(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        journal.append(MADE)
        journal.commit(keep=True)
    with Journal(output, "k") as journal:
        assert finished(journal) == FINISHED
        journal.append([(None, row) for row in FINISHED.values()])
        journal.commit()
    assert names(tmp_path) == {"out.jsonl"}
    assert [json.loads(line) for line in output.read_text().splitlines()] == [*FINISHED.values()]


@pytest.mark.parametrize(
    "left", [b'{"of": "00", "made": {"a": 2', b'{"of": "00", "made": {"a": 2}}', b"\0" * 50, b'{"of": 1}\n{"a": 2}\n']
)
def test_half_a_line_is_cut_off(tmp_path: Path, left: bytes) -> None:
    """A kill leaves half a line; a machine that stops can leave zeros in the place of what it did not write."""
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        journal.append(MADE)
    with (tmp_path / ".out.jsonl.k.partial").open("ab") as file:
        file.write(left)
    with Journal(output, "k") as journal:
        assert finished(journal) == FINISHED
        journal.append([(identity({"in": 3}), {"a": 3})])
    with Journal(output, "k") as journal:
        assert finished(journal) == FINISHED | {identity({"in": 3}): {"a": 3}}
    with Journal(output, "another") as journal:
        assert finished(journal) == {}


def test_what_is_worth_nothing_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        journal.append([(None, bad_row(1, "not JSON"))])
    assert names(tmp_path) == set()
    with Journal(output, "k") as journal:
        journal.append(MADE)
    with pytest.raises(KeyboardInterrupt), Journal(output, "k"):
        raise KeyboardInterrupt
    assert names(tmp_path) == {".out.jsonl.k.partial"}


def test_what_calls_with_other_keys_left_goes_with_the_first_whole_output(tmp_path: Path) -> None:
    """But for what another process is writing."""
    output = tmp_path / "out.jsonl"
    for key in ("killed", "running"):
        with Journal(output, key) as journal:
            journal.append(MADE)
    with Journal(output, "running"), Journal(output, "k") as journal:
        journal.append(MADE)
        journal.commit()
        assert names(tmp_path) == {
            "out.jsonl", ".out.jsonl.k.partial", ".out.jsonl.running.partial", ".out.jsonl.running.tmp"
        }  # fmt: skip
    assert names(tmp_path) == {"out.jsonl", ".out.jsonl.running.partial"}


def test_one_process_writes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        with pytest.raises(UserError, match="another process is writing it"):
            Journal(output, "k")
        journal.append(MADE)
    # The holder removes the file after another process has opened it, and before that process has the lock.
    with Journal(output, "k") as journal:

        def late(descriptor: object, operation: int) -> None:
            journal.commit()
            journal.__exit__(None, None, None)

        monkeypatch.setattr("fcntl.flock", late)
        with pytest.raises(UserError, match="another process is writing it"):
            Journal(output, "k")
    assert names(tmp_path) == {"out.jsonl"}


@pytest.mark.parametrize("output", ["file/out.jsonl", "folder"])
def test_where_nothing_can_be_written(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=rf"{output}: (cannot be written|is a folder)"):
        Journal(tmp_path / output, "k")


def test_a_full_disk_is_said_in_words_and_loses_no_finished_row(tmp_path: Path) -> None:
    """The rows that do not fit are still in a buffer when the journal is closed."""
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        journal.append(MADE)
    size = (tmp_path / ".out.jsonl.k.partial").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
    try:
        full_disk = pytest.raises(UserError, match=r"out\.jsonl: cannot be written: File too large")
        with full_disk, Journal(output, "k") as journal:
            assert finished(journal) == FINISHED
            journal.append([(identity({"in": 3}), {"a": "long" * 10})])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with Journal(output, "k") as journal:
        assert finished(journal) == FINISHED
