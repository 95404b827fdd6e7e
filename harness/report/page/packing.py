"""How a problem becomes a block of the page, and how much of a run fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from harness.core.arrays import Floats
from harness.report.page.blocks import encode_block, rounded
from harness.report.page.problem import ExploredProblem

LONGEST_TEXT = 20_000  # characters shown of a problem or response
LONGEST_ANSWER = 300


class Cut(NamedTuple):
    """The first ``samples`` responses, and the chosen ones, to the first ``problems`` problems."""

    samples: int
    problems: int


def pack(problem: ExploredProblem, shown: Sequence[int]) -> str:
    """The block of a problem for the page. It shows the responses in the rows ``shown``.

    Counts and choices are computed from all responses, shown or not.
    """
    samples = [problem.samples[row] for row in shown]
    ends, models = _distinct_ends(problem, shown)
    return encode_block(
        {
            "n": len(problem.samples),
            "nRight": problem.n_right,
            "samples": [sample.number for sample in samples],
            "texts": [shortened(sample.text, LONGEST_TEXT) for sample in samples],
            "extracted": [shortened(sample.extracted, LONGEST_ANSWER) for sample in samples],
            "correct": "".join("01"[sample.correct] for sample in samples),
            "reasons": [sample.reason for sample in samples],
            "classes": [sample.answer_class for sample in samples],
            "answers": [
                {"class": a.answer_class, "votes": a.votes, "right": a.right, "text": shortened(a.text, LONGEST_ANSWER)}
                for a in problem.answers
            ],
            "elected": problem.elected,
            "ends": ends,
            "models": models,
            "choosers": [
                {
                    # The page has all step rewards, so it finds the lowest and the last one without the scores.
                    "scores": None
                    if choice is None or chooser.aggregation in ("min", "last")
                    else _short_scores(choice.scores[list(shown)]),
                    "chosen": None if choice is None else [problem.samples[row].number for row in choice.rows],
                }
                for chooser, choice in problem.choices.items()
            ],
        }
    )


def _short_scores(scores: Floats) -> list[float | None]:
    """Scores [R], rounded; None for an unscored response."""
    return [score if isfinite(score) else None for score in rounded(scores, 4).tolist()]


def _distinct_ends(problem: ExploredProblem, shown: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """The distinct lists of step ends, and the rewards of each reward model.

    Most reward models score the same steps, so equal lists of ends are stored once. A reward model's rewards come with
    the index of their list of ends. A reward model that has not scored every response has None.
    """
    ends: list[Any] = []
    models: list[Any] = []
    for model in dict.fromkeys(chooser.reward_model for chooser in problem.choices):
        if model not in problem.samples[0].steps:
            models.append(None)
            continue
        steps = [problem.samples[row].steps[model] for row in shown]
        of_model = [s.ends for s in steps]
        if of_model not in ends:
            ends.append(of_model)
        models.append({"ends": ends.index(of_model), "rewards": [s.rewards for s in steps]})
    return ends, models


def largest_cut(problems: Iterable[Sequence[ExploredProblem]], whole: Cut, limit: int, listed: int) -> Cut:
    """The largest part of a run that takes at most ``limit`` bytes; one problem at least. The whole run takes more.

    Sizes are measured once: with the first 0, 1, 2, 4, … responses and with all. Between two of these numbers the size
    grows nearly in proportion to the responses, within 0.2 % in a run of 500 problems and 64 responses; a hundredth of
    the limit is kept free for that.

    Args:
        problems: each as all generators answered it.
        listed: bytes that a problem takes in the list of problems, besides its blocks.
    """
    firsts = [0, *(1 << power for power in range((whole.samples - 1).bit_length())), whole.samples]
    rows: list[list[int]] = []
    chosen_alone = 0
    for of_generators in problems:
        rows.append([listed + sum(len(pack(one, one.rows_shown(first))) for one in of_generators) for first in firsts])
        chosen_alone += rows[-1][0]
        if chosen_alone > limit:
            break  # what comes after does not fit, however little is shown of it
    sizes = np.cumsum(rows, axis=0)  # [problems, firsts], of a problem and the ones before it
    if sizes[-1, 0] > limit:
        return Cut(0, max(int((sizes[:, 0] <= limit).sum()), 1))
    return Cut(int(np.interp(0.99 * limit, sizes[-1], firsts)), whole.problems)


def shortened(text: str | None, longest: int) -> str | None:
    """A text with what is beyond its first ``longest`` characters counted."""
    if text is None or len(text) <= longest:
        return text
    return f"{text[:longest]} … ({len(text) - longest:,} more characters)"
