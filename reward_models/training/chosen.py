"""Which rollouts of a shard are trained on, and what is kept of them: their tokens, and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.training.by_shards import Arrays, Batch, Work
from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.sequences import flat_arrays
from bonbench.reward_models.training.subsets import near_duplicates
from harness.core.records import GradedSolution

if TYPE_CHECKING:  # they import `transformers`, which the driver of a run does without
    from bonbench.reward_models.text.pieces import Marked
    from bonbench.reward_models.training.encode import Encode

#: Loads what encodes for a training. A function at the top level of a module: workers get it pickled.
Encoder = Callable[[TrainingParams], "Encode"]

#: Makes flat arrays of solutions and their tokens; pickled as well.
Column = Callable[[Sequence[GradedSolution], "Sequence[Marked]"], Mapping[str, npt.NDArray[Any]]]

#: Why a rollout is left out.
LEFT_OUT = (
    "near-duplicate",
    "empty response",
    "longer than max_length",
    "longer than the reference reads",
    "too long to complete",
    "longer than the model reads",
    "refused by the chat template",
    "impossible for the reference",
)


@dataclass(frozen=True, slots=True)
class Chosen(Work):
    """Of each batch the wanted share of problems and responses, encoded, without what cannot or should not be trained
    on.

    Makes :func:`reward_models.training.sequences.flat_arrays` and ``columns``; of each rollout that is trained on its
    number among all (``rows``), the number of its ``problem``, whether it is ``correct``; of each that is left out the
    reason, as a number.

    Attributes:
        numbers: the problems to learn from, by their ids.
    """

    encoder: Encoder
    numbers: Mapping[str, int]
    columns: tuple[Column, ...]

    def begin(self) -> Callable[[int], Arrays]:
        from bonbench.reward_models.text.positions import positions

        encode, limit = self.encoder(self.params), positions(self.params.base)

        def make(number: int) -> Arrays:
            left_out, used = self._used(number)
            rows, items, tokens = [], [], []
            for (row, item), encoded in zip(used, encode([item.solution for _, item in used]), strict=True):
                reason = _unfit(item, encoded, self.params.max_length, limit)
                if reason is not None:
                    left_out.append(LEFT_OUT.index(reason))
                    continue
                rows.append(row)
                items.append(item)
                tokens.append(encoded)
            arrays: dict[str, npt.NDArray[Any]] = {
                "left_out": np.array(left_out, dtype=np.int8),
                "rows": np.array(rows, dtype=np.int64),
                "problem": np.array([self.numbers[_problem(item)] for item in items], dtype=np.int64),
                "correct": np.array([item.correct for item in items], dtype=bool),
                **flat_arrays([encoded.ids for encoded in tokens], [encoded.reads for encoded in tokens]),
            }
            for column in self.columns:
                arrays |= column(items, tokens)
            return arrays

        return make

    def _used(self, number: int) -> tuple[list[int], list[tuple[int, GradedSolution]]]:
        """The reasons of what is left out of a batch at once, and the rest: number among all, and solution."""
        batch = self.batches[number]
        used = [(row, item) for row, item in enumerate(batch.load(), batch.start) if self._is_wanted(item)]
        if self.params.dedup is None:
            return [], used
        own = {_problem(item) for _, item in used}
        earlier = [item for before in self.batches[:number] for item in self._of(before, own)]
        compared = [*earlier, *(item for _, item in used)]
        problems, texts = map(_problem, compared), (item.solution.response.text for item in compared)
        repeats = near_duplicates(list(problems), list(texts), self.params.dedup)[len(earlier) :]
        kept = [one for one, repeat in zip(used, repeats, strict=True) if not repeat]
        return [LEFT_OUT.index("near-duplicate")] * sum(repeats), kept

    def _of(self, batch: Batch, problems: set[str]) -> Iterator[GradedSolution]:
        """The wanted solutions to some problems in a batch, which has none as a rule."""
        for shard in batch.shards:
            if not problems.isdisjoint(shard.problem_ids):
                yield from (item for item in shard.load() if _problem(item) in problems and self._is_wanted(item))

    def _is_wanted(self, item: GradedSolution) -> bool:
        return item.solution.response.sample < self.params.responses and _problem(item) in self.numbers


@dataclass(frozen=True, slots=True)
class Again(Work):
    """Work on the rollouts that are trained on, ``rows`` [rollouts] of all."""

    rows: Indices

    def members(self, number: int) -> range:
        """Which of the rollouts that are trained on are in a batch."""
        batch = self.batches[number]
        return range(*np.searchsorted(self.rows, [batch.start, batch.stop]).tolist())

    def load(self, number: int) -> list[GradedSolution]:
        """These rollouts."""
        loaded, start = self.batches[number].load(), self.batches[number].start
        return [loaded[row - start] for row in self.rows[self.members(number)].tolist()]


@dataclass(frozen=True, slots=True)
class Encoded(Again):
    """The same rollouts in another encoding."""

    encoder: Encoder

    def begin(self) -> Callable[[int], Arrays]:
        encode = self.encoder(self.params)

        def make(number: int) -> Arrays:
            tokens = encode([item.solution for item in self.load(number)])
            return flat_arrays([encoded.ids for encoded in tokens], [encoded.reads for encoded in tokens])

        return make


def _problem(item: GradedSolution) -> str:
    return item.solution.problem.problem_id


def _unfit(item: GradedSolution, encoded: Marked, max_length: int, limit: int | None) -> str | None:
    """Why a solution cannot be trained on."""
    if encoded.refused:
        return "refused by the chat template"
    if not encoded.reads:
        return "empty response"
    if len(encoded.ids) > max_length:
        return "longer than max_length"
    if not all(tokens.was_read for tokens in item.solution.logprobs.values()):
        return "longer than the reference reads"
    if not item.solution.was_read:
        return "impossible for the reference"
    if item.steps is not None and any(map(isnan, item.steps)):
        return "too long to complete"
    if limit is not None and len(encoded.ids) > limit:
        return "longer than the model reads"
    return None
