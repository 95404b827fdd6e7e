"""Token sequences as flat arrays, and their padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.training.by_shards import Arrays, mapped, path_of, starts
from bonbench.reward_models.training.pairs import Indices


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequence i has the tokens ``ids[starts[i]:starts[i + 1]]``.

    It is read at its tokens ``reads[read_starts[i]:read_starts[i + 1]]``: what the model makes of its hidden states
    there is what the training is about.

    Where the tokens lie in a file, they stay there: a pickle has the file's path.
    """

    ids: npt.NDArray[np.int32]
    starts: Indices
    reads: npt.NDArray[np.int32]
    read_starts: Indices

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], reads: Sequence[Sequence[int]]) -> Sequences:
        return cls(*_flat(ids), *_flat(reads))

    @classmethod
    def in_arrays(cls, arrays: Arrays) -> Sequences:
        """The sequences that :func:`flat_arrays` wrote."""
        return cls(arrays["ids"], starts(arrays["lengths"]), arrays["reads"], starts(arrays["n_reads"]))

    def __reduce__(self) -> tuple[Any, ...]:
        return _sequences, (_in_place(self.ids), self.starts, _in_place(self.reads), self.read_starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Indices:
        """Tokens of each sequence."""
        return np.diff(self.starts)

    @property
    def n_reads(self) -> Indices:
        return np.diff(self.read_starts)

    def positions(self) -> Indices:
        """l (l + 1) / 2 for each sequence of length l: what causal attention costs it."""
        return self.lengths * (self.lengths + 1) // 2

    def batch(self, members: Indices) -> dict[str, npt.NDArray[np.int64]]:
        """``input_ids`` [rows, tokens] of some sequences, padded on the right, and the ``rows`` [reads] and
        ``columns`` [reads] at which they are read, row by row.

        Under a causal mask no real token sees the padding.
        """
        lengths = self.lengths[members]
        ids = np.zeros((len(members), lengths.max()), dtype=np.int64)
        for row, (member, length) in enumerate(zip(members, lengths, strict=True)):
            ids[row, :length] = self.ids[self.starts[member] : self.starts[member] + length]
        rows = np.repeat(np.arange(len(members)), self.n_reads[members])
        return {"input_ids": ids, "rows": rows, "columns": self.reads[self.reads_of(members)].astype(np.int64)}

    def reads_of(self, members: Indices) -> Indices:
        """Indices into ``reads`` of some sequences, in their order."""
        return np.concatenate([np.arange(self.read_starts[m], self.read_starts[m + 1]) for m in members])


def flat_arrays(ids: Sequence[Sequence[int]], reads: Sequence[Sequence[int]]) -> Arrays:
    """Some sequences as arrays that may be joined to those of others."""
    (flat, ends), (flat_reads, read_ends) = _flat(ids), _flat(reads)
    return {"ids": flat, "lengths": np.diff(ends), "reads": flat_reads, "n_reads": np.diff(read_ends)}


def _flat(rows: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int32], Indices]:
    sizes = [len(row) for row in rows]
    values = np.fromiter((value for row in rows for value in row), dtype=np.int32, count=sum(sizes))
    return values, starts(np.array(sizes, dtype=np.int64))


def _in_place(array: npt.NDArray[np.int32]) -> npt.NDArray[np.int32] | Path:
    return path_of(array) or array


def _sequences(
    ids: npt.NDArray[np.int32] | Path, starts: Indices, reads: npt.NDArray[np.int32] | Path, read_starts: Indices
) -> Sequences:
    tokens, read = (mapped(array) if isinstance(array, Path) else array for array in (ids, reads))
    return Sequences(tokens, starts, read, read_starts)
