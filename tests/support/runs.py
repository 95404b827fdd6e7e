"""Runs of ``bonbench`` in this process, and what they leave."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from harness.cli import main

#: What holds clock readings, or a digest of them: the ledger, when and in how many seconds things were done.
_CLOCKS = re.compile(
    r"^(ledger/|logs/|manifest\.json|report\.html|tables/(costs|table4)|(tables|figures)/compute|\.lock|\.report-key)"
)


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb said, and its exit code."""

    code: int
    out: str
    err: str


def bonbench(*arguments: object) -> Done:
    """Call a verb in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


def contents(results: Path) -> dict[str, bytes]:
    """The bytes of every result file but those that hold clock readings, by path in the folder."""
    files = {str(p.relative_to(results)): p for p in results.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in sorted(files.items()) if not _CLOCKS.match(name)}


def costs(results: Path) -> pd.DataFrame:
    """The ledger without its clock readings and the place of the results, with the file of each row."""
    files = sorted((results / "ledger").rglob("part-*.parquet"))
    frames = [pq.read_table(p).to_pandas().assign(file=str(p.relative_to(results))) for p in files]
    rows = pd.concat(frames, ignore_index=True).drop(columns=["wall_s", "started_at"])
    return rows.assign(model=rows.model.str.replace(str(results), "", regex=False))


def table(results: Path, folder: str) -> pd.DataFrame:
    """All shards of a folder of the results."""
    parts = sorted((results / folder).rglob("part-*.parquet"))
    return pd.concat([pq.read_table(p).to_pandas() for p in parts], ignore_index=True)
