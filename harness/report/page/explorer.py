"""The explorer's data: every problem, the responses to it with their step rewards, and who chose which of them.

A page holds ``EXPLORER_BYTES`` of it at most; the formulas come on top (``mathematics``). Where all responses do not
fit, the page has the first K to each problem, K as large as fits, and besides them every response that a reward model
or the majority chose. Where that does not fit either, the page has the first problems only. What it says about
choices, votes and accuracy always rests on all responses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.analysis.choosers import Chooser
from harness.analysis.evaluation import Evaluation
from harness.report.page.blocks import encode_block, rounded
from harness.report.page.packing import LONGEST_ANSWER, LONGEST_TEXT, Cut, largest_cut, pack, shortened
from harness.report.page.problem import ExploredProblem, explored_problems
from harness.storage.results import Results

EXPLORER_BYTES = 23_000_000  # with its mathematics, and the tables and figures of a large run, a page stays under 30 MB


@dataclass(frozen=True)
class Explorer:
    """``index`` is what the list of problems needs; ``blocks``, in base64 under their element ids, what one problem's
    responses need. ``left_out`` says what did not fit, empty where all did."""

    index: dict[str, Any]
    blocks: dict[str, str]
    left_out: str


class PackedProblem(NamedTuple):
    """A problem with the responses of one generator, as the page has it.

    ``outcomes`` has a character for the majority, then one per chooser: 1 and 0 for a right and a wrong choice, ~ where
    right and wrong responses tie, - where there is nothing to choose from. ``right`` of ``n`` responses are right.
    ``block`` is empty where there are none.
    """

    block: str
    outcomes: str
    right: int
    n: int


def collect(evaluation: Evaluation, start: Chooser | None, limit: int = EXPLORER_BYTES) -> Explorer:
    """The explorer of a run, with the reward model of ``start`` selected at first."""
    results, choosers = evaluation.results, list(evaluation.choosers)
    generators, models = list(results.manifest.generators), list(evaluation.first_choosers)
    whole = cut = Cut(evaluation.accuracies.n_samples, len(results.problems))
    list_bytes = len(encode_block(_problems(results, whole.problems)))
    packed = _packed(evaluation, whole, limit - list_bytes)
    if len(packed) < whole.problems:
        problems = ([p for p in row if p is not None] for row in _explored(evaluation, whole.problems))
        cut = largest_cut(problems, whole, limit, -(-list_bytes // whole.problems))
        packed = _packed(evaluation, cut)
    by_generator = list(zip(*packed, strict=True))
    outcomes = [
        ["".join(marks) for marks in zip(*(p.outcomes for p in column), strict=True)] for column in by_generator
    ]
    index = {
        "generators": generators,
        "models": models,
        "choosers": [
            {
                "label": evaluation.choosers[chooser],
                "model": models.index(chooser.reward_model),
                "aggregation": chooser.aggregation,
                "outcomes": [of_generator[1 + i] for of_generator in outcomes],
            }
            for i, chooser in enumerate(choosers)
        ],
        "start": choosers.index(start) if start in choosers else 0,
        "majority": [of_generator[0] for of_generator in outcomes],
        "right": [[problem.right for problem in column] for column in by_generator],
        "n": [[problem.n for problem in column] for column in by_generator],
        "problems": _problems(results, cut.problems),
        "percentiles": [[_percentiles(evaluation, model, generator) for model in models] for generator in generators],
    }
    blocks = {
        f"block-{place}-{row}": problem.block
        for place, column in enumerate(by_generator)
        for row, problem in enumerate(column)
        if problem.block
    }
    return Explorer(index, blocks, _left_out(cut, whole))


def _explored(evaluation: Evaluation, n: int) -> Iterator[tuple[ExploredProblem | None, ...]]:
    """The first ``n`` problems, each as all generators answered it."""
    generators = evaluation.results.manifest.generators
    return zip(*(explored_problems(evaluation, generator, n) for generator in generators), strict=True)


def _packed(evaluation: Evaluation, cut: Cut, limit: float = float("inf")) -> list[list[PackedProblem]]:
    """The problems of a cut, each as all generators answered it; those before ``limit`` bytes are exceeded."""
    packed: list[list[PackedProblem]] = []
    size = 0
    for of_generators in _explored(evaluation, cut.problems):
        row = [_pack(problem, cut.samples, len(evaluation.choosers)) for problem in of_generators]
        size += sum(len(problem.block) for problem in row)
        if size > limit:
            break
        packed.append(row)
    return packed


def _pack(problem: ExploredProblem | None, first: int, n_choosers: int) -> PackedProblem:
    if problem is None:
        return PackedProblem("", "-" * (1 + n_choosers), 0, 0)
    chosen = (choice.accuracy if choice else None for choice in problem.choices.values())
    outcomes = "".join(_mark(accuracy) for accuracy in (problem.majority, *chosen))
    return PackedProblem(pack(problem, problem.rows_shown(first)), outcomes, problem.n_right, len(problem.samples))


def _mark(accuracy: float | None) -> str:
    if accuracy is None:
        return "-"
    return {0.0: "0", 1.0: "1"}.get(round(accuracy, 9), "~")


def _problems(results: Results, n: int) -> dict[str, list[Any]]:
    rows = results.problems.head(n).to_dict("records")
    return {
        "id": [r["problem_id"] for r in rows],
        "text": [shortened(r["problem"], LONGEST_TEXT) for r in rows],
        "gold": [shortened(r["answer"], LONGEST_ANSWER) for r in rows],
        "subject": [r["subject"] for r in rows],
        "level": [None if r["level"] is None or np.isnan(r["level"]) else int(r["level"]) for r in rows],
    }


def _percentiles(evaluation: Evaluation, model: str, generator: str) -> list[float]:
    """The 1st to 99th percentile of all step rewards: what tints are ranked by; none where there are no rewards."""
    percentiles = evaluation.accuracies.percentiles.get((model, generator))
    return [] if percentiles is None else rounded(percentiles, 3).tolist()


def _left_out(cut: Cut, whole: Cut) -> str:
    lines = []
    if cut.samples < whole.samples:
        first = f"the first {cut.samples} of {whole.samples} responses to a problem, and those"
        subject = first if cut.samples else "only the responses"
        lines.append(f"To stay small, this page shows {subject} that a reward model or the majority chose.")
    if cut.problems < whole.problems:
        lines.append(f"It shows the first {cut.problems:,} of {whole.problems:,} problems.")
    if lines:
        lines.append("Choices, votes and accuracies rest on all of them.")
    return " ".join(lines)
