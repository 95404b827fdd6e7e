"""How training examples are put into batches, and the rollouts of a batch are dealt over the workers.

An example is a row of rollout indices: two for a pair, one otherwise. Examples that share a rollout (the pairs
of one problem) stay together, and what is dealt are the rollouts of a batch, not its examples: each goes through the
model once per batch, however many pairs it is in and however many workers there are. Batches gather problems of
similar length, to pad little; their order is random.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from bonbench.reward_models.training.pairs import Indices

#: Examples are sorted by length within stretches of this many batches.
_STRETCH = 16


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rollouts that go through the model together, as positions in what was dealt.

    ``counts`` is False of one that only keeps its worker in step with the others: another one has the same rollout.
    """

    rollouts: Indices
    counts: bool = True


def epoch_batches(
    examples: Indices, units: Indices, lengths: Indices, batch_size: int, rng: np.random.Generator
) -> list[Indices]:
    """One epoch's batches, each an array of example numbers.

    Args:
        examples: rollout indices [examples, 1 or 2].
        units: number of the unit that each example belongs to; a unit's examples are adjacent and stay so.
        lengths: tokens of each rollout.
        batch_size: examples per batch; the last one may have fewer.
    """
    starts = np.flatnonzero(np.r_[True, units[1:] != units[:-1]])
    members = np.split(np.arange(len(examples)), starts[1:])
    longest = np.array([lengths[examples[rows]].max() for rows in members])
    order = rng.permutation(len(members))
    per_stretch = max(1, _STRETCH * batch_size * len(members) // len(examples))
    sorted_order = np.concatenate(
        [
            stretch[np.argsort(longest[stretch], kind="stable")]
            for stretch in np.split(order, range(per_stretch, len(order), per_stretch))
        ]
    )
    sequence = np.concatenate([members[unit] for unit in sorted_order])
    batches = np.split(sequence, range(batch_size, len(sequence), batch_size))
    # A last, smaller batch stays last: the learning rate is lowest there.
    shuffled = rng.permutation(len(batches) - 1)
    return [*(batches[i] for i in shuffled), batches[-1]]


def deal(lengths: Indices, workers: int, max_tokens: int) -> list[list[MicroBatch]]:
    """Each worker's micro-batches of a batch, as few as there can be and as many for one worker as for another.

    Padded to its longest rollout, none has more than ``max_tokens`` tokens, unless a single rollout has. Of all ways to
    cut the rollouts, ordered by length, into so many runs this is one whose largest micro-batch, padding included, is
    the smallest: workers wait for the slowest at every micro-batch.

    Args:
        lengths: tokens of each of the batch's distinct rollouts.
    """
    order = np.argsort(-lengths, kind="stable")
    descending = lengths[order].tolist()
    limit = max(max_tokens, descending[0])
    rounds = -(-len(_cut(descending, limit)) // workers)
    # A run's size rises with what is allowed, and so the number of runs falls: the least that will do, by bisection.
    allowed = range(descending[0], limit + 1)
    least = bisect_left(allowed, True, key=lambda tokens: len(_cut(descending, tokens)) <= workers * rounds)
    runs = sorted(_cut(descending, allowed[least]), key=lambda run: -descending[run.start] * len(run))
    pieces = [MicroBatch(np.sort(order[run.start : run.stop])) for run in runs]
    pieces += [MicroBatch(order[-1:], counts=False)] * (workers * rounds - len(pieces))
    # To and fro, as the first of a round have the most tokens.
    dealt = [pieces[i * workers : (i + 1) * workers][:: 1 - 2 * (i % 2)] for i in range(rounds)]
    return [list(of_worker) for of_worker in zip(*dealt, strict=True)]


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
