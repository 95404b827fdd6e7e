"""Rollouts in shards are a sequence like any other."""

from __future__ import annotations

import pickle

import pytest

from harness.core.records import GradedSolution, Problem, Response, Solution
from harness.core.rollouts import InMemory, RolloutShards, shards_of

ROLLOUTS = [
    GradedSolution(Solution(Problem(f"p{p}", "1 + 1", "2"), Response(f"p{p}", "g", i, "2")), bool(i))
    for p, n in enumerate([2, 1, 3])
    for i in range(n)
]


def test_a_sequence() -> None:
    shards = RolloutShards([InMemory(ROLLOUTS[:2]), InMemory([]), InMemory(ROLLOUTS[2:])])
    for rollouts in (shards, pickle.loads(pickle.dumps(shards))):
        assert (len(rollouts), list(rollouts)) == (6, ROLLOUTS)
        assert [rollouts[i] for i in (5, 0, 1, 2, -1, -6)] == [ROLLOUTS[i] for i in (5, 0, 1, 2, -1, -6)]
        assert rollouts[1:5:2] == ROLLOUTS[1:5:2]
        for outside in (6, -7):
            with pytest.raises(IndexError):
                rollouts[outside]
    assert shards_of(shards) == shards.shards
    assert len(RolloutShards([])) == 0


def test_shards_of_a_list() -> None:
    shards = shards_of(ROLLOUTS)
    assert [shard.problem_ids for shard in shards] == [["p0"], ["p1"], ["p2"]]
    assert [rollout for shard in shards for rollout in shard.load()] == ROLLOUTS
