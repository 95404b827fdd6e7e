"""Shards: whole or absent, found again by what determines them."""

import errno
import fcntl
import os
import socket
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from harness.core.errors import UserError
from harness.core.records import Response, StepScores
from harness.storage.arrow import to_records, to_table
from harness.storage.files import locked
from harness.storage.keys import digest
from harness.storage.shards import (
    ledger_path,
    read_shard,
    remove_other_shards,
    shard_key,
    shard_meta,
    shard_path,
    write_shard,
)

SCORES = [
    StepScores("p1", "g", 0, "rm", (0.1, -2.5), (3, 9), 4),
    StepScores("p1", "g", 1, "rm", (1.0,), None, 2),
]


def test_records_survive_the_disk(tmp_path: Path) -> None:
    path = shard_path(tmp_path / "a" / "b", 3)
    write_shard(path, to_table(StepScores, SCORES), "k" * 64, {"reward": "PRM"})
    assert to_records(StepScores, read_shard(path)) == SCORES
    assert (shard_key(path), shard_meta(path)) == ("k" * 64, {"reward": "PRM"})
    assert [p.name for p in path.parent.iterdir()] == ["part-00003.parquet"]


def test_lists_of_several_chunks_and_of_a_slice() -> None:
    rows = [Response("p", "g", i, "", token_ids=ids) for i, ids in enumerate([(1, 2), None, (), (3,), None, (4, 5, 6)])]
    table = to_table(Response, rows)
    assert to_records(Response, pa.concat_tables([table.slice(1, 3), table.slice(0, 2), table.slice(3)])) == [
        *rows[1:4],
        *rows[:2],
        *rows[3:],
    ]
    assert to_records(Response, table.slice(2, 0)) == []


def test_nullable_columns_and_hostile_text(tmp_path: Path) -> None:
    rows = [Response("p", "g", 0, "\x00 \u202e \U0001f600 \\boxed{", 1, 2, "stop", None)]
    write_shard(tmp_path / "x.parquet", to_table(Response, rows), "k")
    assert to_records(Response, read_shard(tmp_path / "x.parquet")) == rows


def test_same_content_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / name, to_table(StepScores, SCORES), "key")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not a parquet file at all"])
def test_a_damaged_shard_is_no_shard(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(damage)
    assert shard_key(path) is None
    assert shard_key(tmp_path / "absent") is None


def test_a_cut_off_shard_is_no_shard(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, to_table(StepScores, SCORES), "key")
    path.write_bytes(path.read_bytes()[:-5])
    assert shard_key(path) is None


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    write_shard(path, to_table(StepScores, SCORES), "old")
    with pytest.raises(TypeError):
        write_shard(path, to_table(StepScores, SCORES), "new", {"not json": object()})
    no_such_column = pa.table({"interval": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(pa.ArrowNotImplementedError):  # found out when the file is open
        write_shard(path, no_such_column, "new")
    assert shard_key(path) == "old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_digest_sees_every_part_and_no_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    variants = [
        digest(),
        digest("a"),
        digest("a", "b"),
        digest("ab"),
        digest(["a", "b"]),
        digest({"a": "b"}),
        digest(1),
        digest("1"),
    ]
    assert len(set(variants)) == len(variants)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    leftover = tmp_path / "scores" / "part-00000.parquet.tmp"
    leftover.parent.mkdir()
    leftover.write_text("half")
    with locked(tmp_path):
        assert not leftover.exists()
        with pytest.raises(UserError, match="another run"), locked(tmp_path):
            pass
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free again


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.EINVAL, errno.ENOSYS])
def test_one_writer_where_the_file_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    holder = tmp_path / ".lock.holder"
    with locked(tmp_path):
        assert holder.read_text() == f"{socket.gethostname()} {os.getpid()}"
        with (
            pytest.raises(UserError, match=rf"another run .*process {os.getpid()} on .*remove {holder}"),
            locked(tmp_path),
        ):
            pass
        assert holder.exists()
    assert not holder.exists()
    holder.write_text("elsewhere 1")
    with pytest.raises(UserError, match="process 1 on elsewhere"), locked(tmp_path):
        pass
    dead = subprocess.Popen(["true"])
    dead.wait()
    holder.write_text(f"{socket.gethostname()} {dead.pid}")
    with locked(tmp_path):
        assert holder.read_text().endswith(f" {os.getpid()}")


def test_shards_of_a_larger_run_do_not_stay(tmp_path: Path) -> None:
    """What they cost goes with them."""
    for i in range(4):
        write_shard(shard_path(tmp_path / "scores" / "rm", i), to_table(StepScores, SCORES), "key")
        write_shard(ledger_path(tmp_path, "scores/rm", i), to_table(StepScores, SCORES), "key")
    said: list[str] = []
    remove_other_shards(tmp_path, "scores/rm", {"part-00000.parquet", "part-00001.parquet"}, said.append)
    for folder in (tmp_path / "scores" / "rm", tmp_path / "ledger" / "scores" / "rm"):
        assert sorted(p.name for p in folder.iterdir()) == ["part-00000.parquet", "part-00001.parquet"]
    assert len(said) == 4
