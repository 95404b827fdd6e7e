"""How training examples are put into batches, and batches into micro-batches that fit a worker.

An example is a row of rollout indices: two for a pair, one otherwise. Examples that share a rollout (the pairs
of one problem) stay together, so that each rollout goes through the model once per batch however many pairs it
is in. Batches gather problems of similar length, to pad little; their order is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.training.pairs import Indices

#: Examples are sorted by length within stretches of this many batches.
_STRETCH = 16


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rollouts that go through the model together and the examples they make up.

    ``examples`` index into ``rollouts``. ``weight`` is the factor of each of their losses, such that the mean over
    workers and over the micro-batches of a step is the mean over all losses of the batch; it is 0 in a micro-batch
    that only keeps a worker in step.
    """

    rollouts: Indices
    examples: Indices
    weight: float


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


def split(batch: Indices, examples: Indices, n_terms: Indices, parts: int) -> list[MicroBatch]:
    """Cut a batch into ``parts`` micro-batches.

    A batch with fewer examples than parts repeats its first one with weight 0, as every worker must take part
    in every step.

    Args:
        n_terms: losses that each example has.
    """
    pieces = []
    for numbers in np.array_split(batch, parts):
        weight = parts / int(n_terms[batch].sum()) if len(numbers) else 0.0
        rows = examples[numbers if len(numbers) else batch[:1]]
        rollouts, inverse = np.unique(rows, return_inverse=True)
        pieces.append(MicroBatch(rollouts, inverse.reshape(rows.shape), weight))
    return pieces


def padded_tokens(piece: MicroBatch, lengths: npt.NDArray[np.int64]) -> int:
    """Tokens of a micro-batch, padding included; ``lengths`` [rollouts] are the tokens of each rollout."""
    return int(lengths[piece.rollouts].max() * len(piece.rollouts))


def accumulation_steps(
    epochs: list[list[Indices]],
    examples: Indices,
    n_terms: Indices,
    lengths: Indices,
    workers: int,
    max_batch_tokens: int,
) -> int:
    """The fewest micro-batches per step and worker that keep all within ``max_batch_tokens``, or hold one example."""
    steps, batch_size = 1, max(len(batch) for batches in epochs for batch in batches)
    while steps * workers < batch_size:
        pieces = (
            p for batches in epochs for batch in batches for p in split(batch, examples, n_terms, steps * workers)
        )
        if all(padded_tokens(piece, lengths) <= max_batch_tokens for piece in pieces):
            break
        steps += 1
    return steps
