"""RM-Bench, its domain math: is a right response preferred whatever its style? (Liu et al. 2024, arXiv:2410.16184)

A prompt has three right and three wrong responses: concise, detailed, and detailed with markdown. Each right one is
compared with each wrong one, and wins where its score is higher; equal scores are a loss. Entry (i, j) of the matrix is
how often the right response in style i beats the wrong one in style j. Hard is the mean above the diagonal (the wrong
one has the fancier style), normal that of the diagonal, easy that below it; their mean is the average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from harness.core.arrays import Floats
from harness.data.lines import Row
from harness.streams.benchmarks.base import Completions, Judged, Numbers, OfCompletions, Settings, text_of, texts_of

STYLES = ("concise", "detailed", "markdown")


class RMBench(OfCompletions[Completions]):
    """Lines are ``domain``, ``prompt``, ``chosen``, ``rejected``; other domains are passed over."""

    name = "rm-bench"
    title = "right above wrong, whatever the style"
    paper = "arXiv:2410.16184"
    headlines = ("average", "hard")

    def item(self, row: Row) -> Completions | None:
        """A prompt with its completions, one in each of :data:`STYLES`; None in another domain.

        Raises:
            ValueError: for a line that is none of the benchmark's, and says why.
        """
        if text_of(row, "domain").lower() != "math":
            return None
        chosen, rejected = texts_of(row, "chosen"), texts_of(row, "rejected")
        if not len(chosen) == len(rejected) == len(STYLES):
            raise ValueError(f"{len(chosen)} chosen and {len(rejected)} rejected: {len(STYLES)} of each are expected")
        return Completions(text_of(row, "prompt"), chosen, rejected)

    def numbers(self, sets: Mapping[str, Sequence[Judged[Completions]]], settings: Settings) -> Numbers:
        judged = list(chain.from_iterable(sets.values()))
        ranks = np.array([[answer.rank for answer in one.answers] for one in judged])
        matrix = accuracies(ranks[:, : len(STYLES)], ranks[:, len(STYLES) :])
        values = difficulties(matrix)
        rows: list[tuple[str, int, Sequence[float | None]]] = [
            (f"right: {style}", len(judged), list(row)) for style, row in zip(STYLES, matrix.tolist(), strict=True)
        ]
        named = zip(STYLES, matrix.tolist(), strict=True)
        said = ", ".join(f"{name} {100 * value:.1f}" for name, value in values.items())
        unscored = int((~np.isfinite(ranks)).sum())
        notes = [f"{unscored} responses have no score and lose to every other"] if unscored else []
        each = {f"{own} above {other}": value for own, row in named for other, value in zip(STYLES, row, strict=True)}
        columns = ["", "prompts", *(f"wrong: {style}" for style in STYLES)]
        return Numbers({**values, **each}, columns, rows, [*notes, said])


def accuracies(chosen: Floats, rejected: Floats) -> Floats:
    """How often the right response in style i scores above the wrong one in style j: float [3, 3], from scores that are
    float [prompts, 3] each."""
    wins: Floats = (chosen[:, :, None] > rejected[:, None, :]).mean(axis=0)
    return wins


def difficulties(matrix: Floats) -> dict[str, float]:
    """The three difficulties and their mean, from the matrix, float [3, 3]."""
    above, below = np.triu_indices(len(matrix), 1), np.tril_indices(len(matrix), -1)
    three = {
        "easy": float(matrix[below].mean()),
        "normal": float(np.diag(matrix).mean()),
        "hard": float(matrix[above].mean()),
    }
    return {"average": float(np.mean(list(three.values()))), **three}
