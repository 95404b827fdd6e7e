"""What a training reads, and how long its workers wait for the slowest: counted with the real functions, no model.

``python benchmarks/pairs.py [--problems N]``. Rollouts are drawn: eight to a problem, right with a probability that is
Beta(0.9, 0.7) over problems, of lengths that are lognormal around 500 tokens, but 2 % of them of the 2,048 at which
sampling stops. Beside what the training does stands what is usual: the pairs of a batch are cut into one piece for each
worker and micro-batch, in their order, and a piece reads the rollouts of its pairs.

Time is counted in tokens, padding included; what is read twice to save memory takes a third longer; all workers wait
for the slowest at every micro-batch. Ideal is the time that the distinct rollouts of each batch would take without
padding, spread evenly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import numpy as np  # noqa: E402

from bonbench.reward_models.training.batches import epoch_batches  # noqa: E402
from bonbench.reward_models.training.dealing import Dealer  # noqa: E402
from bonbench.reward_models.training.pairs import Indices, pair_up  # noqa: E402

BATCH_SIZE, MAX_BATCH_TOKENS = 64, 16384

#: The rollouts of each micro-batch [micro-batches][workers] of a batch, and how many of the last are read once only.
Way = Callable[[Indices], tuple[list[list[Indices]], int]]


@dataclass(frozen=True)
class Data:
    lengths: Indices
    examples: Indices
    batches: list[Indices]

    @classmethod
    def drawn(cls, problems: int, objective: str) -> Data:
        rng = np.random.default_rng(0)
        right = rng.random((problems, 8)) < rng.beta(0.9, 0.7, size=problems)[:, None]
        lengths = np.clip(np.exp(rng.normal(np.log(500), 0.4, size=8 * problems)), 50, 2048).astype(np.int64)
        lengths[rng.random(8 * problems) < 0.02] = 2048
        numbers = np.repeat(np.arange(problems), 8)
        examples, units = np.arange(8 * problems)[:, None], np.arange(8 * problems)
        if objective == "dpo":
            examples = pair_up(numbers.tolist(), right.ravel().tolist(), "all", 0)
            units = numbers[examples[:, 0]]
        return cls(lengths, examples, epoch_batches(examples, units, lengths, BATCH_SIZE, rng))


def dealt(data: Data, workers: int, paired: bool, sharded: bool = False) -> Way:
    """As the training does it."""
    dealer = Dealer(workers, MAX_BATCH_TOKENS, paired, sharded)

    def way(batch: Indices) -> tuple[list[list[Indices]], int]:
        members = np.unique(data.examples[batch])
        found = dealer.deal(data.lengths[members])
        rounds = zip(*found.of_workers, strict=True)
        return [[members[piece.rollouts] for piece in pieces] for pieces in rounds], found.held if paired else 0

    return way


def cut(data: Data, workers: int) -> Way:
    """As is usual: one number of micro-batches for the whole training, the least that keeps all within the limit."""

    def pieces(batch: Indices, parts: int) -> list[Indices]:
        parted = np.array_split(batch, parts)
        return [np.unique(data.examples[numbers if len(numbers) else batch[:1]]) for numbers in parted]

    def fits(accumulation: int) -> bool:
        return all(
            _padded(data, piece) <= MAX_BATCH_TOKENS
            for batch in data.batches
            for piece in pieces(batch, accumulation * workers)
        )

    accumulation = next(steps for steps in count(1) if steps * workers >= BATCH_SIZE or fits(steps))

    def way(batch: Indices) -> tuple[list[list[Indices]], int]:
        parted = pieces(batch, accumulation * workers)
        return [parted[i : i + workers] for i in range(0, len(parted), workers)], 0

    return way


def _padded(data: Data, rollouts: Indices) -> int:
    return int(data.lengths[rollouts].max() * len(rollouts))


def counted(data: Data, workers: int, way: Way) -> str:
    """Cells of the table: all over the batches of an epoch."""
    read = padded = once = rounds = waited = time = 0.0
    for batch in data.batches:
        pieces, held = way(batch)
        once += data.lengths[np.unique(data.examples[batch])].sum()
        read += sum(data.lengths[piece].sum() for of_round in pieces for piece in of_round)
        sizes = np.array([[_padded(data, piece) for piece in of_round] for of_round in pieces])
        slowest = sizes.max(axis=1)
        padded, rounds, waited = padded + sizes.sum(), rounds + len(sizes), waited + slowest.sum()
        time += slowest.sum() + (slowest[:-held].sum() / 3 if held else 0)
    ratios = read / once, padded / read, waited * workers / padded, time * workers / once
    return " | ".join(f"{value:.2f}" for value in (rounds / len(data.batches), *ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=8000)
    arguments = parser.parse_args()
    for objective in ("dpo", "ce"):
        data, paired = Data.drawn(arguments.problems, objective), objective == "dpo"
        once = data.lengths[np.unique(data.examples)].sum()
        of_batches = sum(data.lengths[np.unique(data.examples[batch])].sum() for batch in data.batches)
        print(f"\n{objective}: distinct tokens of the batches / of the epoch {of_batches / once:.3f}\n")
        columns = "micro-batches", "read / distinct", "padded / read", "slowest / mean worker", "GPU time / ideal"
        print("| workers | batches are | " + " | ".join(columns) + " |\n| --: | --- |" + " --: |" * len(columns))
        for workers in (1, 2, 8, 16):
            ways = {"cut": cut(data, workers), "dealt": dealt(data, workers, paired)}
            if workers > 1:
                ways["dealt, sharded"] = dealt(data, workers, paired, sharded=True)
            for name, way in ways.items():
                print(f"| {workers} | {name} | {counted(data, workers, way)} |", flush=True)


if __name__ == "__main__":
    main()
