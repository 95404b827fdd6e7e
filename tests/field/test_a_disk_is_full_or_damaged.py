"""Disks: no room left (ray-project/ray#17017, #13443), and bytes that are others than were written.

A damaged page of Parquet may be read as other numbers, without an error (tradingstrategy-ai/web3-ethereum-defi#1024).
``tests/cli/test_cli.py`` fills a disk under a run, ``tests/streams/test_journal.py`` under ``bonbench score``.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from places import ROOT
from results_folder import write_results
from runs import bonbench

from harness.analysis.published_numbers import load_published
from harness.core.errors import UserError
from harness.core.files import replacing
from harness.storage.files import locked
from harness.storage.inventory import check_inventory
from harness.storage.manifest import read_manifest
from harness.storage.results import load_results
from harness.storage.shards import read_shard, remove_other_shards, shard_files, shard_key, shard_meta, write_shard
from harness.storage.trained import trained_facts, trained_key

SHARD = Path("scores/ce-2/weak/part-00000.parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results") / "whole")


def test_no_room_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a" / "part.parquet"
    write_shard(path, pa.table({"a": [1]}), "old")
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"), replacing(path) as temporary:
        temporary.symlink_to("/dev/full")
        with temporary.open("wb", buffering=0) as file:
            file.write(b"new")
    assert shard_key(path) == "old" and os.listdir(path.parent) == ["part.parquet"]


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Wherever it is: in the numbers, in their compression, in the footer."""
    path = tmp_path / "part.parquet"
    table = pa.table({"a": [0.1, 0.2, 0.3]})
    write_shard(path, table, "key", {"shape": None})
    data = path.read_bytes()
    for place in range(4, len(data), 2):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            read = read_shard(path)
        except UserError as error:
            assert str(path) in str(error) and "remove the file" in str(error)
        else:  # the bit is in a text that describes the file
            assert read.num_columns != 1 or read.column(0).to_pylist() == [0.1, 0.2, 0.3]


def _replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DAMAGES: dict[str, tuple[Path, Callable[[Path], object], str]] = {
    "a cut shard": (SHARD, lambda path: path.write_bytes(path.read_bytes()[:-20]), "not a readable shard of results"),
    "an empty shard": (SHARD, lambda path: path.write_bytes(b""), "not a readable shard of results"),
    "zeros": (SHARD, lambda path: path.write_bytes(bytes(500)), "not a readable shard of results"),
    "a folder": (SHARD, lambda path: _replaced(path, Path.mkdir), "is a folder"),
    "a pipe": (SHARD, lambda path: _replaced(path, os.mkfifo), "is a pipe"),
    "other columns": (
        SHARD,
        lambda path: write_shard(path, pa.table({"x": [1]}), "key"),
        "not a shard of these results",
    ),
    "a manifest cut off": (Path("manifest.json"), lambda path: path.write_text("{"), "manifest.json line 1: not JSON"),
    "a manifest of a list": (Path("manifest.json"), lambda path: path.write_text("[]"), "manifest.json: "),
    "a manifest in a pipe": (Path("manifest.json"), lambda path: _replaced(path, os.mkfifo), "no results there"),
    "another seed": (
        Path("manifest.json"),
        lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"seed": -1})),
        "manifest.json: seed",
    ),
    "no problems": (Path("problems"), shutil.rmtree, "no problems under problems/test"),
    "no grades": (Path("grades/weak"), shutil.rmtree, "no grades of weak"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_are_one_line(whole: Path, tmp_path: Path, damage: str) -> None:
    results = shutil.copytree(whole, tmp_path / "results")
    place, spoil, says = DAMAGES[damage]
    spoil(results / place)
    done = bonbench("compare", results, "ce-2", "ce-4")
    assert done.code == 2 and says in done.err and str(results) in done.err and done.err.count("\n") == 1


def test_lost_and_exchanged_shards_are_noticed(tmp_path: Path) -> None:
    """A report of what is left would look like any other, with fewer problems."""
    rows = [{"problem_id": i, "problem": f"{i} + 1?", "gold": f"{i + 1}", "samples": [{"text": "2"}]} for i in range(4)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "e.yaml").write_text(
        f"name: a\nresponses: {tmp_path / 'in.jsonl'}\noutput: {tmp_path / 'out'}\nproblems_per_shard: 2\n"
        "reward_models: {length: {type: length}}\nevaluation: {bootstrap: 10}\n"
    )
    run, results = ["run", tmp_path / "e.yaml", "--local", "--until", "score"], tmp_path / "out"
    assert bonbench(*run).code == 0
    inventory = (read_manifest(results) or pytest.fail()).shards
    check_inventory(results, inventory)
    for folder in ("scores/length/recorded", "grades/recorded", "problems/test", "ledger/grades/recorded"):
        shards = sorted((results / folder).iterdir())
        content = shards[-1].read_bytes()
        shards[-1].unlink()
        with pytest.raises(
            UserError, match=rf"{folder}: {len(shards) - 1} shards, and a finished run left {len(shards)}"
        ):
            check_inventory(results, inventory)
        shards[-1].write_bytes(content)
    shards = sorted((results / "scores/length/recorded").iterdir())
    shards[1].write_bytes(shards[0].read_bytes())
    done = bonbench("report", results)
    assert done.code == 2 and "scores/length/recorded: other shards than a finished run left" in done.err
    assert bonbench(*run).code == 0
    check_inventory(results, inventory)


def test_facts_of_a_shard_and_of_a_training_that_are_none(tmp_path: Path) -> None:
    path, trained = tmp_path / "part.parquet", tmp_path / "bonbench.json"
    write_shard(path, pa.table({"a": [1]}), "key", [])  # type: ignore[arg-type]
    write_shard(path, pa.table({"a": [1]}), "key", [1])  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"part\.parquet: .*its facts are damaged"):
        shard_meta(path)
    for content in ("", "[]", '{"key": 3}', "\0"):
        trained.write_text(content)
        assert trained_key(tmp_path) is None
        with pytest.raises(UserError, match=r"bonbench\.json"):
            trained_facts(tmp_path)


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    (tmp_path / "in.jsonl").write_text('{"problem": "1 + 1?", "gold": "2", "samples": [{"text": "2"}]}\n')
    (tmp_path / "e.yaml").write_text(f"name: a\nresponses: {tmp_path / 'in.jsonl'}\n")
    for place, number in (("a", errno.EEXIST), ("a/b", errno.ENOTDIR)):
        done = bonbench("run", tmp_path / "e.yaml", "--local", "--set", f"output={tmp_path / place}")
        assert done.code == 2 and done.err == f"bonbench: {tmp_path / place}: {os.strerror(number)}\n"


def test_files_that_are_no_shards_are_left_alone(tmp_path: Path) -> None:
    """A copy that somebody made of a shard is not read beside it, and not removed with it."""
    table = pa.table({"a": [1]})
    for name in ("part-00000.parquet", "part-00003.parquet", "part-100000.parquet", "part-00000 (copy).parquet"):
        write_shard(tmp_path / "scores" / name, table, "key")
    assert [path.name for path in shard_files(tmp_path / "scores")][:2] == ["part-00000.parquet", "part-00003.parquet"]
    remove_other_shards(tmp_path, "scores", {"part-00000.parquet"}, lambda line: None)
    left = ["part-00000 (copy).parquet", "part-00000.parquet"]
    assert sorted(os.listdir(tmp_path / "scores")) == left


def test_a_lock_that_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(UserError, match=r"\.lock: is a pipe; remove it"), locked(tmp_path):
        pass


@pytest.mark.parametrize(
    ("name", "header"), [("table1.csv", "llama-8b@4"), ("figure2.csv", "of_ce"), ("figure3.csv", "method")]
)
def test_published_numbers_in_other_columns(tmp_path: Path, name: str, header: str) -> None:
    folder = shutil.copytree(ROOT / "results" / "paper", tmp_path / "paper")
    first, _, rest = (folder / name).read_text().partition("\n")
    columns = first.split(",")
    columns[columns.index(header) if header in columns else -1] = "other"
    (folder / name).write_text(f"{','.join(columns)}\n{rest}")
    with pytest.raises(UserError, match=rf"{name}: not the table that is drawn"):
        load_published(folder)


def test_results_of_another_version_say_so(whole: Path, tmp_path: Path) -> None:
    results = shutil.copytree(whole, tmp_path / "results")
    facts = json.loads((results / "manifest.json").read_text()) | {
        "generators": ["weak"],
        "versions": {"bonbench": "99"},
    }
    (results / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"manifest\.json: generators: .*; BonBench 99 wrote it, and this is"):
        load_results(results)
    (results / "manifest.json").write_text('{"some": "tool"}')
    with pytest.raises(UserError, match=r"manifest\.json: name: missing; is it one of BonBench\?"):
        load_results(results)
