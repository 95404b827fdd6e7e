"""The explorer's data: every problem, the responses to it with their step rewards, and who chose which of them.

A page holds ``EXPLORER_BYTES`` of it at most. Where all responses do not fit, it has the first K to each problem, K as
large as fits, and besides them every one that a reward model or the majority chose; where that does not fit either, it
has the first problems only. What it says about choices, votes and accuracy always rests on all responses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from harness.analysis.choosers import Chooser
from harness.analysis.evaluation import Evaluation
from harness.report.page.blocks import encode_block, rounded
from harness.report.page.problem import ExploredChooser, ExploredProblem, explored_problems
from harness.storage.results import Results

EXPLORER_BYTES = 26_000_000  # with the tables and figures of a large run, a page stays under 30 MB
LONGEST_TEXT = 20_000  # characters shown of a problem or response
LONGEST_ANSWER = 300
_PERCENTILES = np.arange(1, 100) / 100


@dataclass(frozen=True)
class Explorer:
    """``index`` is what the list of problems needs; ``blocks``, in base64 under their element ids, what one problem's
    responses need. ``left_out`` says what did not fit, empty where all did."""

    index: dict[str, Any]
    blocks: dict[str, str]
    left_out: str


class _Cut(NamedTuple):
    """The first ``samples`` responses, and the chosen ones, to the first ``problems`` problems."""

    samples: int
    problems: int


@dataclass
class _Packed:
    """What came of packing problems, generator by generator.

    ``outcomes``: per generator a string per chooser, the majority first, with a character per problem: 1 and 0 for a
    right and a wrong choice, ~ where right and wrong responses tie, - where there is nothing to choose from. ``right``
    of ``n``: right responses per generator and problem.
    """

    size: int
    wanted: int  # problems to pack, summed over generators
    blocks: dict[str, str] = field(default_factory=dict)
    outcomes: list[list[str]] = field(default_factory=list)
    right: list[list[int]] = field(default_factory=list)
    n: list[list[int]] = field(default_factory=list)
    seen: int = 0
    responses: int = 0
    chosen: int = 0


def collect(evaluation: Evaluation, start: Chooser | None, limit: int = EXPLORER_BYTES) -> Explorer:
    """The explorer of a run, with the reward model of ``start`` selected at first."""
    results, labels = evaluation.results, evaluation.choosers
    models = list(dict.fromkeys(chooser.reward_model for chooser in labels))
    choosers = [ExploredChooser(label, models.index(c.reward_model), c.aggregation) for c, label in labels.items()]
    whole = cut = _Cut(int(results.grades["sample"].max()) + 1, len(results.problems))
    while True:
        problems = _problems(results, cut.problems)
        packed = _Packed(len(encode_block(problems)), cut.problems * len(results.manifest.generators))
        if _pack(packed, results, models, choosers, cut, limit):
            break
        cut = _smaller(cut, whole, packed, limit)
    index = {
        "generators": list(results.manifest.generators),
        "models": models,
        "choosers": [
            {
                "label": c.label,
                "model": c.model,
                "aggregation": c.aggregation,
                "outcomes": [outcomes[1 + i] for outcomes in packed.outcomes],
            }
            for i, c in enumerate(choosers)
        ],
        "start": next((i for i, chooser in enumerate(labels) if chooser == start), 0),
        "majority": [outcomes[0] for outcomes in packed.outcomes],
        "right": packed.right,
        "n": packed.n,
        "problems": problems,
        "percentiles": [
            [_percentiles(results, model, generator) for model in models] for generator in results.manifest.generators
        ],
    }
    return Explorer(index, packed.blocks, _left_out(cut, whole))


def _problems(results: Results, n: int) -> dict[str, list[Any]]:
    rows = results.problems.head(n).to_dict("records")
    return {
        "id": [r["problem_id"] for r in rows],
        "text": [_shortened(r["problem"], LONGEST_TEXT) for r in rows],
        "gold": [_shortened(r["answer"], LONGEST_ANSWER) for r in rows],
        "subject": [r["subject"] for r in rows],
        "level": [None if r["level"] is None or np.isnan(r["level"]) else int(r["level"]) for r in rows],
    }


def _pack(
    packed: _Packed, results: Results, models: list[str], choosers: list[ExploredChooser], cut: _Cut, limit: int
) -> bool:
    """Whether it all fits; stops as soon as it does not."""
    problem_ids = results.problems["problem_id"].head(cut.problems).tolist()
    for place, generator in enumerate(results.manifest.generators):
        marks: list[list[str]] = [[] for _ in range(1 + len(choosers))]
        right, n = [0] * len(problem_ids), [0] * len(problem_ids)
        for row, explored in enumerate(explored_problems(results, generator, problem_ids, models, choosers)):
            packed.seen += 1
            outcomes = explored.outcomes if explored else [None] * len(marks)
            for own, outcome in zip(marks, outcomes, strict=True):
                own.append(_mark(outcome))
            if explored is None:
                continue
            right[row], n[row] = int(explored.correct.sum()), len(explored.samples)
            kept = explored.kept(cut.samples)
            block = encode_block(_block(explored, kept, choosers))
            packed.blocks[f"block-{place}-{row}"] = block
            packed.size += len(block)
            packed.responses += len(kept)
            packed.chosen += len(explored.singled_out)
            if packed.size > limit and cut.problems > 1:
                return False
        packed.outcomes.append(["".join(own) for own in marks])
        packed.right.append(right)
        packed.n.append(n)
    return True


def _smaller(cut: _Cut, whole: _Cut, packed: _Packed, limit: int) -> _Cut:
    """The next cut to try, from what a part of the problems took."""
    fits = limit / (packed.size * packed.wanted / packed.seen)
    if cut.samples == 0:
        return cut._replace(problems=max(int(0.97 * fits * cut.problems), 1))
    # K first responses and c chosen ones anywhere among N are K + c (1 - K / N).
    responses, chosen = 0.97 * fits * packed.responses / packed.seen, packed.chosen / packed.seen
    samples = (responses - chosen) / (1 - chosen / whole.samples) if chosen < whole.samples else 0
    return cut._replace(samples=min(max(int(samples), 0), cut.samples - 1))


def _block(explored: ExploredProblem, kept: list[int], choosers: list[ExploredChooser]) -> dict[str, Any]:
    """A problem's responses as the page reads them; rows of ``kept``."""
    correct, classes = explored.correct, explored.classes
    ends, models = _distinct(explored, kept)
    return {
        "n": len(explored.samples),
        "nRight": int(correct.sum()),
        "samples": [explored.samples[row] for row in kept],
        "texts": [_shortened(explored.texts[row], LONGEST_TEXT) for row in kept],
        "extracted": [_shortened(explored.extracted[row], LONGEST_ANSWER) for row in kept],
        "correct": "".join("01"[int(correct[row])] for row in kept),
        "reasons": [explored.reasons[row] for row in kept],
        "classes": [int(classes[row]) for row in kept],
        "answers": [
            {"class": a.answer_class, "votes": a.votes, "right": a.right, "text": _shortened(a.text, LONGEST_ANSWER)}
            for a in explored.answers
        ],
        "elected": explored.elected,
        "ends": ends,
        "models": models,
        "choosers": [
            {
                # The lowest or last reward is there already.
                "scores": None
                if values is None or c.aggregation in ("min", "last")
                else rounded(values[kept], 4).tolist(),
                "chosen": None if rows is None else [explored.samples[row] for row in rows],
            }
            for c, values, rows in zip(choosers, explored.scores, explored.chosen, strict=True)
        ],
    }


def _distinct(explored: ExploredProblem, kept: list[int]) -> tuple[list[Any], list[Any]]:
    """Step ends without repetition (most reward models score the same steps), and rewards with their ends' index."""
    ends: list[Any] = []
    models: list[Any] = []
    for steps in explored.steps:
        if steps is None:
            models.append(None)
            continue
        own = [steps.ends[row] for row in kept]
        if own not in ends:
            ends.append(own)
        models.append({"ends": ends.index(own), "rewards": [steps.rewards(row) for row in kept]})
    return ends, models


def _percentiles(results: Results, model: str, generator: str) -> list[float]:
    """The 1st to 99th percentile of all step rewards: what tints are ranked by."""
    rewards = results.scores(model, generator).column("step_rewards").combine_chunks()
    flat = rewards.flatten().to_numpy(zero_copy_only=False)
    return [] if len(flat) == 0 else rounded(np.quantile(flat, _PERCENTILES), 3).tolist()


def _mark(outcome: float | None) -> str:
    if outcome is None:
        return "-"
    return {0.0: "0", 1.0: "1"}.get(round(outcome, 9), "~")


def _shortened(text: str | None, longest: int) -> str | None:
    if text is None or len(text) <= longest:
        return text
    return f"{text[:longest]} … ({len(text) - longest:,} more characters)"


def _left_out(cut: _Cut, whole: _Cut) -> str:
    lines = []
    if cut.samples < whole.samples:
        first = f"the first {cut.samples} of {whole.samples} responses to a problem, and those"
        kept = first if cut.samples else "only the responses"
        lines.append(f"To stay small, this page shows {kept} that a reward model or the majority chose.")
    if cut.problems < whole.problems:
        lines.append(f"It shows the first {cut.problems:,} of {whole.problems:,} problems.")
    if lines:
        lines.append("Choices, votes and accuracies rest on all of them.")
    return " ".join(lines)
