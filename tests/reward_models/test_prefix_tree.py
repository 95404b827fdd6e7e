"""The tree of beginnings against the set of them, and its walk against every token's own ancestors."""

from __future__ import annotations

import numpy as np
import pytest

from bonbench.reward_models.lm.prefix_tree import PrefixTree


def some_sequences(seed: int) -> list[list[int]]:
    """Sequences over few tokens, so that many begin alike, some are equal and some a beginning of others."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 2, size=n).tolist() for n in rng.integers(1, 12, size=20)]


@pytest.mark.parametrize("seed", range(3))
def test_nodes_are_the_distinct_beginnings(seed: int) -> None:
    sequences = some_sequences(seed)
    tree = PrefixTree(sequences)
    nodes: dict[tuple[int, ...], int] = {}
    for sequence, path in zip(sequences, tree.paths, strict=True):
        assert len(path) == len(sequence)
        for n, node in enumerate(path.tolist(), start=1):
            assert nodes.setdefault(tuple(sequence[:n]), node) == node
    assert sorted(nodes.values()) == list(range(tree.n_nodes))


@pytest.mark.parametrize(("max_tokens", "max_segment"), [(1, 1), (3, 2), (7, 100), (1000, 3), (1000, 1000)])
def test_every_token_finds_its_ancestors(max_tokens: int, max_segment: int) -> None:
    """What a model would keep and gather, with beginnings of sequences in the place of keys and values."""
    sequences = some_sequences(7)
    tree = PrefixTree(sequences)
    read: list[tuple[int, ...]] = []
    kept: list[tuple[int, ...]] = []
    for batch in tree.batches(max_tokens, max_segment):
        assert 0 < len(batch.ids) <= max_tokens
        assert batch.n_kept == len(kept)
        slots, covered = [*kept, *[()] * len(batch.ids)], 0
        for segment in batch.segments:
            assert segment.start == covered
            assert 0 < segment.stop - segment.start <= max_segment
            covered = segment.stop
            own = len(segment.path) - (segment.stop - segment.start)
            assert segment.path[own:].tolist() == list(range(len(kept) + segment.start, len(kept) + segment.stop))
            beginning = slots[segment.path[own - 1]] if own else ()
            assert [slots[slot] for slot in segment.path[:own]] == [beginning[: n + 1] for n in range(own)]
            for token in range(segment.start, segment.stop):
                assert batch.depths[token] == len(beginning)
                beginning = (*beginning, int(batch.ids[token]))
                slots[len(kept) + token] = beginning
        assert covered == len(batch.ids)
        read += slots[len(kept) :]
        kept = [slots[slot] for slot in batch.keep]
    assert [[read[node] for node in path] for path in tree.paths] == [
        [tuple(sequence[: n + 1]) for n in range(len(sequence))] for sequence in sequences
    ]
