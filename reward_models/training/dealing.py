"""How the rollouts of a batch are dealt over the workers, and cut into micro-batches.

What is dealt are the rollouts of a batch, not its examples: each goes through the model once per batch, however many
pairs it is in and however many workers there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bonbench.reward_models.training.pairs import Indices

#: How many times the fewest micro-batches a worker may have, to pad less.
_MORE = (1, 2, 4, 8)

#: What starting a micro-batch costs, in tokens that the model might have read instead.
_EACH = 128


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rollouts that go through the model together, as positions in what was dealt.

    ``counts`` is False of one that only keeps its worker in step with the others: another one has the same rollout.
    """

    rollouts: Indices
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Dealt:
    """The micro-batches of each worker, and how many of the last of them may be held in memory together."""

    of_workers: list[list[MicroBatch]]
    held: int


@dataclass(frozen=True, slots=True)
class Dealer:
    """Deals the rollouts of a batch over the workers, so that all of them are done at about the same time.

    Attributes:
        workers: how many there are.
        max_tokens: of a micro-batch, padding included, unless a single rollout has more; also of those micro-batches
            whose activations are in memory together.
        paired: whether z of all rollouts must be known before one goes backward (:mod:`reward_models.training.step`).
        sharded: whether every micro-batch gathers the model's weights from the workers. There are no more of them then
            than ``max_tokens`` makes necessary, and one at a time is held.
    """

    workers: int
    max_tokens: int
    paired: bool = False
    sharded: bool = False

    def deal(self, lengths: Indices) -> Dealt:
        """Cut rollouts of ``lengths`` tokens into micro-batches, as many for one worker as for another.

        Rollouts are ordered by length and cut into runs. Of all ways to cut them into so many runs it is one whose
        largest run, padding included, is the smallest: workers wait for the slowest at every micro-batch. There may be
        more runs than ``max_tokens`` asks for: with less padding, but each costs something by itself.
        """
        order = np.argsort(-lengths, kind="stable")
        descending = lengths[order].tolist()
        least = -(-len(_cut(descending, max(self.max_tokens, descending[0]))) // self.workers)
        ways = [self._runs(descending, least * more) for more in ((1,) if self.sharded else _MORE)]
        rounds = min(ways, key=lambda way: self._time(_sizes(way, descending)))
        held = self._held(_sizes(rounds, descending))
        return Dealt([[_piece(run, order) for run in of_worker] for of_worker in zip(*rounds, strict=True)], held)

    def _runs(self, descending: list[int], rounds: int) -> list[list[range]]:
        """Each worker's run in each of at most so many rounds, the largest first; an empty one where none is left."""
        # With what a run may have the number of runs falls: the least that will do, by bisection.
        allowed = range(descending[0], max(self.max_tokens, descending[0]) + 1)
        tokens = bisect_left(allowed, True, key=lambda size: len(_cut(descending, size)) <= self.workers * rounds)
        runs = sorted(_cut(descending, allowed[tokens]), key=lambda run: -descending[run.start] * len(run))
        runs += [range(0)] * (-len(runs) % self.workers)
        # To and fro, as the first of a round have the most tokens.
        starts = range(0, len(runs), self.workers)
        return [runs[start : start + self.workers][:: -1 if i % 2 else 1] for i, start in enumerate(starts)]

    def _held(self, sizes: Sequence[Sequence[int]]) -> int:
        """How many of the last rounds, of the ``sizes`` [rounds][workers], fit into memory together at every worker."""
        together = np.cumsum(sizes[::-1], axis=0).max(axis=1)
        return 1 if self.sharded else max(1, int(np.searchsorted(together, self.max_tokens, side="right")))

    def _time(self, sizes: Sequence[Sequence[int]]) -> float:
        """In tokens: every round is as long as its largest run, and a third longer if it is read twice."""
        slowest = [max(of_round) + _EACH for of_round in sizes]
        again = slowest[: -self._held(sizes)] if self.paired else []
        return sum(slowest) + sum(again) / 3


def _sizes(rounds: list[list[range]], descending: list[int]) -> list[list[int]]:
    """Tokens of the runs in each round, padding included."""
    return [[len(run) * descending[run.start] if run else descending[-1] for run in of_round] for of_round in rounds]


def _piece(run: range, order: Indices) -> MicroBatch:
    return MicroBatch(np.sort(order[run.start : run.stop])) if run else MicroBatch(order[-1:], counts=False)


def _cut(descending: list[int], tokens: int) -> list[range]:
    """Runs of lengths, each with as many as ``tokens`` hold when they are padded to the first; at least one."""
    runs, start = [], 0
    while start < len(descending):
        stop = min(start + max(1, tokens // descending[start]), len(descending))
        runs.append(range(start, stop))
        start = stop
    return runs


def padded_tokens(piece: MicroBatch, lengths: Indices) -> int:
    """Tokens of a micro-batch, padding included; ``lengths`` are those of what was dealt."""
    return int(lengths[piece.rollouts].max() * len(piece.rollouts))
