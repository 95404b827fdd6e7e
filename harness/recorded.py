"""Responses that already exist: the one reader of their file formats.

Nested JSONL (``.jsonl``, ``.jsonl.gz``), one problem per line::

    {"problem_id", "problem", "gold", ["subject", "level",]
     "samples": [{"text", ["steps": [str], "num_tokens", "step_scores": {reward_model: [float]}]}]}

or flat, one response per line or row (JSONL or Parquet), in the columns of the ``responses`` table. A missing
``problem_id`` is derived from the problem's text. Scores are aligned with ``steps``; without ``steps``, they
are the rewards of the steps of ``text`` (:mod:`harness.steps`), or a single reward of the whole response.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.records import Problem
from harness.registry import UserError
from harness.steps import step_ends


@dataclass(frozen=True, slots=True)
class RecordedSample:
    """One recorded response.

    ``steps`` is None where none are recorded, ``n_tokens`` 0 where unknown. ``step_scores`` has, per reward
    model, one value per step or a single one. ``generator`` is "" in the nested format.
    """

    text: str
    steps: tuple[str, ...] | None = None
    n_tokens: int = 0
    step_scores: dict[str, tuple[float, ...]] | None = None
    generator: str = ""
    n_prompt_tokens: int = 0
    finish_reason: str = ""

    @property
    def step_ends(self) -> tuple[int, ...] | None:
        """Character offsets of the step ends, or None where the recorded steps do not rebuild the text.

        Steps rebuild the text when they follow one another in it with nothing but whitespace around them;
        the whitespace belongs to the step before it, as in :mod:`harness.steps`.
        """
        if self.steps is None:
            return step_ends(self.text)
        if not self.steps:
            return None
        starts = []
        position = 0
        for step in self.steps:
            stripped = step.strip()
            start = self.text.find(stripped, position)
            if start < 0 or self.text[position:start].strip():
                return None
            starts.append(start)
            position = start + len(stripped)
        return None if self.text[position:].strip() else (*starts[1:], len(self.text))


@dataclass(frozen=True, slots=True)
class RecordedProblem:
    """A problem and the responses recorded for it, in file order."""

    problem: Problem
    samples: tuple[RecordedSample, ...]


class _Sample(BaseModel):
    model_config = ConfigDict(extra="ignore")
    text: str
    steps: list[str] | None = None
    num_tokens: int = Field(0, ge=0)
    step_scores: dict[str, list[float]] = {}

    @model_validator(mode="after")
    def _aligned(self) -> _Sample:
        n_steps = len(self.steps if self.steps is not None else step_ends(self.text))
        for model, scores in self.step_scores.items():
            if not scores or len(scores) not in {1, n_steps}:
                raise ValueError(f"step_scores.{model} has {len(scores)} values for {n_steps} steps")
            if not all(map(math.isfinite, scores)):
                raise ValueError(f"step_scores.{model} has a value that is not finite")
        return self


class _Nested(BaseModel):
    model_config = ConfigDict(extra="ignore")
    problem_id: str | int | None = None
    problem: str
    gold: str
    subject: str = ""
    level: int | None = None
    samples: list[_Sample] = Field(min_length=1)


class _Flat(BaseModel):
    model_config = ConfigDict(extra="ignore")
    problem_id: str | int
    text: str
    generator: str = ""
    sample: int | None = None
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    finish_reason: str = ""
    problem: str = ""
    answer: str = ""


_Row = TypeVar("_Row", bound=BaseModel)


def read_recorded(path: str | Path) -> tuple[RecordedProblem, ...]:
    """The problems of a file of recorded responses, with their samples.

    The last few files stay parsed in memory until they change on disk.

    Raises:
        UserError: naming the file and the line for anything that is not as the module's docstring says.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    stat = path.stat()
    return _read(path.resolve(), str(path), stat.st_size, stat.st_mtime_ns)


def derived_id(problem: str) -> str:
    """Identifier of a problem that came without one: it depends on its text alone."""
    return hashlib.sha256(problem.encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _read(path: Path, shown: str, size: int, mtime_ns: int) -> tuple[RecordedProblem, ...]:
    nested: list[RecordedProblem] = []
    flat: list[tuple[str, _Flat]] = []
    lines: dict[str, str] = {}
    for where, row in _rows(path, shown):
        if "samples" not in row and "text" in row:
            flat.append((where, _validated(_Flat, row, where)))
            continue
        problem = _nested(_validated(_Nested, row, where))
        first = lines.setdefault(problem.problem.problem_id, where)
        if first != where:
            raise UserError(f"{where}: problem_id {problem.problem.problem_id!r} is already in {first}")
        nested.append(problem)
    if nested and flat:
        raise UserError(f"{flat[0][0]}: a single response in a file of problems with samples")
    if not nested and not flat:
        raise UserError(f"{shown}: the file is empty")
    return tuple(nested or _grouped(flat))


def _rows(path: Path, shown: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) for each line or row of the file; places read "file line 3"."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{shown}: not a Parquet file: {error}") from error
        for number, row in enumerate(table.to_pylist(), 1):
            # Parquet has every column in every row: null stands for an absent key.
            yield f"{shown} row {number}", {k: v for k, v in row.items() if v is not None}
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{shown} line {number}", _object(line, f"{shown} line {number}")
        except (OSError, EOFError) as error:
            raise UserError(f"{shown} line {number + 1}: cannot be read: {error}") from error


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: not a JSON object")
    return row


def _validated(model: type[_Row], row: dict[str, Any], where: str) -> _Row:
    try:
        return model.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key + ': ' if key else ''}{message[:1].lower()}{message[1:]}") from error


def _nested(row: _Nested) -> RecordedProblem:
    problem_id = derived_id(row.problem) if row.problem_id is None else str(row.problem_id)
    samples = tuple(
        RecordedSample(
            text=sample.text,
            steps=None if sample.steps is None else tuple(sample.steps),
            n_tokens=sample.num_tokens,
            step_scores={model: tuple(scores) for model, scores in sample.step_scores.items()} or None,
        )
        for sample in row.samples
    )
    return RecordedProblem(Problem(problem_id, row.problem, row.gold, row.subject, row.level), samples)


def _grouped(rows: list[tuple[str, _Flat]]) -> list[RecordedProblem]:
    """Problems in order of first appearance; a generator's samples ordered by ``sample`` where it is given."""
    problems: dict[str, Problem] = {}
    samples: dict[str, list[tuple[str, int, RecordedSample]]] = {}
    places: dict[tuple[str, str, int], str] = {}
    for where, row in rows:
        problem_id = str(row.problem_id)
        problems.setdefault(problem_id, Problem(problem_id, row.problem, row.answer))
        own = samples.setdefault(problem_id, [])
        index = row.sample if row.sample is not None else len(own)
        first = places.setdefault((problem_id, row.generator, index), where)
        if first != where:
            raise UserError(f"{where}: sample {index} of problem {problem_id!r} is already in {first}")
        sample = RecordedSample(
            text=row.text,
            n_tokens=row.n_tokens,
            generator=row.generator,
            n_prompt_tokens=row.n_prompt_tokens,
            finish_reason=row.finish_reason,
        )
        own.append((row.generator, index, sample))
    return [
        RecordedProblem(problems[key], tuple(s for _, _, s in sorted(own, key=lambda item: item[:2])))
        for key, own in samples.items()
    ]
