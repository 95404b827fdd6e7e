"""One row of a file of recorded responses: its two forms, and the lines of a file (see ``response_files``)."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.core.errors import UserError
from harness.core.steps import step_ends

_PARQUET_BATCH = 1024  # rows of a Parquet file in memory at once


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
        the whitespace belongs to the step before it, as in :mod:`harness.core.steps`.
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


class _Sample(BaseModel):
    model_config = ConfigDict(extra="ignore")
    text: str
    steps: list[str] | None = None
    num_tokens: int = Field(0, ge=0)
    finish_reason: str = ""
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


class NestedRow(BaseModel):
    """A problem with its samples."""

    model_config = ConfigDict(extra="ignore")
    problem_id: str | int | None = None
    problem: str
    gold: str
    subject: str = ""
    level: int | None = None
    samples: list[_Sample] = Field(min_length=1)

    def records(self) -> tuple[RecordedSample, ...]:
        return tuple(
            RecordedSample(
                text=sample.text,
                steps=None if sample.steps is None else tuple(sample.steps),
                n_tokens=sample.num_tokens,
                finish_reason=sample.finish_reason,
                step_scores={model: tuple(scores) for model, scores in sample.step_scores.items()} or None,
            )
            for sample in self.samples
        )


class FlatRow(BaseModel):
    """One response."""

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

    def record(self) -> RecordedSample:
        return RecordedSample(
            text=self.text,
            n_tokens=self.n_tokens,
            generator=self.generator,
            n_prompt_tokens=self.n_prompt_tokens,
            finish_reason=self.finish_reason,
        )


_Row = TypeVar("_Row", bound=BaseModel)


def lines(path: Path, shown: str) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line) for each line of the file, or row of a Parquet file as JSON."""
    number = 0
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            for batch in pq.ParquetFile(path).iter_batches(_PARQUET_BATCH, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    # Parquet has every column in every row: null stands for an absent key.
                    there = {key: value for key, value in row.items() if value is not None}
                    yield number, (json.dumps(there, default=str) + "\n").encode()
        except (OSError, ValueError) as error:
            raise UserError(f"{shown}: not a Parquet file: {error}") from error
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        try:
            for line in file:
                number += 1
                yield number, line
        except (OSError, EOFError) as error:
            raise UserError(f"{shown} line {number + 1}: cannot be read: {error}") from error


def parsed(line: bytes, where: str) -> dict[str, Any]:
    """The JSON object that a line is."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: not a JSON object")
    return row


def validated(model: type[_Row], row: dict[str, Any], where: str) -> _Row:
    """A row in the form ``model``; a mistake becomes one line that begins with ``where``."""
    try:
        return model.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key + ': ' if key else ''}{message[:1].lower()}{message[1:]}") from error
