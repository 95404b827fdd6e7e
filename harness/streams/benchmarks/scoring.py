"""A benchmark's file is read, its solutions are scored, and its protocol makes numbers of that.

A bad line stops no other: it is passed over and named. A solution without a score is named too; what it counts is the
protocol's affair. With a journal a kill costs the lines that were under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from harness.core.errors import UserError
from harness.data.lines import Row
from harness.data.published_rows import published_lines
from harness.streams.benchmarks.base import Answer, Benchmark, Candidate, Judged, answer_row
from harness.streams.isolation import Failed, Unsuited, isolated
from harness.streams.journal import Journal, identity
from harness.streams.scorer import Scored, Scorer

_BATCH = 32  # lines between two signs of progress

T = TypeVar("T")

#: Is told what is wrong with a line, which it names.
Complain = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A good line of a file: its place, the line, and the item that it is."""

    where: str
    row: Row
    item: T


def load(benchmark: Benchmark[T], source: str, complain: Complain | None = None) -> list[Entry[T]]:
    """The lines of a file or of a split of the hub that the benchmark asks about.

    Args:
        source: as :func:`harness.data.published_rows.published_lines` takes it.
        complain: is told of each bad line, which is passed over; None: it is an error.

    Raises:
        UserError: naming the file and line; and for a file without a good line.
    """
    entries: list[Entry[T]] = []
    first, is_empty = "", True
    for line in published_lines(source):
        is_empty = False
        try:
            row = line.row()
            item = _item(benchmark, row, line.where)
        except UserError as error:
            if complain is None:
                raise
            first = first or str(error)
            complain(str(error))
            continue
        if item is not None:
            entries.append(Entry(line.where, row, item))
    if not entries:
        other = "the file is empty" if is_empty else f"it has no line that {benchmark.name} asks about"
        raise UserError(f"{source}: no good line: {first}" if first else f"{source}: {other}")
    return entries


def _item(benchmark: Benchmark[T], row: Row, where: str) -> T | None:
    try:
        item = benchmark.item(row)
        if item is not None:
            benchmark.recorded(row, item)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return item


def recorded(benchmark: Benchmark[T], entries: Sequence[Entry[T]], source: str) -> list[Judged[T]]:
    """The answers that the lines have already.

    Raises:
        UserError: where some have none.
    """
    judged = []
    for entry in entries:
        answers = benchmark.recorded(entry.row, entry.item)
        if answers is None:
            has = '"step_rewards"' if benchmark.name == "processbench" else '"answers"'
            raise UserError(f"{source}: has lines without {has}: name a model to score them, --reward-model SPEC")
        judged.append(Judged(entry.item, answers))
    return judged


def scored(
    benchmark: Benchmark[T],
    entries: Sequence[Entry[T]],
    scorer: Scorer,
    progress: Callable[[int], None],
    complain: Complain = lambda _: None,
    journal: Journal | None = None,
    with_rows: bool = True,
) -> list[Judged[T]]:
    """The answers of a reward model about the lines, in order.

    Args:
        complain: is told of each solution without a score.
        journal: gets each line with its ``answers``; those that it has from an earlier call are not scored again. It is
            committed in the end.
        with_rows: whether what is in the lines goes into the journal, beside the answers.

    Raises:
        UserError: for a model that does not reward the steps one by one where the benchmark needs that, or that can
            score no solution at all.
    """
    judged: list[Judged[T]] = []
    complaints: list[str] = []
    with journal or nullcontext():
        for part in _batches(entries):
            known = [journal.finished(identity(entry.row)) if journal else None for entry in part]
            todo = [entry for entry, row in zip(part, known, strict=True) if row is None]
            new = iter(_answers(benchmark, scorer, todo))
            written: list[tuple[str | None, Row]] = []
            for entry, row in zip(part, known, strict=True):
                answers = next(new) if row is None else benchmark.recorded(row, entry.item) or ()
                for answer in answers:
                    if not answer.is_scored:
                        complaints.append(f"{entry.where}: {answer.unscored_because}")
                        complain(complaints[-1])
                judged.append(Judged(entry.item, answers))
                made = {**(_bare(entry.row) if with_rows else {}), "answers": list(map(answer_row, answers))}
                is_kept = row is None and all(answer.is_scored for answer in answers)
                written.append((identity(entry.row) if is_kept else None, made))
            if journal:
                journal.append(written)
            progress(len(part))
        if complaints and not any(answer.is_scored for one in judged for answer in one.answers):
            raise UserError(complaints[0])
        if journal:
            journal.commit(keep=bool(complaints))
    return judged


def _bare(row: Row) -> Row:
    """A line without what an earlier scoring said of it."""
    return {name: value for name, value in row.items() if name not in ("answers", "step_rewards")}


def _batches(entries: Sequence[Entry[T]]) -> Iterator[list[Entry[T]]]:
    rest = iter(entries)
    while part := list(islice(rest, _BATCH)):
        yield part


def _answers(benchmark: Benchmark[T], scorer: Scorer, entries: Sequence[Entry[T]]) -> list[list[Answer]]:
    """The answers about the candidates of each entry. One that fails costs no other."""
    of_each = [benchmark.candidates(entry.item) for entry in entries]
    flat = [candidate for candidates in of_each for candidate in candidates]
    answers = iter(isolated(partial(_score, benchmark, scorer), flat))
    return [[_answer(next(answers)) for _ in candidates] for candidates in of_each]


def _answer(done: Answer | Failed) -> Answer:
    return Answer(np.empty(0), None, done.why) if isinstance(done, Failed) else done


def _score(benchmark: Benchmark[Any], scorer: Scorer, candidates: Sequence[Candidate]) -> list[Answer]:
    found = scorer.score([(one.problem, one.text) for one in candidates], [one.step_ends for one in candidates])
    if benchmark.needs_steps:
        for candidate, of in zip(candidates, found, strict=True):
            _check_steps(benchmark, scorer, candidate, of)
    return [
        Answer(
            np.asarray(of.scores.step_rewards, dtype=np.float64),
            None if benchmark.needs_steps else scorer.total(of.scores),
            of.unscored_because,
        )
        for of in found
    ]


def _check_steps(benchmark: Benchmark[Any], scorer: Scorer, candidate: Candidate, of: Scored) -> None:
    """Raise :class:`Unsuited` where a solution that is not cut has not a reward for each of its steps."""
    rewards, ends = of.scores.step_rewards, of.scores.step_ends
    is_cut = ends is not None and max(ends, default=0) < len(candidate.text)
    n_steps = len(candidate.step_ends or ())
    if rewards and not is_cut and len(rewards) != n_steps:
        raise Unsuited(
            f"{scorer.model.name} gives {len(rewards)} rewards for {n_steps} steps: {benchmark.name} needs a process "
            "reward model, of the steps in solution.step_ends"
        )
