"""Token sequences as the tree of their beginnings: whatever several of them begin with is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.core.arrays import Ints


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens ``start`` to ``stop`` of a batch, each the child of the one before it.

    ``path`` has the slots of all tokens from the root to the last of them.
    """

    start: int
    stop: int
    path: Ints


@dataclass(frozen=True, slots=True)
class Batch:
    """Successive nodes of a tree that go through a model together.

    A model that reads them needs the keys and values of their ancestors. Slot k < ``n_kept`` is the ancestor at depth
    k, kept from earlier batches; the batch's own token k is slot ``n_kept + k``. ``keep`` has the slots of the tokens
    that the next batch's first one descends from, in their order.
    """

    ids: Ints
    depths: Ints
    n_kept: int
    segments: list[Segment]
    keep: Ints


@dataclass(frozen=True, slots=True)
class _Branch:
    """Nodes ``first`` to ``last``, each the child of the one before it, and the ``path`` from the root to the last."""

    first: int
    last: int
    path: Ints

    def path_to(self, node: int) -> Ints:
        """The nodes from the root to ``node``, which is one of the branch's, without it."""
        return self.path[: len(self.path) - (self.last - node) - 1]


class PrefixTree:
    """The tree of all beginnings of some non-empty sequences.

    Nodes are numbered depth first, the sequences in lexicographic order: a node's ancestors have lower numbers, and at
    any point of the walk all that is still needed of the nodes before it is one path. ``paths[i]`` are the nodes of
    sequence i, from its first token to its last.
    """

    def __init__(self, sequences: Sequence[list[int]]) -> None:
        self.paths: list[Ints] = [np.zeros(0, dtype=np.int64)] * len(sequences)
        self._branches: list[_Branch] = []
        ids, depths, self.n_nodes = [], [], 0
        before = path = np.zeros(0, dtype=np.int64)
        for i in sorted(range(len(sequences)), key=lambda k: sequences[k]):
            tokens = np.asarray(sequences[i], dtype=np.int64)
            depth = _in_common(before, tokens)
            first, self.n_nodes = self.n_nodes, self.n_nodes + len(tokens) - depth
            path = np.concatenate([path[:depth], np.arange(first, self.n_nodes)])
            if depth < len(tokens):
                self._branches.append(_Branch(first, self.n_nodes - 1, path))
                ids.append(tokens[depth:])
                depths.append(np.arange(depth, len(tokens)))
            self.paths[i], before = path, tokens
        self._ids, self._depths = np.concatenate(ids), np.concatenate(depths)

    def batches(self, max_tokens: int, max_segment: int) -> Iterator[Batch]:
        """All nodes, in their order, at most ``max_tokens`` at a time, in segments of at most ``max_segment``."""
        n_batches = -(-self.n_nodes // max_tokens)
        borders = np.linspace(0, self.n_nodes, n_batches + 1).astype(int).tolist()
        firsts = np.array([branch.first for branch in self._branches])
        for start, stop in pairwise(borders):
            n_kept = int(self._depths[start])
            segments = []
            for branch in self._branches[np.searchsorted(firsts, start, "right") - 1 : np.searchsorted(firsts, stop)]:
                begin, end = max(branch.first, start), min(branch.last + 1, stop)
                cuts = np.linspace(begin, end, -(-(end - begin) // max_segment) + 1).astype(int).tolist()
                for a, b in pairwise(cuts):
                    nodes = np.append(branch.path_to(b - 1), b - 1)
                    segments.append(Segment(a - start, b - start, _slots(nodes, start, n_kept)))
            keep = np.zeros(0, dtype=np.int64)
            if stop < self.n_nodes:
                branch = self._branches[np.searchsorted(firsts, stop, "right") - 1]
                keep = _slots(branch.path_to(stop), start, n_kept)
            yield Batch(self._ids[start:stop], self._depths[start:stop], n_kept, segments, keep)


def _in_common(a: Ints, b: Ints) -> int:
    """How many tokens two sequences begin with in common."""
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


def _slots(path: Ints, start: int, n_kept: int) -> Ints:
    """Slots of the nodes of a path from the root, in a batch whose first node is ``start``."""
    # What lies before the batch is the beginning of the path that was kept: a node's depth there is its slot.
    return np.where(path < start, np.arange(len(path)), path - start + n_kept)
