"""What AutoPSV's outcome-supervised verifier makes of the steps of rollouts, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from bonbench.reward_models.training.by_shards import Arrays, Place, batches, made, starts
from bonbench.reward_models.training.chosen import Again
from bonbench.reward_models.training.data import Prepared
from bonbench.reward_models.training.params import AutoPSVTrainerParams
from harness.core.prompt import asks
from harness.core.workers import Workers

#: Solutions that a model reads together, at least.
_AT_ONCE = 4096


def confidence(
    verifier: str, prepared: Prepared, params: AutoPSVTrainerParams, place: Place | None = None
) -> Sequence[Sequence[float]]:
    """The verifier's value at the end of each step of each rollout; every worker reads a part of them."""
    shards = [shard for batch in prepared.batches for shard in batch.shards]
    arrays = made(_Read(params, batches(shards, _AT_ONCE), prepared.rows, verifier), "values", place)
    values, ends = arrays["values"].tolist(), starts(arrays["n_values"]).tolist()
    return [values[start:stop] for start, stop in pairwise(ends)]


@dataclass(frozen=True, slots=True)
class _Read(Again):
    """What a verifier makes of rollouts: its ``values`` [steps], and how many of them each rollout has."""

    verifier: str

    done: ClassVar[str] = "labelled"

    def workers(self) -> Workers:
        return self.params.in_workers()

    def begin(self) -> Callable[[int], Arrays]:
        import torch

        from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
        from bonbench.reward_models.lm.causal_lm import read
        from bonbench.reward_models.lm.reader import HiddenStateReader

        torch.set_num_threads(self.params.cpus_per_worker)
        asked = {"model": self.verifier, **asks(self.params), "too_long": "error"}
        model = HeadPRM(HeadPRMParams.model_validate(asked))
        assert isinstance(model.reader, HiddenStateReader)
        lm = model.reader.lm

        def make(number: int) -> Arrays:
            encoded = model.encode([item.solution for item in self.load(number)])
            # The hidden states of a whole shard would take gigabytes: their values take what is kept here.
            values = read(lm, encoded, lambda hidden, _: lm.score(hidden)[:, 0].float(), self.params.max_batch_tokens)
            sizes = np.array([len(of_rollout) for of_rollout in values], dtype=np.int64)
            flat = [value for of_rollout in values for value in of_rollout.tolist()]
            return {"values": np.array(flat, dtype=np.float64), "n_values": sizes}

        return make
