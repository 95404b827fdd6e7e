"""The ledger's column of GPUs, and files that are older than it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from results_folder import LEDGER_FOLDER, write_results

from harness.analysis.costs import with_time
from harness.core.records import LedgerRow
from harness.storage.arrow import to_records, to_table
from harness.storage.ledger import read_ledger
from harness.storage.results import load_results
from harness.storage.shards import read_shard, shard_key, shard_path, write_shard

ROW = LedgerRow("sample", "g", "m", "cpu", 1, 2, 0, 3.0, 4.0, 5.0)


def test_a_file_without_the_column_tells_what_it_can(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, device="cuda"), replace(ROW, device="")]
    path = shard_path(tmp_path, 0)
    write_shard(path, to_table(LedgerRow, rows).drop_columns(["gpus"]), "key")
    assert [row.gpus for row in to_records(LedgerRow, read_ledger(path))] == [0.0, None, 0.0]
    rows = [replace(row, gpus=4.0) for row in rows]
    write_shard(path, to_table(LedgerRow, rows), "key")
    assert to_records(LedgerRow, read_ledger(path)) == rows


def test_results_with_an_older_ledger_are_read(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    (path,) = (folder / LEDGER_FOLDER).glob("*.parquet")
    new = load_results(folder).ledger
    write_shard(path, read_shard(path).drop_columns(["gpus"]), shard_key(path) or "")
    pd.testing.assert_frame_equal(load_results(folder).ledger, new)


def test_seconds_of_gpus_and_of_processes_are_kept_apart() -> None:
    held = [replace(ROW, gpus=gpus, wall_s=10.0) for gpus in (0.0, 4.0, 0.5, None)]
    frame = with_time(to_table(LedgerRow, held).to_pandas())
    assert frame["seconds"].tolist() == [10, 0, 0, 0]
    assert frame["gpu_seconds"].tolist()[:3] == [0, 40, 5]
    assert pd.isna(frame["gpu_seconds"].sum(skipna=False))  # a sum with what is not known is not known
