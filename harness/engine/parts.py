"""Stored shards that lack some of their problems, because these failed.

Such a shard has a key of its own, made of the shard's key and of what is missing. So it is not taken for the whole one:
the next run makes what is missing, and keeps the rest. What is made of the shard for the evaluation goes on with the
problems that it has, and lacks the same ones. A training waits for the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from harness.core.errors import UserError
from harness.core.incomplete import missing_line
from harness.core.records import LedgerRow
from harness.core.stages import StageKind
from harness.engine.graph import Shard, Stage
from harness.storage.arrow import to_records
from harness.storage.keys import digest
from harness.storage.ledger import read_ledger
from harness.storage.shards import read_shard, shard_key

#: Stages that go on with a part of what they read.
_GO_ON = {
    StageKind.GRADE,
    StageKind.SECOND_GRADE,
    StageKind.TOKEN_PASS,
    StageKind.VERIFY,
    StageKind.SCORE,
    StageKind.POLICY_GRADE,
}


class Parts:
    """The parts of shards in one results folder, as far as a run knows them."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._missing: dict[Shard, dict[str, str]] = {}

    def add(self, shard: Shard, missing: Mapping[str, str]) -> str:
        """A shard is made but for the problems that are ``missing``; the key to store it under."""
        self._missing[shard] = dict(missing)
        return _key(shard, missing) if missing else shard.key

    def missing(self, shards: Iterable[Shard]) -> dict[str, str]:
        """What any of the shards lacks: problem id -> why."""
        return {id_: why for shard in shards for id_, why in self._missing.get(shard, {}).items()}

    def goes_on(self, stage: Stage, shard: Shard) -> bool:
        """Whether a stage can make a shard of what there is of the shards that it reads."""
        return stage.kind in _GO_ON or not self.missing(shard.inputs.values())

    def is_settled(self, shard: Shard) -> bool:
        """Whether all that can be made of what the shard reads is stored. Then it lacks what its inputs lack."""
        missing = self.missing(shard.inputs.values())
        settled = bool(missing) and shard_key(shard.path(self._results), shard.columns) == _key(shard, missing)
        if settled:
            self._missing[shard] = missing
        return settled

    def kept(self, shard: Shard) -> pa.Table | None:
        """What an earlier run made of a shard; None where it made nothing, or all."""
        path = shard.path(self._results)
        if shard.stored(self._results) or not shard.usable(self._results):
            return None
        try:
            return without(read_shard(path), self.missing(shard.inputs.values()))
        except (OSError, pa.ArrowException, UserError):
            return None

    def seconds(self, shard: Shard) -> float:
        """What the kept part of a shard took."""
        if shard.stored(self._results) or not shard.usable(self._results):
            return 0.0
        try:
            return sum(row.wall_s for row in to_records(LedgerRow, read_ledger(shard.ledger(self._results))))
        except (OSError, pa.ArrowException, UserError):
            return 0.0


def without(table: pa.Table, problem_ids: Collection[str]) -> pa.Table:
    """The rows of a table that are not about the problems."""
    if not problem_ids:
        return table
    return table.filter(pc.invert(pc.is_in(table["problem_id"], value_set=pa.array(list(problem_ids), pa.string()))))


def failure_of(missing: Mapping[str, str], is_made: bool) -> str:
    """What failed of a shard in one line; ``is_made`` says that there is a rest."""
    rest = "; the rest is stored: the next start asks for what is missing" if is_made else ""
    return missing_line(missing) + rest


def _key(shard: Shard, missing: Collection[str]) -> str:
    return f"{shard.key}-{digest('missing', sorted(missing))[:16]}"
