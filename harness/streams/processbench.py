"""``bonbench processbench``: does a reward model find the first wrong step?

The protocol of ProcessBench (Zheng et al., 2024): the label of a solution is the index of its first wrong step, or -1
where all steps are right. A process reward model finds the first step whose reward is below a threshold. One accuracy
is computed over the solutions with a wrong step, another one over the solutions without a wrong step. F1 is the
harmonic mean of the two accuracies. The threshold is chosen on the first subset (by convention GSM8K), where its F1 is
the best, and is used unchanged on the other subsets. Models that predict a label for each step are judged at a fixed
threshold instead, by convention 0.5.

A solution without a score is judged by nobody: too long for the model, say. It counts as not judged right, whatever its
label. (The benchmark's own code counts a critique without a readable verdict in the same way.) Its line is named among
the bad lines. A line that is no labelled solution is passed over and named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from harness.core.arrays import Floats
from harness.core.errors import UserError
from harness.core.steps import joined_steps
from harness.data.golds import is_finite
from harness.data.hub import HubSplit, load_split
from harness.data.lines import Row, read_lines
from harness.streams.isolation import Failed, isolated
from harness.streams.scorer import Scored, Scorer

_HUB = re.compile(r"[\w.-]+/[\w.-]+:\w+")
_BATCH = 32  # solutions between two signs of progress

#: Is told what is wrong with a line, which it names.
Complain = Callable[[str], None]


def silent(complaint: str) -> None:
    """Pass no complaint on."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A solution in steps, the index of its first wrong step (-1: none), and the step rewards that the file has.

    ``where`` is its file and line.
    """

    problem: str
    steps: tuple[str, ...]
    label: int
    step_rewards: tuple[float, ...] | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class ErrorLocationScores:
    """How many solutions are judged exactly right, as shares (0 to 1).

    ``wrong`` is the share of the solutions that have a wrong step, ``right`` that of the solutions without one.
    """

    wrong: float
    right: float

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        total = self.wrong + self.right
        return 2 * self.wrong * self.right / total if total else 0.0


@dataclass(frozen=True, slots=True)
class SubsetResult:
    """The scores of a subset at the shared threshold.

    ``best`` are its scores at the threshold that is best for this subset. They are an upper bound. ``given`` are its
    scores at a threshold that was not tuned, where one is given. ``unscored`` of the ``n`` solutions have no score.
    """

    name: str
    n: int
    unscored: int
    scores: ErrorLocationScores
    best: ErrorLocationScores
    given: ErrorLocationScores | None = None


def load(source: str, complain: Complain | None = None) -> list[Labelled]:
    """Solutions of a file (``problem``, ``steps``, ``label`` per JSON line, maybe ``step_rewards``) or a hub split.

    Args:
        source: a path (``.jsonl``, ``.jsonl.gz``), or ``owner/name:split`` of the hub.
        complain: is told of each bad line of a file, which is passed over; None: it is an error.

    Raises:
        UserError: naming the file and line; for a file without a good line; and for a split with a bad row, which is
            no split of this benchmark.
    """
    path = Path(source)
    if not path.exists() and _HUB.fullmatch(source):
        name, _, split = source.partition(":")
        rows = load_split(HubSplit(path=name, split=split))
        return [_labelled(dict(row), f"{source} row {number}") for number, row in enumerate(rows, 1)]
    data, first = [], None
    for line in read_lines(path):
        if line.is_blank():
            continue
        try:
            data.append(_labelled(line.row(), line.where))
        except UserError as error:
            if complain is None:
                raise
            first = first or error
            complain(str(error))
    if not data:
        raise UserError(f"{source}: no good line: {first}" if first else f"{source}: the file is empty")
    return data


def _labelled(row: Row, where: str) -> Labelled:
    problem, steps, label, rewards = (row.get(key) for key in ("problem", "steps", "label", "step_rewards"))
    if not isinstance(problem, str):
        raise UserError(f'{where}: no "problem"')
    if not isinstance(steps, list) or not steps or not all(isinstance(s, str) and s.strip() for s in steps):
        raise UserError(f'{where}: "steps" is not a list of texts')
    if type(label) is not int or not -1 <= label < len(steps):
        raise UserError(f'{where}: "label" is not the index of one of {len(steps)} steps, or -1')
    if rewards is not None and not (isinstance(rewards, list) and all(map(is_finite, rewards))):
        raise UserError(f'{where}: "step_rewards" is not a list of finite numbers')
    if rewards is not None and len(rewards) != len(steps):
        raise UserError(f"{where}: {len(rewards)} step_rewards for {len(steps)} steps")
    return Labelled(problem, tuple(steps), label, None if rewards is None else tuple(map(float, rewards)), where)


def step_rewards(
    data: Sequence[Labelled], scorer: Scorer, progress: Callable[[int], None], complain: Complain = silent
) -> list[Floats]:
    """Step rewards under a model, [steps] for each solution.

    A solution without a score has no rewards, and ``complain`` is told. A solution that the model cuts has the rewards
    of the steps that the model reads.

    Raises:
        UserError: for a model that does not reward the steps one by one, or that can score no solution at all.
    """
    rewards: list[Floats] = []
    first, is_useless = "", True
    for start in range(0, len(data), _BATCH):
        part = data[start : start + _BATCH]
        texts = [joined_steps(item.steps) for item in part]
        solutions = [(item.problem, text, ends) for item, (text, ends) in zip(part, texts, strict=True)]
        for item, (text, _), scored in zip(part, texts, isolated(partial(_scored, scorer), solutions), strict=True):
            if isinstance(scored, Failed):
                complain(f"{item.where}: {scored.why}")
                first = first or f"{item.where}: {scored.why}"
                rewards.append(np.empty(0))
                continue
            is_useless, score = False, scored.scores
            if not score.step_rewards:
                complain(f"{item.where}: {scored.unscored_because}")
            is_cut = score.step_ends is not None and max(score.step_ends, default=0) < len(text)
            if score.step_rewards and not is_cut and len(score.step_rewards) != len(item.steps):
                raise UserError(
                    f"{scorer.model.name} gives {len(score.step_rewards)} rewards for {len(item.steps)} steps: "
                    "ProcessBench needs a process reward model, of the steps in solution.step_ends"
                )
            rewards.append(np.asarray(score.step_rewards, dtype=np.float64))
        progress(len(part))
    if is_useless and first:
        raise UserError(first)
    return rewards


def _scored(scorer: Scorer, solutions: Sequence[tuple[str, str, tuple[int, ...]]]) -> list[Scored]:
    """The scores of (problem, text, ends of its steps)."""
    return scorer.score([(problem, text) for problem, text, _ in solutions], [ends for _, _, ends in solutions])


def recorded_rewards(data: Sequence[Labelled], source: str) -> list[Floats]:
    """The step rewards that the file has, [steps] for each solution.

    Raises:
        UserError: where some have none.
    """
    if any(item.step_rewards is None for item in data):
        raise UserError(f'{source}: has lines without "step_rewards": name a model to score them, --reward-model SPEC')
    return [np.asarray(item.step_rewards, dtype=np.float64) for item in data]


def error_location_scores(rewards: Sequence[Floats], labels: Sequence[int], threshold: float) -> ErrorLocationScores:
    """The two accuracies at a threshold, of solutions whose ``rewards`` are [steps] each, [0] without a score."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for values, label in zip(rewards, labels, strict=True):
        below = np.flatnonzero(values < threshold)
        judged_as = int(below[0]) if len(below) else -1
        hits[label == -1].append(len(values) > 0 and judged_as == label)
    return ErrorLocationScores(*(float(np.mean(hits[right])) if hits[right] else 0.0 for right in (False, True)))


def best_threshold(rewards: Sequence[Floats], labels: Sequence[int]) -> float:
    """A threshold with the highest F1, in the middle of the lowest range of thresholds that have it.

    The ``rewards`` of a solution are [steps]. A solution is judged right at the thresholds of one half-open interval
    (low, high]: above the reward of the wrong step, and not above the reward of any earlier step. So F1 changes only
    at the ends of these intervals.
    """
    low, high = np.array([_interval(values, label) for values, label in zip(rewards, labels, strict=True)]).T
    right = np.array(labels) == -1
    ends = np.unique(np.concatenate([low, high]))
    ends = ends[np.isfinite(ends)]
    if not len(ends):
        return 0.0
    points = np.concatenate([ends, [np.inf]])  # each stands for (the one before, itself]
    shares = [_covered(points, low[which], high[which]) for which in (~right, right)]
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * shares[0] * shares[1] / (shares[0] + shares[1]))
    best = int(np.argmax(f1))
    if best == 0:
        return float(ends[0])
    return float(np.nextafter(ends[-1], np.inf)) if best == len(ends) else float((ends[best - 1] + ends[best]) / 2)


def _interval(values: Floats, label: int) -> tuple[float, float]:
    """The thresholds (low, high] at which a solution with these rewards [steps] is judged right.

    The interval is empty where the solution has no reward, or its wrong step has none.
    """
    if not len(values) or label >= len(values):
        return np.inf, -np.inf
    head = values if label == -1 else values[:label]
    return -np.inf if label == -1 else float(values[label]), float(head.min()) if len(head) else np.inf


def _covered(points: Floats, low: Floats, high: Floats) -> Floats:
    """The share of the intervals (low, high] that hold each point."""
    keep = low < high
    begun = np.searchsorted(np.sort(low[keep]), points, side="left")
    over = np.searchsorted(np.sort(high[keep]), points, side="left")
    return (begun - over) / max(len(low), 1)


def evaluate(
    subsets: Sequence[tuple[str, Sequence[Floats], Sequence[int]]], given: float | None = None
) -> tuple[float, list[SubsetResult]]:
    """The threshold that is best on the first subset, and the results of all subsets.

    A subset is (name, rewards, labels); the rewards of a solution are [steps].

    Args:
        given: another threshold, at which all subsets are judged too.
    """
    threshold = best_threshold(subsets[0][1], subsets[0][2])
    return threshold, [
        SubsetResult(
            name,
            len(labels),
            sum(not len(values) for values in rewards),
            error_location_scores(rewards, labels, threshold),
            error_location_scores(rewards, labels, best_threshold(rewards, labels)),
            None if given is None else error_location_scores(rewards, labels, given),
        )
        for name, rewards, labels in subsets
    ]
