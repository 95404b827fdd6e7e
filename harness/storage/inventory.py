"""What a finished run left in each folder of its results: shards that are lost or exchanged later are noticed.

Without it a report of what is left looks like any other: with fewer problems, or with those of two runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core.errors import UserError
from harness.core.stages import StageKind
from harness.storage.keys import digest
from harness.storage.shards import LEDGER, shard_files, shard_key, shard_meta

#: What tables and figures are made from. Whoever needs the room may delete the passes and the rollouts.
_READ = (
    "problems",
    *(
        kind.folder
        for kind in (
            StageKind.SAMPLE,
            StageKind.GRADE,
            StageKind.SECOND_GRADE,
            StageKind.SCORE,
            StageKind.POLICY,
            StageKind.POLICY_GRADE,
        )
    ),
    LEDGER,
)


def inventory(results: Path) -> dict[str, str]:
    """The folders that a report reads: path in the results -> how many shards there are, and a digest of their keys."""
    return {str(folder.relative_to(results)): _contents(folder) for folder in _folders(results)}


def check_inventory(results: Path, expected: Mapping[str, str]) -> None:
    """Check that the folders hold what the run has left there.

    Args:
        expected: what :func:`inventory` gave then. Other folders may have come since.

    Raises:
        UserError: naming the first folder that does not, or the shard that cannot be read.
    """
    for name, left in expected.items():
        now = _contents(results / name)
        if now == left:
            continue
        for path in shard_files(results / name):
            shard_meta(path)
        n, n_left = now.partition(" ")[0], left.partition(" ")[0]
        what = (
            f"{n} shards, and a finished run left {n_left}" if n != n_left else "other shards than a finished run left"
        )
        raise UserError(f"{results / name}: {what}: the run is not complete, start it again")


def _folders(results: Path) -> Iterator[Path]:
    places = {path.parent for name in _READ for path in (results / name).rglob("part-*.parquet")}
    yield from sorted(folder for folder in places if shard_files(folder))


def _contents(folder: Path) -> str:
    shards = shard_files(folder)
    return f"{len(shards)} {digest([[path.name, shard_key(path)] for path in shards])[:16]}"
