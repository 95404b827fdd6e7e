"""From graded rollouts to batches: pairs, batches, padded tokens."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np

from bonbench.reward_models.training.batches import epoch_batches
from bonbench.reward_models.training.pairs import pair_up
from bonbench.reward_models.training.sequences import Sequences


def test_pairs() -> None:
    problems = [7, 7, 7, 3, 3, 7, 5, 5]
    correct = [True, False, True, True, False, False, True, True]
    brute = {
        (i, j) for i, j in product(range(8), repeat=2) if problems[i] == problems[j] and correct[i] and not correct[j]
    }
    pairs = pair_up(problems, correct, "all", 0)
    assert set(map(tuple, pairs.tolist())) == brute
    assert len(pairs) == len(brute)
    one = pair_up(problems, correct, "one", 0)
    assert one[:, 0].tolist() == [0, 2, 3]
    assert {tuple(pair) for pair in one.tolist()} <= brute
    assert len(set(one[:2, 1].tolist())) == 2  # two wrongs serve two rights: each once
    assert pair_up([1, 1], [True, True], "all", 0).shape == (0, 2)
    drawn = {tuple(pair_up([0] * 9, [True] + [False] * 8, "one", seed)[0].tolist()) for seed in range(40)}
    assert len(drawn) > 4
    assert pair_up(problems, correct, "one", 3).tolist() == pair_up(problems, correct, "one", 3).tolist()


def test_batches_hold_every_example_once() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 90, size=300)
    problems = np.repeat(np.arange(60), 5)
    examples = pair_up(problems.tolist(), (rng.random(300) < 0.5).tolist(), "all", 0)
    units = problems[examples[:, 0]]
    batches = epoch_batches(examples, units, lengths, 16, np.random.default_rng(1))
    assert Counter(np.concatenate(batches).tolist()) == Counter(range(len(examples)))
    assert all(len(batch) == 16 for batch in batches[:-1])
    assert 0 < len(batches[-1]) <= 16
    again = epoch_batches(examples, units, lengths, 16, np.random.default_rng(1))
    assert [b.tolist() for b in again] == [b.tolist() for b in batches]
    other = epoch_batches(examples, units, lengths, 16, np.random.default_rng(2))
    assert [b.tolist() for b in other] != [b.tolist() for b in batches]


def test_sequences() -> None:
    ids, reads = [[5, 6, 7], [8], [9, 10, 11, 12]], [[1, 2], [0], [0, 2, 3]]
    sequences = Sequences.of(ids, reads)
    assert sequences.lengths.tolist() == [3, 1, 4]
    assert sequences.positions().tolist() == [1 + 2 + 3, 1, 1 + 2 + 3 + 4]
    batch = sequences.batch(np.array([2, 0]))
    assert batch["input_ids"].tolist() == [[9, 10, 11, 12], [5, 6, 7, 0]]
    assert batch["input_ids"][batch["rows"], batch["columns"]].tolist() == [9, 11, 12, 6, 7]
    assert sequences.reads[sequences.reads_of(np.array([1, 2]))].tolist() == [0, 0, 2, 3]
