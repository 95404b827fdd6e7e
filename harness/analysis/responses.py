"""What the responses of each generator look like: how many were cut, how many think, how long they are, their steps."""

from __future__ import annotations

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
    ended: list[str] = []
    tokens: list[int] = []
    characters: list[int] = []
    steps: list[int] = []
    thinking = cut = 0
    for table in evaluation.results.responses(generator, ["text", "n_tokens", "finish_reason"]):
        ended += table.column("finish_reason").to_pylist()
        tokens += [n for n in table.column("n_tokens").to_pylist() if n]
        for text in table.column("text").to_pylist():
            found = thoughts(text)
            thinking += found.reasoning is not None or found.is_cut
            cut += found.is_cut
            characters.append(len(text))
            steps.append(len(step_ends(text)))
    if not ended:
        return None
    return ResponseRow(
        generator=generator,
        responses=len(ended),
        truncated=ended.count("length") if any(ended) else None,
        with_reasoning=thinking,
        cut_in_reasoning=cut,
        mean_tokens=float(np.mean(tokens)) if tokens else float("nan"),
        median_tokens=float(np.median(tokens)) if tokens else float("nan"),
        mean_characters=float(np.mean(characters)),
        median_characters=float(np.median(characters)),
        mean_steps=float(np.mean(steps)),
        median_steps=float(np.median(steps)),
        max_steps=max(steps),
    )
