"""A journal: what a kill leaves of it, and that one process writes it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.streams.journal import Journal, bad_row

ROWS = [{"a": 1}, bad_row(2, "not JSON"), {"a": "é"}]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_rows_appear_at_once(tmp_path: Path) -> None:
    output = tmp_path / "new" / "out.jsonl"
    with Journal(output, "k") as journal:
        assert list(journal.finished_rows()) == []
        journal.append(ROWS[:2])
        journal.append(ROWS[2:])
        assert names(output.parent) == {".out.jsonl.k.partial"}
        journal.commit()
    assert names(output.parent) == {"out.jsonl"}
    assert output.read_bytes() == b'{"a": 1}\n{"line": 2, "error": "not JSON"}\n{"a": "\\u00e9"}\n'


@pytest.mark.parametrize("left", [b'{"a": 2', b'{"a": 2}', b"\0" * 50, b"\0" * 50 + b'\n{"a": 2}\n'])
def test_half_a_line_is_cut_off(tmp_path: Path, left: bytes) -> None:
    """A kill leaves half a line; a machine that stops can leave zeros in the place of what it did not write."""
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        journal.append(ROWS)
    with (tmp_path / ".out.jsonl.k.partial").open("ab") as file:
        file.write(left)
    with Journal(output, "k") as journal:
        assert list(journal.finished_rows()) == ROWS
        journal.append([{"a": 3}])
    with Journal(output, "k") as journal:
        assert list(journal.finished_rows()) == [*ROWS, {"a": 3}]
    with Journal(output, "another") as journal:
        assert list(journal.finished_rows()) == []


def test_what_is_worth_nothing_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        assert list(journal.finished_rows()) == []
        journal.append([bad_row(1, "not JSON")])
    assert names(tmp_path) == set()
    with Journal(output, "k") as journal:
        journal.append(ROWS)
    with pytest.raises(KeyboardInterrupt), Journal(output, "k"):
        raise KeyboardInterrupt  # before the finished rows are read
    with pytest.raises(KeyboardInterrupt), Journal(output, "k") as journal:
        assert len(list(journal.finished_rows())) == 3
        raise KeyboardInterrupt
    assert names(tmp_path) == {".out.jsonl.k.partial"}


def test_one_process_writes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.jsonl"
    with Journal(output, "k") as journal:
        with pytest.raises(UserError, match="another process is writing it"):
            Journal(output, "k")
        journal.append(ROWS)
    # The holder renames the file after another process has opened it, and before that process has the lock.
    with Journal(output, "k") as journal:

        def late(descriptor: object, operation: int) -> None:
            journal.commit()

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
        journal.append(ROWS)
    size = (tmp_path / ".out.jsonl.k.partial").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
    try:
        full_disk = pytest.raises(UserError, match=r"out\.jsonl: cannot be written: File too large")
        with full_disk, Journal(output, "k") as journal:
            assert list(journal.finished_rows()) == ROWS
            journal.append([{"a": "long" * 10}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with Journal(output, "k") as journal:
        assert list(journal.finished_rows()) == ROWS
