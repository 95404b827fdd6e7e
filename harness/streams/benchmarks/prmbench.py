"""PRMBench: which steps does a process reward model call wrong? (Song et al. 2025, arXiv:2501.03124)

A line is a solution into which an error of one class was put, with the numbers of its wrong steps, from 1. A step whose
reward is above a threshold is called right. With right steps as positives, F1 is that of the right steps, and the
negative F1 that of the wrong ones; PRMScore = (F1 + negative F1) / 2, over the steps of all solutions. Solutions of the
class ``multi_solutions`` have no wrong step: their PRMScore is F1. A group's number is the mean of its classes'.

Where the authors' code (PRM Eval ToolKit, ``prmtest_classified``) does more than the paper says, this does the same:
a solution that was given to the model twice counts once; wrong steps beyond the last step count for nothing; a solution
without a score, and the steps that the model does not read, are left out. It differs in one place: a quotient without a
denominator is -1 there, also in F1, and 0 here.

The threshold is each model's own in that code. Where none is given, it is 0.5 for probabilities and 0 for rewards of
any other kind, which is a choice made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from harness.core.arrays import Bools
from harness.data.lines import Row
from harness.streams.benchmarks.base import (
    Answer,
    Benchmark,
    Candidate,
    Judged,
    Numbers,
    Settings,
    harmonic_mean,
    share,
    text_of,
    texts_of,
)

#: Group -> its classes, as the files spell them -> what the paper calls them.
GROUPS: Mapping[str, Mapping[str, str]] = {
    "simplicity": {"redundency": "non-redundancy", "circular": "non-circular logic"},
    "soundness": {
        "counterfactual": "empirical soundness",
        "step_contradiction": "step consistency",
        "domain_inconsistency": "domain consistency",
        "confidence": "confidence invariance",
    },
    "sensitivity": {
        "missing_condition": "prerequisite sensitivity",
        "deception": "deception resistance",
        "multi_solutions": "multi-solution consistency",
    },
}
_NAMES = {class_: name for group in GROUPS.values() for class_, name in group.items()}
_WITHOUT_ERRORS = "multi_solutions"
#: The lines of this class bring the solutions before the change.
_WITH_ORIGINALS = "redundency"


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed solution: ``id`` is what the changes of one solution share, ``wrong`` are indices of steps, from 0."""

    id: str
    class_: str
    question: str
    steps: tuple[str, ...]
    wrong: frozenset[int]
    original: tuple[str, tuple[str, ...]] | None = None  # question and steps


@dataclass(slots=True)
class Counts:
    """Steps, by what they are and what they are called: ``right_wrong`` are right and called wrong."""

    right_right: int = 0
    right_wrong: int = 0
    wrong_right: int = 0
    wrong_wrong: int = 0

    @classmethod
    def of(cls, called_right: Bools, wrong: Iterable[int]) -> Counts:
        """Of a solution, bool [steps], with the indices of its wrong steps."""
        is_wrong = np.isin(np.arange(len(called_right)), list(wrong))
        return cls(
            int((~is_wrong & called_right).sum()),
            int((~is_wrong & ~called_right).sum()),
            int((is_wrong & called_right).sum()),
            int((is_wrong & ~called_right).sum()),
        )

    def add(self, other: Counts) -> None:
        self.right_right += other.right_right
        self.right_wrong += other.right_wrong
        self.wrong_right += other.wrong_right
        self.wrong_wrong += other.wrong_wrong

    @property
    def f1(self) -> float:
        """Of the right steps."""
        return _f1(self.right_right, self.wrong_right, self.right_wrong)

    @property
    def negative_f1(self) -> float:
        """Of the wrong steps."""
        return _f1(self.wrong_wrong, self.right_wrong, self.wrong_right)

    @property
    def prm_score(self) -> float:
        """The mean of both (the paper's equation for PRMScore with its weights of 0.5)."""
        return (self.f1 + self.negative_f1) / 2

    @property
    def accuracy(self) -> float:
        right = self.right_right + self.wrong_wrong
        return share(right, right + self.right_wrong + self.wrong_right)


def _f1(hits: int, false_alarms: int, misses: int) -> float:
    return harmonic_mean(share(hits, hits + false_alarms), share(hits, hits + misses))


class PRMBench(Benchmark[Changed]):
    """Lines are ``idx``, ``classification``, ``modified_question``, ``modified_process``, ``error_steps``."""

    name = "prmbench"
    title = "wrong steps, by nine kinds of error"
    paper = "arXiv:2501.03124"
    needs_steps = True
    headlines = ("PRMScore",)
    takes_threshold = True

    def item(self, row: Row) -> Changed:
        """A changed solution.

        Raises:
            ValueError: for a line that is none of the benchmark's, and says why.
        """
        class_, wrong = row.get("classification"), row.get("error_steps")
        if not isinstance(class_, str) or class_ not in _NAMES:
            raise ValueError(f'"classification" is none of {", ".join(_NAMES)}')
        steps, question = texts_of(row, "modified_process"), text_of(row, "modified_question", "question")
        if not isinstance(wrong, list) or not all(type(step) is int and step > 0 for step in wrong):
            raise ValueError('"error_steps" is not a list of numbers of steps, from 1')
        original = None
        if class_ == _WITH_ORIGINALS and row.get("original_process") is not None:
            original = text_of(row, "original_question", "question"), texts_of(row, "original_process")
        id_ = text_of(row, "idx").removeprefix(f"{class_}_")
        return Changed(id_, class_, question, steps, frozenset(step - 1 for step in wrong), original)

    def candidates(self, item: Changed) -> Sequence[Candidate]:
        """The changed solution, then the one before the change, where the line brings it."""
        solutions = [(item.question, item.steps), *([item.original] if item.original else [])]
        return [Candidate.of_steps(*solution) for solution in solutions]

    def numbers(self, sets: Mapping[str, Sequence[Judged[Changed]]], settings: Settings) -> Numbers:
        """PRMScore over all solutions, by class and by group.

        ``similarity`` is, as in the authors' code, the mean distance of the share of steps called right from that in
        the solution before the change, over those with a share above 0 before: near 0, a model does not tell the two
        apart.
        """
        threshold = settings.threshold
        if threshold is None:
            threshold = 0.5 if settings.score_type == "probability" else 0.0
        once = {(one.item.class_, one.item.id): one for one in reversed(list(chain.from_iterable(sets.values())))}
        judged = list(reversed(once.values()))
        before = {one.item.id: _share_right(one.answers[1], threshold) for one in judged if len(one.answers) > 1}
        total, of_class = Counts(), {class_: Counts() for class_ in _NAMES}
        n_of, distances = dict.fromkeys(_NAMES, 0), []
        for one in judged:
            answer, item = one.answers[0], one.item
            if not answer.is_scored:
                continue
            counts = Counts.of(answer.step_rewards > threshold, item.wrong)
            n_of[item.class_] += 1
            total.add(counts)
            of_class[item.class_].add(counts)
            if earlier := before.get(item.id):
                distances.append(abs((_share_right(answer, threshold) or 0.0) - earlier))
        n = sum(n_of.values())
        values = {"PRMScore": total.prm_score, "F1": total.f1, "negative F1": total.negative_f1}
        values["accuracy"] = total.accuracy
        if distances:
            values["similarity"] = float(np.mean(distances))
        rows: list[tuple[str, int, Sequence[float | None]]] = []
        for group, classes in GROUPS.items():
            of_group = []
            for class_, name in classes.items():
                if not n_of[class_]:
                    continue
                own = of_class[class_]
                without = class_ == _WITHOUT_ERRORS
                of_group.append(own.f1 if without else own.prm_score)
                values[name] = of_group[-1]
                rows.append((name, n_of[class_], [of_group[-1], own.f1, None if without else own.negative_f1]))
            if of_group:
                values[group] = float(np.mean(of_group))
                rows.append((group, sum(n_of[class_] for class_ in classes), [values[group], None, None]))
        rows.append(("all", n, [total.prm_score, total.f1, total.negative_f1]))
        notes = [f"threshold {threshold:g}"]
        if unscored := len(judged) - n:
            notes.insert(0, f"{unscored} of the {len(judged)} solutions have no score and are left out")
        return Numbers(values, ["", "solutions", "PRMScore", "F1", "negative F1"], rows, notes, threshold)


def _share_right(answer: Answer, threshold: float) -> float | None:
    """The share of the steps that is called right; None of a solution without a score."""
    return float((answer.step_rewards > threshold).mean()) if answer.is_scored else None
