"""Reads a folder that ``bonbench export`` wrote (:mod:`harness.data.export_facts`), problem by problem."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.core.errors import UserError, shortened, suggest
from harness.core.files import no_file, said
from harness.core.problem_ids import own_id
from harness.core.records import Problem, Response
from harness.data.export_facts import (
    GRADE_COLUMNS,
    PROBLEMS,
    SCORE_COLUMNS,
    SECOND,
    ExportFacts,
    read_facts,
    score_column,
)
from harness.data.lines import Row
from harness.data.response_rows import RecordedSample

_TEXT, _WHOLE, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

PROBLEM_SCHEMA = pa.schema(
    {
        "problem_id": _TEXT,
        "problem": _TEXT,
        "answer": _TEXT,
        "subject": _TEXT,
        "level": _WHOLE,
        "split": _TEXT,
        "set": _TEXT,
    }
)
RESPONSE_SCHEMA = pa.schema(
    {
        "problem_id": _TEXT,
        "generator": _TEXT,
        "sample": _WHOLE,
        "text": _TEXT,
        "n_prompt_tokens": _WHOLE,
        "n_tokens": _WHOLE,
        "finish_reason": _TEXT,
        "seed": _WHOLE,
        "token_ids": pa.list_(_WHOLE),
    }
)
_GRADE_TYPES = dict(zip(GRADE_COLUMNS, (_TEXT, _FLAG, _TEXT, _WHOLE), strict=True))
_SCORE_TYPES = dict(zip(SCORE_COLUMNS, (_NUMBER, pa.list_(_NUMBER), pa.list_(_WHOLE), _WHOLE), strict=True))

#: Columns of the responses that have a value in every row.
_NEVER_NULL = {name for name in RESPONSE_SCHEMA.names if name not in ("seed", "token_ids")}

_ROW_GROUPS_IN_MEMORY = 4
_FILES_OPEN = 8


def responses_schema(reward_models: Sequence[str], second_verifier: bool) -> pa.Schema:
    """The columns of the files of responses."""
    graded = [
        (prefix + name, type_) for prefix in ("", SECOND)[: 1 + second_verifier] for name, type_ in _GRADE_TYPES.items()
    ]
    scored = [(score_column(model, name), type_) for model in reward_models for name, type_ in _SCORE_TYPES.items()]
    return pa.schema([*RESPONSE_SCHEMA, *graded, *scored])


@dataclass(frozen=True, slots=True)
class _RowGroup:
    path: Path
    index: int
    first: int  # number of its first row among the generator's
    n: int


@dataclass
class _Index:
    """Where the responses of a generator are: the groups of rows, and the rows of each problem (first, how many)."""

    groups: list[_RowGroup] = field(default_factory=list)
    problems: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, group: _RowGroup, ids: pa.ChunkedArray, samples: pa.ChunkedArray) -> None:
        """Add a group of rows.

        Raises:
            ValueError: for rows in another order than that of an export.
        """
        self.groups.append(group)
        numbers = np.asarray(samples.to_numpy(), dtype=np.int64)
        at = 0
        for problem_id, n in _runs(ids.to_pylist()):
            first, before = self.problems.get(problem_id, (group.first + at, 0))
            if first + before != group.first + at or not np.array_equal(numbers[at : at + n], before + np.arange(n)):
                raise ValueError(
                    f"the responses to problem {problem_id!r} are not all together, in the order of their samples"
                )
            self.problems[problem_id] = first, before + n
            at += n


class ExportFolder:
    """What another team's folder holds. Groups of rows are read when they are asked for, so that it may be larger than
    memory.

    Attributes:
        facts: what the folder says of itself.
        problems: all problems, in order.
        counts: generator -> how many of its responses there are to each problem, by the id.

    Raises:
        UserError: naming the file, where one is missing, damaged, or other than ``bonbench export`` writes it.
    """

    def __init__(self, folder: Path, shown: str) -> None:
        self._folder, self._shown = folder, shown
        self.facts: ExportFacts = read_facts(folder)
        self._files: OrderedDict[Path, pq.ParquetFile] = OrderedDict()
        self._tables: OrderedDict[tuple[Any, ...], pa.Table] = OrderedDict()
        self._schema = responses_schema(list(self.facts.reward_models), self.facts.second_verifier)
        self._sets: dict[str, list[Problem]] = {name: [] for name in self.facts.problem_sets}
        self._read_problems()
        self._texts = {problem.problem_id: problem.problem for problem in self.problems}
        self._indices = {name: self._index(name) for name in self.facts.generators}
        self.counts = {
            name: {id_: n for id_, (_, n) in index.problems.items()} for name, index in self._indices.items()
        }

    @property
    def problems(self) -> list[Problem]:
        return [problem for problems in self._sets.values() for problem in problems]

    def of_set(self, name: str) -> list[Problem]:
        """The problems of a set, with the ids that they have in it.

        Raises:
            UserError: for a set that is not there.
        """
        if name not in self._sets:
            raise UserError(f"{self._shown} has no problem set {name!r}{suggest(name, self._sets)}")
        if name == self.facts.problem_sets[0]:
            return self._sets[name]
        return [replace(p, problem_id=own_id(p.problem_id) or p.problem_id) for p in self._sets[name]]

    def available(self, generator: str, problems: Sequence[Problem]) -> dict[str, int]:
        """How many responses of a generator there are to each of ``problems``, by the id."""
        counts = self.counts[generator]
        return {problem.problem_id: counts.get(self._id(problem), 0) for problem in problems}

    def samples(self, problem: Problem, generator: str) -> tuple[RecordedSample, ...]:
        """The responses of a generator to a problem; none where there are none."""
        first, n = self._indices[generator].problems.get(self._id(problem), (0, 0))
        return tuple(
            RecordedSample(
                text=row["text"],
                n_tokens=row["n_tokens"],
                generator=generator,
                n_prompt_tokens=row["n_prompt_tokens"],
                finish_reason=row["finish_reason"],
                seed=row["seed"],
                token_ids=None if row["token_ids"] is None else tuple(row["token_ids"]),
            )
            for row in self._rows(generator, first, n, RESPONSE_SCHEMA.names)
        )

    def about(self, problem: Problem, response: Response, columns: Sequence[str]) -> Row:
        """Some columns of the row that is about a response: of its generator, or of another one that wrote the same.

        Raises:
            UserError: where no row is about it, and where two generators wrote the same and have other values.
        """
        names = [response.generator] if response.generator in self._indices else list(self._indices)
        found: Row | None = None
        for generator in names:
            first, n = self._indices[generator].problems.get(self._id(problem), (0, 0))
            rows = self._rows(generator, first + response.sample, response.sample < n, ["text", *columns])
            if not rows or rows[0].pop("text") != response.text:
                continue
            row = rows[0]
            if found is not None and repr(found) != repr(row):
                raise UserError(
                    f"{self._shown}: several generators wrote sample {response.sample} of problem "
                    f"{response.problem_id!r}: call the generators of the experiment {', '.join(names)}, as there"
                )
            found = row
        if found is None:
            hint = "" if response.generator in self._indices else suggest(response.generator, names)
            raise UserError(
                f"{self._shown} has no sample {response.sample} of problem {response.problem_id!r} by "
                f"{response.generator} as it is here: what is recorded goes with responses replayed from the same "
                f"folder{hint}"
            )
        return found

    def _id(self, problem: Problem) -> str:
        """What the folder calls a problem: as the experiment does, or as the set of the problem does."""
        own = own_id(problem.problem_id)
        if problem.problem_id in self._texts or own is None:
            return problem.problem_id
        return own if self._texts.get(own) == problem.problem else problem.problem_id

    def _rows(self, generator: str, first: int, n: int, columns: Sequence[str]) -> list[Row]:
        """``n`` rows of a generator, from the row ``first`` on."""
        groups, rows = self._indices[generator].groups, list[Row]()
        place = bisect_right(groups, first, key=lambda group: group.first) - 1
        while len(rows) < n:
            group, at = groups[place], first + len(rows)
            with self._readable(group.path):
                rows += self._table(group, columns).slice(at - group.first, n - len(rows)).to_pylist()
            place += 1
        return rows

    def _table(self, group: _RowGroup, columns: Sequence[str]) -> pa.Table:
        key = group.path, group.index, *columns
        if key not in self._tables:
            schema = pa.schema([self._schema.field(name) for name in columns])
            # A name with a dot names what is nested, too: other columns may come with it.
            read = self._opened(group.path).read_row_group(group.index, columns=list(columns), use_threads=False)
            table = read.select(schema.names).cast(schema)
            if empty := next((c for c in columns if c in _NEVER_NULL and table[c].null_count), None):
                raise ValueError(f"the column {empty!r} has nulls")
            self._tables[key] = table
            if len(self._tables) > _ROW_GROUPS_IN_MEMORY:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        return self._tables[key]

    def _opened(self, path: Path) -> pq.ParquetFile:
        if path not in self._files:
            self._files[path] = pq.ParquetFile(path, page_checksum_verification=True)
            if len(self._files) > _FILES_OPEN:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return self._files[path]

    def _read_problems(self) -> None:
        path = self._folder / PROBLEMS
        with self._readable(path):
            rows = pq.read_table(path, use_threads=False, partitioning=None, page_checksum_verification=True)
            rows = rows.select(PROBLEM_SCHEMA.names).cast(PROBLEM_SCHEMA).to_pylist()
        seen: set[str] = set()
        for row in rows:
            of_set = row.pop("set")
            if of_set not in self._sets or None in (row["problem_id"], row["problem"], row["answer"]):
                raise UserError(f"{path}: problem {row['problem_id']!r} is of no set, or has no text or no gold answer")
            if row["problem_id"] in seen:
                raise UserError(f"{path}: the problem {row['problem_id']!r} is there twice")
            seen.add(row["problem_id"])
            self._sets[of_set].append(Problem(**{**row, "subject": row["subject"] or "", "split": row["split"] or ""}))

    def _index(self, generator: str) -> _Index:
        index, first = _Index(), 0
        for name in self.facts.generators[generator].files:
            path = self._folder / name
            with self._readable(path):
                opened = self._opened(path)
                if missing := set(self._schema.names) - set(opened.schema_arrow.names):
                    raise ValueError(f"no column {min(missing)!r}")
                for number in range(opened.metadata.num_row_groups):
                    group = _RowGroup(path, number, first, opened.metadata.row_group(number).num_rows)
                    ids = self._table(group, ["problem_id", "sample"])
                    index.add(group, ids["problem_id"], ids["sample"])
                    first += group.n
        expected = self.facts.generators[generator].responses
        if first != expected:
            raise UserError(f"{self._shown}: {first} responses of {generator} of {expected}: is the folder complete?")
        return index

    @contextmanager
    def _readable(self, path: Path) -> Iterator[None]:
        if reason := no_file(path):
            raise UserError(f"{path}: {reason}: is the folder complete?")
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
            raise UserError(f"{path}: cannot be read: {shortened(said(error))}; is the file complete?") from None


def _runs(values: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Equal neighbours: the value, and how many."""
    start = 0
    for at in range(1, len(values) + 1):
        if at == len(values) or values[at] != values[start]:
            yield values[start], at - start
            start = at
