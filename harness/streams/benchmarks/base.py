"""What a benchmark is: lines of its file -> solutions -> scores -> the numbers of its protocol."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from harness.core.arrays import Floats
from harness.core.steps import joined_steps
from harness.core.terms import ScoreType
from harness.data.golds import is_finite
from harness.data.lines import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A solution to score. ``step_ends`` are where its steps end, where the data set says what the steps are."""

    problem: str
    text: str
    step_ends: tuple[int, ...] | None = None

    @classmethod
    def of_steps(cls, problem: str, steps: Sequence[str]) -> Candidate:
        """A solution of which the data set gives the steps."""
        return cls(problem, *joined_steps(steps))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reward model says of a candidate.

    Attributes:
        step_rewards: float [steps]; of a solution that the model cuts those that it reads, [0] without a score.
        score: of the whole; None without one, and where the benchmark goes by step rewards.
        unscored_because: why there is none; "" where there is one.
    """

    step_rewards: Floats
    score: float | None = None
    unscored_because: str = ""

    @property
    def is_scored(self) -> bool:
        return len(self.step_rewards) > 0 or self.score is not None

    @property
    def rank(self) -> float:
        """The score to rank by: a candidate without a score is below every other."""
        return -math.inf if self.score is None else self.score


@dataclass(frozen=True, slots=True)
class Judged(Generic[T]):
    """An item of a benchmark with the answers about its candidates, in their order."""

    item: T
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a protocol says, as fractions (0 to 1).

    Attributes:
        values: number -> value. Those that a benchmark's ``headlines`` name are among them.
        columns: of the table for the terminal; the first two are what a row is about and how many items it has.
        rows: (what it is about, how many items, values in the order of the further columns), None where one does not
            exist.
        notes: sentences to print below.
        threshold: at which step rewards were judged, where they were.
    """

    values: Mapping[str, float]
    columns: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[float | None]]]
    notes: Sequence[str] = ()
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What numbers may depend on besides the answers: a ``threshold`` that the user gives, and what rewards are."""

    threshold: float | None = None
    score_type: ScoreType = field(default="probability")


class Benchmark(ABC, Generic[T]):
    """A benchmark of reward models. An instance has no state.

    Attributes:
        name: on the command line and in a results folder.
        title: what it asks, in a few words.
        paper: where its protocol is from.
        needs_steps: whether it judges step rewards, so that an outcome reward model has no number.
        headlines: the numbers that are laid beside best-of-N.
        takes_threshold: whether ``--threshold`` means anything.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    needs_steps: ClassVar[bool]
    headlines: ClassVar[tuple[str, ...]]
    takes_threshold: ClassVar[bool] = False

    @abstractmethod
    def item(self, row: Row) -> T | None:
        """The item that a row of the file is; None for one that the benchmark does not ask about here.

        Raises:
            ValueError: saying what is wrong with the row.
        """

    @abstractmethod
    def candidates(self, item: T) -> Sequence[Candidate]:
        """The solutions to score, at least one."""

    @abstractmethod
    def numbers(self, sets: Mapping[str, Sequence[Judged[T]]], settings: Settings) -> Numbers:
        """The numbers of the protocol, over the items of each file, by the file's name."""

    def recorded(self, row: Row, item: T) -> Sequence[Answer] | None:
        """The answers that a row has already, as an earlier call wrote them; None for a row without.

        Raises:
            ValueError: saying what is wrong with them.
        """
        answers = row.get("answers")
        if answers is None:
            return None
        n = len(self.candidates(item))
        if not isinstance(answers, list) or len(answers) != n or not all(isinstance(one, dict) for one in answers):
            raise ValueError(f'"answers" is not a list of {n} objects')
        return [_answer(one) for one in answers]


@dataclass(frozen=True, slots=True)
class Completions:
    """A prompt with its right and wrong completions."""

    prompt: str
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]


C = TypeVar("C", bound=Completions)


class OfCompletions(Benchmark[C]):
    """A benchmark that asks whether right completions of a prompt score above wrong ones."""

    needs_steps = False

    def candidates(self, item: C) -> Sequence[Candidate]:
        """The right completions first."""
        return [Candidate(item.prompt, text) for text in (*item.chosen, *item.rejected)]


def _answer(one: Mapping[str, Any]) -> Answer:
    rewards, score, why = one.get("step_rewards", []), one.get("score"), one.get("unscored_because", "")
    if not isinstance(rewards, list) or not all(map(is_finite, rewards)) or not (score is None or is_finite(score)):
        raise ValueError('"answers" has a number that is not finite, or none')
    return Answer(np.asarray(rewards, dtype=np.float64), None if score is None else float(score), str(why))


def answer_row(answer: Answer) -> Row:
    """An answer in JSON, as :meth:`Benchmark.recorded` reads it."""
    row: Row = {"step_rewards": answer.step_rewards.tolist(), "score": answer.score}
    return {**row, "unscored_because": answer.unscored_because} if answer.unscored_because else row


def text_of(row: Row, *names: str) -> str:
    """The first of some columns that is a text.

    Raises:
        ValueError: where none is.
    """
    for name in names:
        if isinstance(value := row.get(name), str) and value.strip():
            return value
    raise ValueError(f'no "{names[0]}"')


def texts_of(row: Row, name: str) -> tuple[str, ...]:
    """A column that is a list of texts, none of them blank.

    Raises:
        ValueError: where it is none.
    """
    value = row.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(s, str) and s.strip() for s in value):
        raise ValueError(f'"{name}" is not a list of texts')
    return tuple(value)


def share(part: float, whole: float) -> float:
    """A fraction; 0 where there is nothing to take a part of."""
    return part / whole if whole else 0.0


def harmonic_mean(a: float, b: float) -> float:
    """Of two shares; 0 where both are."""
    return share(2 * a * b, a + b)
