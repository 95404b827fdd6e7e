"""Responses that already exist: the one reader of their file formats.

Nested JSONL (``.jsonl``, ``.jsonl.gz``), one problem per line::

    {"problem_id", "problem", "gold", ["subject", "level",]
     "samples": [{"text", ["steps": [str], "num_tokens", "finish_reason", "step_scores": {reward_model: [float]}]}]}

or flat, one response per line or row (JSONL or Parquet), in the columns of the ``responses`` table. A missing
``problem_id`` is derived from the problem's text. Scores are aligned with ``steps``; without ``steps``, they
are the rewards of the steps of ``text`` (:mod:`harness.core.steps`), or a single reward of the whole response.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from harness.core.errors import UserError
from harness.core.records import Problem
from harness.data.response_rows import FlatRow, NestedRow, RecordedSample, lines, parsed, validated

__all__ = ["RecordedFile", "RecordedProblem", "RecordedSample", "ScoreRange", "derived_id", "read_recorded"]


@dataclass(frozen=True, slots=True)
class RecordedProblem:
    """A problem and the responses recorded for it, in file order."""

    problem: Problem
    samples: tuple[RecordedSample, ...]


def read_recorded(path: str | Path) -> RecordedFile:
    """The problems of a file of recorded responses, with their samples.

    The last few files stay open until they change on disk.

    Raises:
        UserError: naming the file and the line for anything that is not as the module's docstring says.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    stat = path.stat()
    return _read(path.resolve(), str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, shown: str, size: int, mtime_ns: int) -> RecordedFile:
    return RecordedFile(path, shown)


def derived_id(problem: str) -> str:
    """Identifier of a problem that came without one: it depends on its text alone."""
    return hashlib.sha256(problem.encode()).hexdigest()[:16]


@dataclass(slots=True)
class ScoreRange:
    """What a file has of one reward model: the range of its values, and the first response that lacks them."""

    low: float
    high: float
    lacking: str | None


class RecordedFile:
    """A file of recorded responses, in file order.

    All of it is checked once. The problems stay in memory, their responses do not: they are parsed again whenever they
    are asked for, so that a file may be larger than memory. What cannot be read from the middle (compressed and
    Parquet files) is unpacked into a temporary file first.

    Attributes:
        problems: the problems alone.
        fewest: generator ("" in the nested format) -> the fewest responses it has to any problem.
        scores: reward model -> what there is of it.

    Raises:
        UserError: see :func:`read_recorded`.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self._shown = shown
        self.problems: list[Problem] = []
        self.fewest: dict[str, int] = {}
        self.scores: dict[str, ScoreRange] = {}
        self._flat = False
        self._offsets: list[array[int]] = []
        in_place = path.suffix not in (".gz", ".parquet")
        self._file: IO[bytes] = path.open("rb") if in_place else TemporaryFile()  # noqa: SIM115
        self._scan(path, "row" if path.suffix == ".parquet" else "line", in_place)
        self._index = {problem.problem_id: i for i, problem in enumerate(self.problems)}

    def __len__(self) -> int:
        return len(self.problems)

    def __iter__(self) -> Iterator[RecordedProblem]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> RecordedProblem:
        rows = [self._row(offset) for offset in self._offsets[index]]
        if self._flat:
            samples = tuple(validated(FlatRow, row, self._shown).record() for row in rows)
        else:
            samples = validated(NestedRow, rows[0], self._shown).records()
        return RecordedProblem(self.problems[index], samples)

    def samples(self, problem_id: str) -> tuple[RecordedSample, ...]:
        """The responses recorded for a problem; none for one that is not in the file."""
        index = self._index.get(problem_id)
        return () if index is None else self[index].samples

    def _row(self, offset: int) -> dict[str, Any]:
        self._file.seek(offset)
        return parsed(self._file.readline(), self._shown)

    def _scan(self, path: Path, unit: str, in_place: bool) -> None:
        """Check every line, and note where it is and what it has."""
        nested: dict[str, str] = {}  # problem_id -> place of its line
        flat: dict[str, dict[tuple[str, int], tuple[int, int]]] = {}  # problem_id -> response -> its line, its offset
        offset = n_samples = 0
        for number, line in lines(path, self._shown):
            where = f"{self._shown} {unit} {number}"
            if line.strip():
                row = parsed(line, where)
                self._flat = "samples" not in row and "text" in row
                if self._flat:
                    self._add_flat(flat, validated(FlatRow, row, where), number, offset, f"{self._shown} {unit}")
                else:
                    entry = validated(NestedRow, row, where)
                    n_samples += self._add_nested(nested, entry, where, offset, n_samples)
                if nested and flat:
                    raise UserError(f"{where}: a single response in a file of problems with samples, or the reverse")
            if not in_place:
                self._file.write(line)
            offset += len(line)
        if not nested and not flat:
            raise UserError(f"{self._shown}: the file is empty")
        for own in flat.values():
            self._offsets.append(array("q", (own[key][1] for key in sorted(own))))
        counts = [Counter(generator for generator, _ in own) for own in flat.values()]
        for generator in sorted({name for count in counts for name in count}):
            self.fewest[generator] = min(count[generator] for count in counts)

    def _add_nested(self, places: dict[str, str], row: NestedRow, where: str, offset: int, n_before: int) -> int:
        problem = Problem(
            problem_id=derived_id(row.problem) if row.problem_id is None else str(row.problem_id),
            problem=row.problem,
            answer=row.gold,
            subject=row.subject,
            level=row.level,
        )
        first = places.setdefault(problem.problem_id, where)
        if first != where:
            raise UserError(f"{where}: problem_id {problem.problem_id!r} is already in {first}")
        self.problems.append(problem)
        self._offsets.append(array("q", [offset]))
        self.fewest[""] = min(self.fewest.get("", len(row.samples)), len(row.samples))
        for index, sample in enumerate(row.samples):
            self._note_scores(sample.step_scores, f"sample {index} of problem {problem.problem_id!r}", n_before + index)
        return len(row.samples)

    def _note_scores(self, step_scores: dict[str, list[float]], response: str, n_before: int) -> None:
        for model, values in step_scores.items():
            if model not in self.scores:
                first = f"sample 0 of problem {self.problems[0].problem_id!r}"
                self.scores[model] = ScoreRange(values[0], values[0], first if n_before else None)
            found = self.scores[model]
            found.low, found.high = min(found.low, *values), max(found.high, *values)
        if len(step_scores) < len(self.scores):
            for model, found in self.scores.items():
                if model not in step_scores and found.lacking is None:
                    found.lacking = response

    def _add_flat(
        self,
        places: dict[str, dict[tuple[str, int], tuple[int, int]]],
        row: FlatRow,
        number: int,
        offset: int,
        unit: str,
    ) -> None:
        problem_id = str(row.problem_id)
        if problem_id not in places:
            self.problems.append(Problem(problem_id, row.problem, row.answer))
        own = places.setdefault(problem_id, {})
        index = row.sample if row.sample is not None else len(own)
        first, _ = own.setdefault((row.generator, index), (number, offset))
        if first != number:
            raise UserError(f"{unit} {number}: sample {index} of problem {problem_id!r} is already in {unit} {first}")
