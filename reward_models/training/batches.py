"""How training examples are put into batches.

An example is a row of rollout indices: two for a pair, one otherwise. Examples that share a rollout (the pairs
of one problem) stay together, so that a batch has few rollouts. Batches gather problems of similar length, to pad
little; their order is random.
"""

from __future__ import annotations

import numpy as np

from bonbench.reward_models.training.pairs import Indices

#: Examples are sorted by length within stretches of this many batches.
_STRETCH = 16


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
