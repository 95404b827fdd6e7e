"""The rollouts of a batch dealt over workers: each once, evenly, within the limit; counted on data of a usual kind."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest

from bonbench.reward_models.training.batches import epoch_batches
from bonbench.reward_models.training.dealing import Dealer, Dealt
from bonbench.reward_models.training.pairs import Indices, pair_up


def sizes(dealt: Dealt, lengths: Indices) -> Indices:
    """Padded tokens of each micro-batch [workers, micro-batches]."""
    return np.array([[lengths[p.rollouts].max() * len(p.rollouts) for p in pieces] for pieces in dealt.of_workers])


def least_largest(lengths: Indices, most: int) -> int:
    """The smallest largest run, padding included, of all ways to cut the ordered lengths into at most so many runs."""
    ordered = sorted(lengths.tolist())
    cuts = (c for n in range(most) for c in combinations(range(1, len(ordered)), n))
    return min(
        max(ordered[b - 1] * (b - a) for a, b in zip((0, *cut), (*cut, len(ordered)), strict=True)) for cut in cuts
    )


@pytest.mark.parametrize("sharded", [True, False])
def test_each_rollout_counts_once_within_the_limit(sharded: bool) -> None:
    rng = np.random.default_rng(0)
    for n, workers, limit in product((1, 2, 7, 23), (1, 2, 3, 8), (40, 100, 10_000)):
        lengths = rng.integers(10, 60, size=n)
        dealt = Dealer(workers, limit, paired=True, sharded=sharded).deal(lengths)
        assert len(dealt.of_workers) == workers
        assert len({len(pieces) for pieces in dealt.of_workers}) == 1
        pieces = [piece for of_worker in dealt.of_workers for piece in of_worker]
        assert Counter(i for p in pieces if p.counts for i in p.rollouts.tolist()) == Counter(range(n))
        assert all(len(p.rollouts) == 1 for p in pieces if not p.counts)
        assert sizes(dealt, lengths).max() <= max(limit, lengths.max())
        held = sizes(dealt, lengths)[:, -dealt.held :].sum(axis=1).max()
        assert dealt.held >= 1 and (held <= limit or dealt.held == 1)
        assert not (sharded and dealt.held > 1)


def test_no_other_runs_are_more_even() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        lengths = rng.integers(1, 30, size=9)
        for workers in (1, 2, 3):
            dealt = Dealer(workers, 60, sharded=True).deal(lengths)
            rounds = len(dealt.of_workers[0])
            limit = max(60, lengths.max())
            assert sizes(dealt, lengths).max() == least_largest(lengths, workers * rounds) <= limit
            assert rounds == 1 or least_largest(lengths, workers * (rounds - 1)) > limit


def test_what_is_read_is_the_same_for_any_number_of_workers_and_about_even() -> None:
    """Pairs of problems of which most are easy or hard, some responses four times as long as the others."""
    rng = np.random.default_rng(0)
    n = 600
    right = rng.random((n, 8)) < rng.beta(0.9, 0.7, size=n)[:, None]
    lengths = np.clip(np.exp(rng.normal(np.log(500), 0.4, size=8 * n)), 50, 2048).astype(np.int64)
    lengths[rng.random(8 * n) < 0.02] = 2048
    problems = np.repeat(np.arange(n), 8)
    pairs = pair_up(problems.tolist(), right.ravel().tolist(), "all", 0)
    batches = epoch_batches(pairs, problems[pairs[:, 0]], lengths, 64, rng)
    once = sum(lengths[np.unique(pairs[batch])].sum() for batch in batches)
    ways = ((1, 16384, 1.25), (2, 16384, 1.15), (8, 16384, 1.15), (8, 4096, 1.2), (16, 16384, 1.3))
    for workers, limit, most in ways:
        read, time = 0, 0.0
        for batch in batches:
            members = np.unique(pairs[batch])
            dealt = Dealer(workers, limit, paired=True).deal(lengths[members])
            pieces = [piece for of_worker in dealt.of_workers for piece in of_worker if piece.counts]
            read += sum(lengths[members][piece.rollouts].sum() for piece in pieces)
            waited = sizes(dealt, lengths[members]).max(axis=0)
            time += waited.sum() + waited[: -dealt.held].sum() / 3
        assert read == once
        assert time * workers / once < most, (workers, limit)
