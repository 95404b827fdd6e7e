"""What the responses of each generator look like: how many were cut, how many think, how long they are, their steps."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from harness.analysis.evaluation import Evaluation
from harness.core.steps import step_ends
from harness.core.thoughts import thoughts


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """The responses of a generator.

    ``truncated`` were cut at the limit of tokens; None where nothing says how any response ended. ``with_reasoning``
    have thoughts, and of these ``cut_in_reasoning`` end before any answer. Tokens are those of the responses whose
    tokens are counted, NaN where none is; steps are the usual ones of the whole text (:mod:`harness.core.steps`).
    """

    generator: str
    responses: int
    truncated: int | None
    with_reasoning: int
    cut_in_reasoning: int
    mean_tokens: float
    median_tokens: float
    mean_characters: float
    median_characters: float
    mean_steps: float
    median_steps: float
    max_steps: int


def responses(evaluation: Evaluation) -> list[ResponseRow]:
    """A row for every generator with responses."""
    rows = [_row(evaluation, generator) for generator in evaluation.results.manifest.generators]
    return [row for row in rows if row is not None]


def _row(evaluation: Evaluation, generator: str) -> ResponseRow | None:
    ended = Counter[str | None]()
    tokens, characters, steps = Counter[int](), Counter[int](), Counter[int]()
    thinking = cut = 0
    for table in evaluation.results.responses(generator, ["text", "n_tokens", "finish_reason"]):
        ended.update(table.column("finish_reason").to_pylist())
        tokens.update(n for n in table.column("n_tokens").to_pylist() if n)
        for text in table.column("text").to_pylist():
            found = thoughts(text)
            thinking += found.reasoning is not None or found.is_cut
            cut += found.is_cut
            characters[len(text)] += 1
            steps[len(step_ends(text))] += 1
    if not ended:
        return None
    return ResponseRow(
        generator=generator,
        responses=ended.total(),
        truncated=ended["length"] if any(ended) else None,
        with_reasoning=thinking,
        cut_in_reasoning=cut,
        mean_tokens=_mean(tokens),
        median_tokens=_median(tokens),
        mean_characters=_mean(characters),
        median_characters=_median(characters),
        mean_steps=_mean(steps),
        median_steps=_median(steps),
        max_steps=max(steps),
    )


def _mean(counts: Counter[int]) -> float:
    """The mean of numbers of which so many are there; NaN of none."""
    return sum(number * n for number, n in counts.items()) / counts.total() if counts else math.nan


def _median(counts: Counter[int]) -> float:
    if not counts:
        return math.nan
    numbers = sorted(counts)
    up_to = np.cumsum([counts[number] for number in numbers])
    low, high = np.searchsorted(up_to, [(up_to[-1] - 1) // 2, up_to[-1] // 2], side="right").tolist()
    return float(numbers[low] + numbers[high]) / 2
