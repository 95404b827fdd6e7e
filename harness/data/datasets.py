"""Problem sets: local JSONL or Parquet, the Hugging Face hub, the problems of recorded responses.

A procedural set registers itself like any other component (see ``experiments.pocket.world``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.components import Dataset
from harness.core.errors import UserError
from harness.core.params import ComponentParams, DataPath, Unkeyed
from harness.core.records import Problem
from harness.data.golds import gold_text, is_gold, row_id
from harness.data.hub import HubSplit, load_split
from harness.data.lines import Row, read_rows

_LEVEL = re.compile(r"(?:Level )?([0-9]{1,9})")  # "Level 3" in MATH, a number in MATH-500


class RowParams(ComponentParams):
    """Which columns hold what. ``limit`` takes the first problems of the set."""

    limit: int | None = Field(default=None, ge=1)
    split: str = "test"
    problem: str = "problem"
    answer: str = "answer"
    id: str = "unique_id"


class FileParams(RowParams):
    path: DataPath


class HubParams(RowParams, HubSplit):
    """``size`` is how many rows the split has: `bonbench plan` uses it where the data set is not on the machine."""

    size: int | None = Field(default=None, ge=1)


def _problems(rows: Iterator[tuple[str, Row]], params: RowParams) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for where, row in rows:
        if params.limit is not None and len(problems) == params.limit:
            break
        problem, answer = row.get(params.problem), row.get(params.answer)
        if not isinstance(problem, str) or not is_gold(answer):
            column = params.answer if isinstance(problem, str) else params.problem
            raise UserError(f"{where}: no text in column {column!r}; the columns are {', '.join(map(str, row))}")
        ids = (row_id(row.get(column), f"{where}: column {column!r}") for column in (params.id, "problem_id"))
        # A row without an id is named by its place, as evaluation sets are never reordered.
        identifier = next(filter(None, ids), f"{params.split}-{len(problems):05d}")
        if identifier in problems:
            raise UserError(f"{where}: an earlier row has the id {identifier!r} too; give each problem its own id")
        level = _LEVEL.fullmatch(_first(row, "level"))
        problems[identifier] = Problem(
            problem_id=identifier,
            problem=problem,
            answer=gold_text(answer),
            subject=_first(row, "subject", "type"),
            level=int(level[1]) if level else None,
            split=params.split,
        )
    return list(problems.values())


def _first(row: Row, *columns: str) -> str:
    """What the first of the columns that says anything says: 0 is something, null and an empty text are nothing."""
    return next((str(row[column]) for column in columns if row.get(column) not in (None, "")), "")


class FileDataset(Dataset[FileParams]):
    """Problems from a local .jsonl, .jsonl.gz or .parquet file, one row each."""

    Params: ClassVar[type[ComponentParams]] = FileParams

    def load(self) -> list[Problem]:
        return _problems(read_rows(Path(self.params.path)), self.params)


class HubDataset(Dataset[HubParams]):
    """Problems from a Hugging Face data set, for instance ``HuggingFaceH4/MATH-500``."""

    Params: ClassVar[type[ComponentParams]] = HubParams

    @classmethod
    def declared_size(cls, params: HubParams) -> int | None:
        return min((n for n in (params.size, params.limit) if n is not None), default=None) if params.size else None

    def load(self) -> list[Problem]:
        p = self.params
        return _problems(((f"{p.path} row {i}", dict(row)) for i, row in enumerate(load_split(p))), p)


class ResponsesParams(ComponentParams):
    path: DataPath
    limit: int | None = Field(default=None, ge=1)
    set: Annotated[str | None, Unkeyed((None,))] = Field(
        default=None, description="which set of an exported folder; null: all of its problems"
    )


class ResponsesDataset(Dataset[ResponsesParams]):
    """The problems of a file of recorded responses (see ``harness.data.response_files``), or of a folder that
    ``bonbench export`` wrote."""

    Params: ClassVar[type[ComponentParams]] = ResponsesParams

    def load(self) -> list[Problem]:
        """The problems, in the file's order.

        Raises:
            UserError: for a file that cannot be read, or that has responses without problems.
        """
        from harness.data.response_files import RecordedFile, open_recorded

        recorded = open_recorded(self.params.path)
        if self.params.set is None:
            problems = recorded.problems
        elif isinstance(recorded, RecordedFile):
            raise UserError(f"{self.params.path}: a file of responses has no sets: leave `set` out")
        else:
            problems = recorded.of_set(self.params.set)
        if not all(p.problem for p in problems):
            raise UserError(f"{self.params.path}: has responses but no problems: name their set under problems:")
        return problems[: self.params.limit]
