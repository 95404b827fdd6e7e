"""Rollouts in shards: what a training is given when there are more than fit in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import overload

from harness.core.records import GradedSolution


class RolloutShard(ABC):
    """Graded rollouts that are loaded together. It is small, and any process may load it: it can be pickled."""

    @property
    @abstractmethod
    def problem_ids(self) -> Sequence[str]:
        """The problems that it has rollouts to, each once."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rollouts it has."""

    @abstractmethod
    def load(self) -> list[GradedSolution]:
        """The rollouts. Those to one problem are adjacent."""


class RolloutShards(Sequence[GradedSolution]):
    """All rollouts of some shards, of which one is in memory at a time.

    Iteration loads shard by shard. ``rollouts[i]`` loads the shard of rollout i, unless it was the last one loaded.
    """

    def __init__(self, shards: Sequence[RolloutShard]) -> None:
        self.shards = tuple(shards)
        self._ends = list(accumulate(map(len, self.shards)))
        self._loaded: tuple[int, list[GradedSolution]] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[GradedSolution]:
        for shard in self.shards:
            yield from shard.load()

    @overload
    def __getitem__(self, index: int) -> GradedSolution: ...
    @overload
    def __getitem__(self, index: slice) -> list[GradedSolution]: ...
    def __getitem__(self, index: int | slice) -> GradedSolution | list[GradedSolution]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, row)
        if self._loaded is None or self._loaded[0] != number:
            self._loaded = number, self.shards[number].load()
        return self._loaded[1][row - self._ends[number]]  # counted from the shard's end

    def __reduce__(self) -> tuple[type[RolloutShards], tuple[Sequence[RolloutShard]]]:
        return RolloutShards, (self.shards,)  # without what is loaded


@dataclass(frozen=True, slots=True)
class InMemory(RolloutShard):
    """A shard of rollouts that are in memory anyway."""

    rollouts: list[GradedSolution]

    @property
    def problem_ids(self) -> Sequence[str]:
        return list(dict.fromkeys(rollout.solution.problem.problem_id for rollout in self.rollouts))

    def __len__(self) -> int:
        return len(self.rollouts)

    def load(self) -> list[GradedSolution]:
        return self.rollouts


def shards_of(rollouts: Sequence[GradedSolution]) -> Sequence[RolloutShard]:
    """The shards that rollouts come in; of a plain sequence, each problem's."""
    if isinstance(rollouts, RolloutShards):
        return rollouts.shards
    by_problem = groupby(rollouts, key=lambda rollout: rollout.solution.problem.problem_id)
    return [InMemory(list(some)) for _, some in by_problem]
