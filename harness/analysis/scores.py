"""The scores of a run: stored step rewards, aggregated.

A reward model that gave numbers which nothing can be computed with is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.analysis.lowest_step import LowestStep, lowest_step
from harness.analysis.selection import response_scores
from harness.core.aggregation import cannot_be
from harness.core.arrays import Bools, Floats, Ints
from harness.core.stages import StageKind
from harness.storage.results import Results

_PERCENTILES = np.arange(1, 100) / 100


@dataclass(frozen=True)
class Scores:
    """A reward model's scores of a generator's samples, 0 where one is missing and -inf where the response was left
    unscored; and the problems that have all of them."""

    values: Floats  # [P, N]
    complete: Bools  # [P]


@dataclass
class Read:
    """What is derived from the stored step rewards of a generator's responses, which are read once.

    ``scores``: (reward model, aggregation) → the scores. ``percentiles``: reward model → the 1st to 99th percentile of
    its step rewards, float [99]. ``lowest``: reward model → where the lowest ones lie. ``refused``: reward model → why
    it has no scores here.
    """

    scores: dict[tuple[str, str], Scores] = field(default_factory=dict)
    percentiles: dict[str, Floats] = field(default_factory=dict)
    lowest: dict[str, LowestStep] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


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


def stored_scores(
    results: Results,
    generator: str,
    problem_ids: Sequence[str],
    n_samples: int,
    unanswered: Bools,
    reward_models: Collection[str],
) -> Read:
    """What is derived from the stored step rewards of some reward models, which are read once.

    Args:
        n_samples: N, the responses to a problem.
        unanswered: the problems with nothing to score, bool [P].
    """
    read = Read()
    by_model: dict[str, list[str]] = {}
    for name, aggregation in results.variants():
        if name in reward_models:
            by_model.setdefault(name, []).append(aggregation)
    for name, aggregations in by_model.items():
        table = results.scores(name, generator)
        if not table.num_rows:
            continue
        rewards = table.column("step_rewards").combine_chunks()
        flat = rewards.flatten().to_numpy(zero_copy_only=False)
        lengths = rewards.value_lengths().to_numpy(zero_copy_only=False)
        ids, columns = table.column("problem_id").to_pandas(), table.column("sample").to_numpy()
        if (bad := _first_not_finite(flat)) is not None:
            row = int(np.searchsorted(np.cumsum(lengths), bad, side="right"))
            read.refused[name] = f"{_response(table, row, generator)} has a step reward of {flat[bad]}"
            continue
        rows = pd.Index(problem_ids).get_indexer(pd.Index(ids))
        keep = (rows >= 0) & (columns < n_samples)
        scored = np.zeros((len(problem_ids), n_samples), dtype=bool)
        scored[rows[keep], columns[keep]] = True
        scored[unanswered] = True  # there is nothing to score, and nothing to choose from
        if lengths.max() == 1:
            aggregations = aggregations[:1]  # a single reward is the score, however it is aggregated
        values = _aggregated(results, name, flat, lengths, aggregations)
        for aggregation, of in values.items():
            if (bad := _first_not_finite(of[lengths > 0])) is not None:
                row = int(np.flatnonzero(lengths > 0)[bad])
                of_response = f"of {_response(table, row, generator)}"
                read.refused[name] = f"the {aggregation} of the step rewards {of_response} is {of[row]}"
        if name in read.refused:
            continue
        if steps := lowest_step(flat, lengths):
            read.lowest[name] = steps
        if len(flat):
            # Halved, as the difference of two finite numbers may be beyond the range of floats.
            read.percentiles[name] = 2 * np.quantile(flat / 2, _PERCENTILES)
        for aggregation, of in values.items():
            matrix = np.zeros(scored.shape)
            matrix[rows[keep], columns[keep]] = of[keep]
            read.scores[name, aggregation] = Scores(matrix, np.asarray(scored.all(axis=1)))
    return read


def _aggregated(
    results: Results, name: str, flat: Floats, lengths: Ints, aggregations: Sequence[str]
) -> Mapping[str, Floats]:
    score_type = results.manifest.reward_models[name].score_type
    with np.errstate(over="ignore"):
        return {aggregation: response_scores(flat, lengths, aggregation, score_type) for aggregation in aggregations}


def _response(table: pa.Table, row: int, generator: str) -> str:
    response = table.slice(row, 1).to_pylist()[0]
    return f"sample {response['sample']} of problem {response['problem_id']!r} by {generator}"


def _first_not_finite(values: Floats) -> int | None:
    bad = np.flatnonzero(~np.isfinite(values))
    return int(bad[0]) if len(bad) else None
