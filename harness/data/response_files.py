"""Files of responses that exist already.

Nested JSONL (``.jsonl``, ``.jsonl.gz``), one problem per line::

    {"problem_id", "problem", "gold", ["subject", "level",]
     "samples": [{"text", ["steps": [str], "num_tokens", "finish_reason", "step_scores": {reward_model: [float]}]}]}

or flat, one response per line or row (JSONL or Parquet), in the columns of the ``responses`` table. A missing
``problem_id`` is derived from the problem's text. Where several sets are evaluated together, a file may call a problem
as its set does, or as the experiment does (:mod:`harness.core.problem_ids`). Scores belong to ``steps``; without
``steps``, they belong to the steps of ``text`` (:mod:`harness.core.steps`). A single score is that of the whole
response.

A folder that ``bonbench export`` wrote has a format of its own (:mod:`harness.data.export_facts`).
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from harness.core.errors import UserError
from harness.core.problem_ids import own_id
from harness.core.records import Problem
from harness.data.export_facts import exported_files, is_export
from harness.data.lines import Line, Row, check_is_file, parse_row, read_lines
from harness.data.response_rows import FlatRow, NestedRow, RecordedSample, validated

if TYPE_CHECKING:
    from harness.data.export_folder import ExportFolder

__all__ = [
    "RecordedFile",
    "RecordedProblem",
    "RecordedSample",
    "ScoreRange",
    "derived_id",
    "open_recorded",
    "read_recorded",
]

#: The flat responses to a problem: (generator, sample) -> number of its line, and the line's offset in the file.
_Places = dict[tuple[str, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class RecordedProblem:
    """A problem and the responses recorded for it, in file order."""

    problem: Problem
    samples: tuple[RecordedSample, ...]


def read_recorded(path: str | Path) -> RecordedFile:
    """The problems of a file of recorded responses, with their samples.

    The last few files stay open until they change on disk.

    Raises:
        UserError: naming the file and the line, where the file does not have the format of this module's docstring.
    """
    path = Path(path)
    check_is_file(path)
    stat = path.stat()
    return _read(path.resolve(), str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, shown: str, size: int, mtime_ns: int) -> RecordedFile:
    return RecordedFile(path, shown)


def open_recorded(path: str | Path) -> RecordedFile | ExportFolder:
    """What is recorded at a path: a file, or a folder that ``bonbench export`` wrote. The last few stay open.

    Raises:
        UserError: naming the file, where it cannot be read or has another format.
    """
    folder = Path(path)
    if not is_export(folder):
        return read_recorded(path)
    files = [file for file in exported_files(folder) if file.exists()]
    return _open_folder(
        folder.resolve(), str(path), tuple((s.st_size, s.st_mtime_ns) for s in (f.stat() for f in files))
    )


@lru_cache(maxsize=4)
def _open_folder(folder: Path, shown: str, files: tuple[tuple[int, int], ...]) -> ExportFolder:
    from harness.data.export_folder import ExportFolder

    return ExportFolder(folder, shown)


def derived_id(problem: str) -> str:
    """Identifier of a problem without one: it depends on the problem's text alone."""
    return hashlib.sha256(problem.encode()).hexdigest()[:16]


@dataclass(slots=True)
class ScoreRange:
    """The scores of one reward model in a file: their range, and the first response without them.

    Values that are not finite do not count in the range: whoever takes such a score refuses it.
    """

    low: float
    high: float
    lacking: str | None


class RecordedFile:
    """A file of recorded responses, in file order.

    The whole file is checked once. The problems stay in memory. The responses are parsed again whenever they are asked
    for, so that a file may be larger than memory. Compressed and Parquet files, which cannot be read from the middle,
    are unpacked into a temporary file first.

    Attributes:
        problems: the problems alone.
        counts: generator ("" in the nested format) -> how many of its responses there are to each problem, by the id.
        scores: reward model -> the range of its scores.

    Raises:
        UserError: see :func:`read_recorded`.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self._shown = shown
        self.problems: list[Problem] = []
        self.counts: dict[str, dict[str, int]] = {}
        self.scores: dict[str, ScoreRange] = {}
        self._flat = False
        self._offsets: list[array[int]] = []
        in_place = path.suffix not in (".gz", ".parquet")
        try:
            self._file: IO[bytes] = path.open("rb") if in_place else TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise UserError(f"{shown}: cannot be read: {error.strerror}") from None
        self._scan(path, in_place)
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

    def samples(self, problem: Problem, generator: str | None = None) -> tuple[RecordedSample, ...]:
        """The responses recorded for a problem, of one generator or of all; none for one that is not in the file."""
        index = self._find(problem)
        samples = () if index is None else self[index].samples
        return samples if generator is None else tuple(s for s in samples if s.generator == generator)

    def available(self, generator: str, problems: Sequence[Problem]) -> dict[str, int]:
        """How many responses of a generator there are to each of ``problems``, by the id.

        Raises:
            UserError: where the file does not say to which of two problems it has responses, as both sets that these
                are of call them the same.
        """
        found = {problem.problem_id: self._find(problem) for problem in problems}
        by_place: dict[int, Problem] = {}
        for problem in problems:
            index = found[problem.problem_id]
            other = problem if index is None else by_place.setdefault(index, problem)
            if other.problem != problem.problem:
                raise UserError(
                    f"{self._shown}: problem_id {self.problems[index or 0].problem_id!r} may be "
                    f"{other.problem_id!r} or {problem.problem_id!r}: call them so in the file"
                )
        counts = self.counts[generator]
        return {
            id_: 0 if index is None else counts.get(self.problems[index].problem_id, 0) for id_, index in found.items()
        }

    def _find(self, problem: Problem) -> int | None:
        """The place of a problem among ``problems``: by its id, or else by the id that its own set gives it."""
        index = self._index.get(problem.problem_id)
        if index is not None or (own := own_id(problem.problem_id)) is None:
            return index
        index = self._index.get(own)
        # Two sets may give one id to different problems.
        return index if index is not None and self.problems[index].problem in ("", problem.problem) else None

    def _row(self, offset: int) -> Row:
        self._file.seek(offset)
        return parse_row(self._file.readline())

    def _scan(self, path: Path, in_place: bool) -> None:
        """Check every line, and note where it is and what it has."""
        nested: dict[str, str] = {}  # problem_id -> place of its line
        flat: dict[str, _Places] = {}  # by problem_id
        offset = n_samples = 0
        for line in read_lines(path, self._shown):
            if not line.is_blank():
                row = line.row()
                self._flat = row.get("samples") is None and "text" in row
                if self._flat:
                    self._add_flat(flat, validated(FlatRow, row, line.where), line, offset)
                else:
                    entry = validated(NestedRow, row, line.where)
                    n_samples += self._add_nested(nested, entry, line.where, offset, n_samples)
                if nested and flat:
                    raise UserError(
                        f"{line.where}: the file mixes single responses and problems with samples; make two files of it"
                    )
            if not in_place:
                self._file.write(line.content)
            offset += len(line.content)
        if not nested and not flat:
            raise UserError(f"{self._shown}: the file is empty")
        for places in flat.values():
            self._offsets.append(array("q", (places[response][1] for response in sorted(places))))
        counts = {id_: Counter(generator for generator, _ in places) for id_, places in flat.items()}
        for generator in sorted({name for count in counts.values() for name in count}):
            self.counts[generator] = {id_: count[generator] for id_, count in counts.items()}

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
        self.counts.setdefault("", {})[problem.problem_id] = len(row.samples)
        for index, sample in enumerate(row.samples):
            self._note_scores(sample.step_scores, f"sample {index} of problem {problem.problem_id!r}", n_before + index)
        return len(row.samples)

    def _note_scores(self, step_scores: dict[str, list[float]], response: str, n_before: int) -> None:
        for model, values in step_scores.items():
            if model not in self.scores:
                first = f"sample 0 of problem {self.problems[0].problem_id!r}"
                self.scores[model] = ScoreRange(math.inf, -math.inf, first if n_before else None)
            scores = self.scores[model]
            finite = list(filter(math.isfinite, values))
            scores.low, scores.high = min([scores.low, *finite]), max([scores.high, *finite])
        if len(step_scores) < len(self.scores):
            for model, scores in self.scores.items():
                if model not in step_scores and scores.lacking is None:
                    scores.lacking = response

    def _add_flat(self, by_problem: dict[str, _Places], row: FlatRow, line: Line, offset: int) -> None:
        problem_id = str(row.problem_id)
        if problem_id not in by_problem:
            self.problems.append(Problem(problem_id, row.problem, row.answer))
        places = by_problem.setdefault(problem_id, {})
        index = row.sample if row.sample is not None else len(places)
        first, _ = places.setdefault((row.generator, index), (line.number, offset))
        if first != line.number:
            raise UserError(f"{line.where}: sample {index} of problem {problem_id!r} is already in {line.unit} {first}")
