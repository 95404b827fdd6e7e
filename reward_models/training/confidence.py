"""What AutoPSV's outcome-supervised verifier makes of the steps of rollouts, shard by shard.

A shard is a run of solutions, cut between problems. A worker keeps the values of each shard in a file when it has read
it: when the training was killed, the shards that are there are not read again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bonbench.reward_models.training.params import AutoPSVTrainerParams
from harness.core.files import replacing
from harness.core.records import Solution
from harness.core.workers import Launcher, Progress

#: Solutions of a shard, at least: the model reads them together, and what they have in common once.
_SHARD = 4096


@dataclass(frozen=True, slots=True)
class Reading:
    """Solutions that a verifier is to read, and the folder of the values."""

    verifier: str
    solutions: list[Solution]
    params: AutoPSVTrainerParams
    folder: Path


def confidence(reading: Reading, scratch: Path, progress: Progress, launch: Launcher) -> list[list[float]]:
    """The verifier's value at the end of each step of each solution; every worker reads a part of the shards."""
    reading.folder.mkdir(parents=True, exist_ok=True)
    shards = _shards(reading.solutions)
    if any(not _file(reading, shard).exists() for shard in shards):
        launch(_read, reading, reading.params.in_workers(), scratch, progress)
    return [of_solution for shard in shards for of_solution in json.loads(_file(reading, shard).read_text())]


def _read(reading: Reading, progress: Progress) -> None:
    """Read every shard that is this worker's and not there yet."""
    import torch
    import torch.distributed as dist

    from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
    from bonbench.reward_models.lm.causal_lm import read

    params = reading.params
    torch.set_num_threads(params.cpus_per_worker)
    asked = {"model": reading.verifier, "user_template": params.user_template, "too_long": "error"}
    model = HeadPRM(HeadPRMParams.model_validate(asked))
    rank, workers = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    mine = _shards(reading.solutions)[rank::workers]
    for done, shard in enumerate(mine):
        progress(done, len(mine), "reading for labels")
        file = _file(reading, shard)
        if file.exists():
            continue
        encoded = model.encode(reading.solutions[shard.start : shard.stop])
        # The hidden states of a whole shard would take gigabytes: their values take what is written here.
        values = read(
            model.lm, encoded, lambda hidden, _: model.lm.score(hidden)[:, 0].float(), params.max_batch_tokens
        )
        with replacing(file) as partial:
            partial.write_text(json.dumps([of_solution.tolist() for of_solution in values]))
    if dist.is_initialized():
        dist.barrier()  # the first worker's return says that all have read their part


def _file(reading: Reading, shard: range) -> Path:
    return reading.folder / f"values-{shard.start}-{shard.stop}.json"


def _shards(solutions: Sequence[Solution]) -> list[range]:
    """The solutions in order, cut between problems into runs of at least ``_SHARD``, the last one aside."""
    starts, end = [0], 0
    for _, of_problem in groupby(solutions, key=lambda solution: solution.problem.problem_id):
        if end - starts[-1] >= _SHARD:
            starts.append(end)
        end += len(list(of_problem))
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], end], strict=True)]
