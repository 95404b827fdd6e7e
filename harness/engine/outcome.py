"""What a run did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import UserError
from harness.storage.manifest import Quarantined


@dataclass
class Outcome:
    """What a run did: the shards and trainings that it computed or found stored, what it quarantined, and the mistakes
    of the user among the quarantined. ``gpu_seconds`` are those of what it computed, as in the ledger."""

    computed: int = 0
    stored: int = 0
    gpu_seconds: float = 0.0
    quarantined: list[Quarantined] = field(default_factory=list)
    mistakes: list[UserError] = field(default_factory=list)

    def lines(self, results: Path) -> list[str]:
        """It in words, for results in a folder."""
        said = f"Computed {self.computed} shards and trainings; {self.stored} were stored already."
        if self.gpu_seconds:
            said += f" What it computed took {self.gpu_seconds / 3600:.2f} GPU-hours, without loading models."
        if self.computed == 0:
            said = f"Nothing to compute: all {self.stored} shards and trainings are stored in {results}."
        return [said, *(f"quarantined: {entry.shard}: {entry.error}" for entry in self.quarantined)]
