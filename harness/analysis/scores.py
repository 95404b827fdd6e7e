"""The scores of a run: stored step rewards, aggregated.

A reward model that gave numbers which nothing can be computed with is left out, with the reason.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from harness.analysis.lowest_step import LowestStep, LowestSteps
from harness.analysis.selection import response_scores
from harness.core.aggregation import cannot_be
from harness.core.arrays import Bools, Floats, Ints
from harness.core.records import StepScores
from harness.core.stages import StageKind
from harness.storage.results import Results
from harness.storage.sharded_rows import ShardedRows

#: In a block of problems there are so many responses at most: a few MiB for each array of numbers about them.
RESPONSES = 1 << 18
_COLUMNS = ["problem_id", "sample", "step_rewards"]
_PERCENTILES = np.arange(1, 100) / 100


@dataclass(frozen=True)
class Scores:
    """A reward model's scores of a generator's samples, 0 where one is missing and -inf where the response was left
    unscored; and the problems that have all of them."""

    values: Floats  # [P, N]
    complete: Bools  # [P]


def failed_models(results: Results) -> dict[str, str]:
    """The reward models whose scoring, or a token pass of theirs, failed as a whole, with the error.

    Some of their scores may be stored. A row made of these would be about other problems than the rows beside it.
    """
    failed: dict[str, str] = {}
    for entry in results.manifest.quarantined:
        if entry.problem_ids:
            continue
        for name, facts in results.manifest.reward_models.items():
            is_own = entry.stage == StageKind.SCORE and entry.who == name
            if is_own or (entry.stage == StageKind.TOKEN_PASS and entry.who in facts.token_passes.values()):
                failed.setdefault(name, entry.error)
    return failed


def without_scores(results: Results) -> dict[str, str]:
    """The reward models for whose step rewards none of the aggregations that were asked for has a meaning, with why."""
    shown = {name for name, _ in results.variants()}
    asked = results.manifest.evaluation.aggregation
    why: dict[str, str] = {}
    for name, facts in results.manifest.reward_models.items():
        reasons = [cannot_be(aggregation, facts.score_type) for aggregation in asked or [facts.aggregation]]
        if name not in shown:
            why[name] = "; ".join(filter(None, reasons))
    return why


class ScoreBlocks:
    """The stored scores of a generator's responses by some reward models, for one block of problems after the other.

    All step rewards are gone through at once, one reward model in memory at a time, for what says something about the
    whole; then they are read again block by block. All problems may be one block: what was read is kept then.

    Attributes:
        blocks: of problems.
        variants: the (reward model, aggregation) that have scores.
        percentiles: reward model → the 1st to 99th percentile of its step rewards, float [99].
        lowest: reward model → where in a response its lowest step reward lies; for those with steps.
        refused: reward model → why it has no scores here.

    Args:
        n_samples: N, the responses to a problem.
        unanswered: the problems with nothing to score, bool [P].
    """

    def __init__(
        self,
        results: Results,
        generator: str,
        n_samples: int,
        unanswered: Bools,
        reward_models: Collection[str],
    ) -> None:
        self._results, self._generator = results, generator
        self._n_samples, self._unanswered = n_samples, unanswered
        n_problems, size = len(unanswered), max(RESPONSES // n_samples, 1)
        self.blocks = [slice(first, min(first + size, n_problems)) for first in range(0, n_problems, size)]
        self.percentiles: dict[str, Floats] = {}
        self.lowest: dict[str, LowestStep] = {}
        self.refused: dict[str, str] = {}
        self._aggregations: dict[str, list[str]] = {}
        self._kept: dict[str, Mapping[str, Scores]] = {}
        by_model: dict[str, list[str]] = {}
        for name, aggregation in results.variants():
            if name in reward_models:
                by_model.setdefault(name, []).append(aggregation)
        for name, aggregations in by_model.items():
            self._survey(name, aggregations)

    @property
    def variants(self) -> list[tuple[str, str]]:
        return [(name, aggregation) for name, of_model in self._aggregations.items() for aggregation in of_model]

    def scores(self, block: slice) -> dict[tuple[str, str], Scores]:
        """All scores of a block: (reward model, aggregation) → scores."""
        return {
            (name, aggregation): own
            for name in self._aggregations
            for aggregation, own in self.of_model(name, block).items()
        }

    def of_model(self, name: str, block: slice) -> Mapping[str, Scores]:
        """A reward model's scores of a block, by aggregation."""
        if name in self._kept:
            return self._kept[name]
        shape = (block.stop - block.start, self._n_samples)
        aggregations = self._aggregations[name]
        scored = np.zeros(shape, dtype=bool)
        matrices = {aggregation: np.zeros(shape) for aggregation in aggregations}
        rows = self._rows(name)
        for table in rows.within(block.start, block.stop):
            places, columns = rows.index.numbers(table) - block.start, table.column("sample").to_numpy()
            keep = (places >= 0) & (places < shape[0]) & (columns < shape[1])
            at = places[keep], columns[keep]
            scored[at] = True
            for aggregation, of in self._aggregated(name, *_step_rewards(table), aggregations).items():
                matrices[aggregation][at] = of[keep]
        scored[self._unanswered[block]] = True  # there is nothing to score, and nothing to choose from
        complete = np.asarray(scored.all(axis=1))
        found = {aggregation: Scores(matrix, complete) for aggregation, matrix in matrices.items()}
        if len(self.blocks) == 1:
            self._kept[name] = found
        return found

    def _survey(self, name: str, aggregations: list[str]) -> None:
        """Go through all of a reward model's step rewards once."""
        flat_of_all, places, longest, n_rows = array("d"), LowestSteps(), 0, 0
        beyond: dict[str, str] = {}
        for table in self._rows(name):
            flat, lengths = _step_rewards(table)
            if (bad := _first_not_finite(flat)) is not None:
                row = int(np.searchsorted(np.cumsum(lengths), bad, side="right"))
                self.refused[name] = f"{_response(table, row, self._generator)} has a step reward of {flat[bad]}"
                return
            for aggregation, of in self._aggregated(name, flat, lengths, aggregations).items():
                if (bad := _first_not_finite(of[lengths > 0])) is not None:
                    row = int(np.flatnonzero(lengths > 0)[bad])
                    of_response = f"of {_response(table, row, self._generator)}"
                    beyond.setdefault(aggregation, f"the {aggregation} of the step rewards {of_response} is {of[row]}")
            flat_of_all.frombytes(flat.tobytes())
            places.add(flat, lengths)
            longest, n_rows = max(longest, int(lengths.max(initial=0))), n_rows + len(table)
        if not n_rows:
            return
        if longest == 1:
            aggregations = aggregations[:1]  # a single reward is the score, however it is aggregated
        if said := [beyond[aggregation] for aggregation in aggregations if aggregation in beyond]:
            self.refused[name] = said[-1]
            return
        self._aggregations[name] = aggregations
        if lowest := places.found():
            self.lowest[name] = lowest
        if flat_of_all:
            # Halved, as the difference of two finite numbers may be beyond the range of floats. All in place: this is
            # the largest array of a report.
            halved = np.frombuffer(flat_of_all)
            halved /= 2
            self.percentiles[name] = 2 * np.quantile(halved, _PERCENTILES, overwrite_input=True)

    def _rows(self, name: str) -> ShardedRows:
        return self._results.rows(StepScores, StageKind.SCORE.folder, name, self._generator, columns=_COLUMNS)

    def _aggregated(self, name: str, flat: Floats, lengths: Ints, aggregations: Sequence[str]) -> Mapping[str, Floats]:
        score_type = self._results.manifest.reward_models[name].score_type
        with np.errstate(over="ignore"):
            return {
                aggregation: response_scores(flat, lengths, aggregation, score_type) for aggregation in aggregations
            }


def _step_rewards(table: pa.Table) -> tuple[Floats, Ints]:
    """The step rewards of all responses, one after the other, and the number of steps of each."""
    rewards = table.column("step_rewards").combine_chunks()
    lengths = rewards.value_lengths().to_numpy(zero_copy_only=False)
    return rewards.flatten().to_numpy(zero_copy_only=False), lengths


def _response(table: pa.Table, row: int, generator: str) -> str:
    response = table.slice(row, 1).to_pylist()[0]
    return f"sample {response['sample']} of problem {response['problem_id']!r} by {generator}"


def _first_not_finite(values: Floats) -> int | None:
    bad = np.flatnonzero(~np.isfinite(values))
    return int(bad[0]) if len(bad) else None
