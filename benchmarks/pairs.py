"""What a training reads, and how long its workers wait for the slowest: counted, with the real functions, without a model.

``python benchmarks/pairs.py [--problems N]``. Rollouts are drawn: eight to a problem, right with a probability that is
Beta(0.9, 0.7) over problems, of lengths that are lognormal around 500 tokens, but 2 % of them of the 2,048 at which
sampling stops. Beside what the training does stands what is usual: the pairs of a batch are cut into one piece for each
worker and micro-batch, in their order, and a piece reads the rollouts of its pairs.

Tokens read and padded are of all workers and epochs of length one. Time is counted in tokens: a micro-batch takes what it
has with padding, three times of it, where it is read a second time to save memory a fourth; every worker waits for the
slowest at each micro-batch. Ideal is the time that the tokens of each batch's distinct rollouts take without padding,
spread evenly.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np

from bonbench.reward_models.training.batches import deal, epoch_batches
from bonbench.reward_models.training.pairs import Indices, pair_up

BATCH_SIZE, MAX_BATCH_TOKENS = 64, 16384

#: The rollouts of each micro-batch: [micro-batches][workers].
Rounds = list[list[Indices]]


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


def dealt(data: Data, workers: int) -> Callable[[Indices], Rounds]:
    """As the training does it."""

    def rounds(batch: Indices) -> Rounds:
        members = np.unique(data.examples[batch])
        of_workers = deal(data.lengths[members], workers, MAX_BATCH_TOKENS)
        return [[members[piece.rollouts] for piece in pieces] for pieces in zip(*of_workers, strict=True)]

    return rounds


def cut(data: Data, workers: int) -> Callable[[Indices], Rounds]:
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

    def rounds(batch: Indices) -> Rounds:
        parted = pieces(batch, accumulation * workers)
        return [parted[i : i + workers] for i in range(0, len(parted), workers)]

    return rounds


def _padded(data: Data, rollouts: Indices) -> int:
    return int(data.lengths[rollouts].max() * len(rollouts))


def count_row(data: Data, workers: int, rounds_of: Callable[[Indices], Rounds], twice: bool) -> list[float]:
    """Tokens read / distinct ones; with padding / read; slowest worker / mean; time / ideal."""
    read = padded = slowest = once = time = 0.0
    for batch in data.batches:
        rounds = rounds_of(batch)
        once += data.lengths[np.unique(data.examples[batch])].sum()
        read += sum(data.lengths[piece].sum() for pieces in rounds for piece in pieces)
        sizes = np.array([[_padded(data, piece) for piece in pieces] for pieces in rounds])
        padded += sizes.sum()
        waited = sizes.max(axis=1)
        slowest += waited.sum()
        time += waited.sum() + (waited[:-1].sum() / 3 if twice else 0)
    return [read / once, padded / read, slowest * workers / padded, time * workers / once]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=8000)
    arguments = parser.parse_args()
    print("| | workers | tokens read / distinct | padded / read | slowest / mean worker | GPU time / ideal |")
    print("| --- | --: | --: | --: | --: | --: |")
    for objective in ("dpo", "ce"):
        data = Data.drawn(arguments.problems, objective)
        for workers in (1, 2, 4, 8, 16):
            for name, way in (("cut", cut), ("dealt", dealt)):
                row = count_row(data, workers, way(data, workers), twice=name == "dealt" and objective == "dpo")
                print(f"| {objective}, {name} | {workers} | " + " | ".join(f"{value:.2f}" for value in row) + " |", flush=True)


if __name__ == "__main__":
    main()
