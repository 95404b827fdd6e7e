"""The steps of a training: their batches, and what a worker reads in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, default_convert

from bonbench.reward_models.training.batches import epoch_batches
from bonbench.reward_models.training.data import Rollouts
from bonbench.reward_models.training.dealing import Dealer
from bonbench.reward_models.training.model_losses import Batch
from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.sequences import Sequences


@dataclass(frozen=True, slots=True)
class Schedule:
    """The batches of all epochs in training order, each an array of example numbers: a step each."""

    batches: list[Indices]

    @classmethod
    def of(cls, rollouts: Rollouts, params: TrainingParams, epochs: int) -> Schedule:
        rng = np.random.default_rng(params.seed)
        examples, lengths = rollouts.examples, rollouts.sequences.lengths
        batches = (epoch_batches(examples, rollouts.units, lengths, params.batch_size, rng) for _ in range(epochs))
        return cls([batch for of_epoch in batches for batch in of_epoch])

    def members(self, rollouts: Rollouts) -> list[Indices]:
        """The rollouts of each batch."""
        return [np.unique(rollouts.examples[batch]) for batch in self.batches]


def costs(rollouts: Rollouts, learnt: Indices, looked_at: Indices, with_reference: bool) -> dict[str, int]:
    """Tokens and positions that go through forward and backward, or forward alone.

    What some workers read again to save memory, or to keep in step, is not in it: it depends on the machine.

    Args:
        learnt: the rollouts of all batches: each once per batch.
        looked_at: those of problems kept apart, as often as they are looked at.
    """
    read = [(rollouts.sequences, looked_at)]
    if rollouts.mismatched is not None:
        # By the policy in every step, and once by the reference, where there is one.
        crossed = rollouts.mismatched.sequences
        once = np.arange(len(crossed) if with_reference else 0)
        read += [(crossed, members) for members in (learnt, looked_at, once)]
    return {**_sizes("train", [(rollouts.sequences, learnt)]), **_sizes("forward", read)}


def _sizes(what: str, read: Sequence[tuple[Sequences, Indices]]) -> dict[str, int]:
    return {
        f"{what}_tokens": sum(int(sequences.lengths[members].sum()) for sequences, members in read),
        f"{what}_positions": sum(int(sequences.positions()[members].sum()) for sequences, members in read),
    }


class Steps(Dataset[Batch]):
    """What one of the workers reads in each step, as :func:`reward_models.training.step.go` takes it.

    Args:
        batches: example numbers of each step.
        crossed: log-probabilities of the mismatched responses under the reference [rollouts], where there are any.
    """

    def __init__(
        self,
        rollouts: Rollouts,
        batches: Sequence[Indices],
        crossed: npt.NDArray[np.float64] | None,
        dealer: Dealer,
        rank: int,
    ) -> None:
        self._rollouts, self._batches, self._crossed = rollouts, batches, crossed
        self._dealer, self._rank = dealer, rank
        self._lengths, self._n_terms = rollouts.sequences.lengths, rollouts.n_terms

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        numbers, data = self._batches[index], self._rollouts
        members, places = np.unique(data.examples[numbers], return_inverse=True)
        dealt = self._dealer.deal(self._lengths[members])
        step: Batch = {
            "examples": places.reshape(len(numbers), -1),
            "n_rollouts": len(members),
            "n_terms": int(self._n_terms[numbers].sum()),
            "micro": [
                {**data.batch(members[piece.rollouts]), "places": piece.rollouts, "counts": piece.counts}
                for piece in dealt.of_workers[self._rank]
            ],
            "held": dealt.held,
        }
        if data.mismatched is not None and self._crossed is not None:
            # Read without gradient, by themselves: they have other lengths.
            crossed = self._dealer.deal(data.mismatched.sequences.lengths[members])
            step["mismatched"] = [
                {
                    **data.mismatched.sequences.batch(members[piece.rollouts]),
                    "reference": self._crossed[members[piece.rollouts]],
                    "n_terms": data.mismatched.terms[members[piece.rollouts]],
                    "counts": piece.counts,
                }
                for piece in crossed.of_workers[self._rank]
            ]
        return default_convert(step)  # type: ignore[no-any-return, no-untyped-call]
