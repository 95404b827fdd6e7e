"""ProcessBench: does a process reward model find the first wrong step? (Zheng et al. 2024, arXiv:2412.06559)

The label of a solution is the index of its first wrong step, or -1 where all steps are right. A process reward model
finds the first step whose reward is below a threshold. One accuracy is computed over the solutions with a wrong step,
another one over the solutions without a wrong step. F1 is the harmonic mean of the two accuracies. The threshold is
chosen on the first subset (by convention GSM8K), where its F1 is the best, and is used unchanged on the other subsets.
Models that predict a label for each step are judged at a fixed threshold instead, by convention 0.5.

A solution without a score is judged by nobody: too long for the model, say. It counts as not judged right, whatever its
label. (The benchmark's own code counts a critique without a readable verdict in the same way.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.arrays import Floats
from harness.data.golds import is_finite
from harness.data.lines import Row
from harness.streams.benchmarks.base import (
    Answer,
    Benchmark,
    Candidate,
    Judged,
    Numbers,
    Settings,
    harmonic_mean,
    texts_of,
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A solution in steps, and the index of its first wrong step (-1: none)."""

    problem: str
    steps: tuple[str, ...]
    label: int


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
        return harmonic_mean(self.wrong, self.right)


class ProcessBench(Benchmark[Labelled]):
    """Lines are ``problem``, ``steps``, ``label``. Each file is a subset."""

    name = "processbench"
    title = "the first wrong step"
    paper = "arXiv:2412.06559"
    needs_steps = True
    headlines = ("F1",)
    takes_threshold = True

    def item(self, row: Row) -> Labelled:
        """A solution.

        Raises:
            ValueError: for a line that is none of the benchmark's, and says why.
        """
        if not isinstance(row.get("problem"), str):
            raise ValueError('no "problem"')
        problem, steps, label = row["problem"], texts_of(row, "steps"), row.get("label")
        if type(label) is not int or not -1 <= label < len(steps):
            raise ValueError(f'"label" is not the index of one of {len(steps)} steps, or -1')
        return Labelled(problem, steps, label)

    def candidates(self, item: Labelled) -> Sequence[Candidate]:
        return [Candidate.of_steps(item.problem, item.steps)]

    def recorded(self, row: Row, item: Labelled) -> Sequence[Answer] | None:
        """Of a line that has ``step_rewards``, one for each step, too.

        Raises:
            ValueError: for rewards that are no numbers, or not one for each step.
        """
        rewards = row.get("step_rewards")
        if rewards is None:
            return super().recorded(row, item)
        if not isinstance(rewards, list) or not all(map(is_finite, rewards)):
            raise ValueError('"step_rewards" is not a list of finite numbers')
        if len(rewards) != len(item.steps):
            raise ValueError(f"{len(rewards)} step_rewards for {len(item.steps)} steps")
        return [Answer(np.asarray(rewards, dtype=np.float64))]

    def numbers(self, sets: Mapping[str, Sequence[Judged[Labelled]]], settings: Settings) -> Numbers:
        """F1 is the mean of the subsets' F1, at the threshold that is best on the first."""
        given, rewards, labels = settings.threshold, {}, {}
        for name, judged in sets.items():
            rewards[name] = [one.answers[0].step_rewards for one in judged]
            labels[name] = [one.item.label for one in judged]
        first = next(iter(sets))
        tuned = best_threshold(rewards[first], labels[first])
        values: dict[str, float] = {}
        rows, notes, f1 = [], [], []
        for name in sets:
            label = Path(name).name
            at = error_location_scores(rewards[name], labels[name], tuned)
            own = error_location_scores(rewards[name], labels[name], best_threshold(rewards[name], labels[name]))
            f1.append(at.f1)
            row: list[float | None] = [at.wrong, at.right, at.f1, own.f1]
            values |= {f"{label}: wrong": at.wrong, f"{label}: right": at.right, f"{label}: F1": at.f1}
            values |= {f"{label}: F1, own threshold": own.f1}
            if given is not None:
                there = error_location_scores(rewards[name], labels[name], given)
                row += [there.wrong, there.right, there.f1]
                values[f"{label}: F1 at {given:g}"] = there.f1
            rows.append((label, len(labels[name]), row))
            if unscored := sum(not len(one) for one in rewards[name]):
                notes.append(
                    f"{unscored} of the {len(labels[name])} solutions of {label} have no score and count as judged "
                    "wrongly"
                )
        columns = ["", "solutions", "accuracy, wrong", "accuracy, right", "F1", "F1, own threshold (upper bound)"]
        columns += [] if given is None else [f"{what} at {given:g}" for what in ("wrong", "right", "F1")]
        notes.append(f"threshold {tuned:.6g}, tuned on {first}")
        return Numbers({"F1": float(np.mean(f1)), **values}, columns, rows, notes, tuned)


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
