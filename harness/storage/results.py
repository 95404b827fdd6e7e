"""Stored results: what every table, figure and report is made from. Nothing here runs or changes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from harness.core.errors import UserError, first_error
from harness.core.records import Grade, LedgerRow, Problem, Response, StepScores
from harness.core.stages import StageKind
from harness.core.terms import AGGREGATIONS
from harness.data.documents import read_json
from harness.storage.arrow import SCHEMAS
from harness.storage.inventory import check_inventory
from harness.storage.ledger import read_ledger
from harness.storage.manifest import Manifest
from harness.storage.shards import LEDGER, in_columns, read_shard, shard_files, shard_meta


@dataclass
class Unscored:
    """How many responses there are, and how many of them were left without a score, by reason."""

    n_responses: int
    reasons: Counter[str]


@dataclass(frozen=True, eq=False)
class Results:
    """One results folder. Tables have the columns of the records; responses and scores are read when asked for."""

    folder: Path
    manifest: Manifest
    problems: pd.DataFrame
    grades: pd.DataFrame
    ledger: pd.DataFrame

    def scores(self, reward_model: str, generator: str) -> pa.Table:
        """A reward model's scores of a generator's responses; without rows where there are none.

        An Arrow table: step rewards of a large run do not fit comfortably in Python objects.
        """
        return _table(self.folder / StageKind.SCORE.folder / reward_model / generator, StepScores)

    def responses(self, generator: str, columns: list[str]) -> Iterator[pa.Table]:
        """Some columns of a generator's responses, shard by shard."""
        for path in shard_files(self.folder / StageKind.SAMPLE.folder / generator):
            yield _read(path, Response, columns)

    def lengths(self, generator: str) -> pd.DataFrame:
        """How long a generator's responses are: ``problem_id``, ``sample``, ``characters``. One shard is in memory."""
        frames = [pd.DataFrame({"problem_id": [], "sample": [], "characters": []})]
        for path in sorted((self.folder / StageKind.SAMPLE.folder / generator).glob("part-*.parquet")):
            table = _read(path, Response, ["problem_id", "sample", "text"])
            frames.append(table.set_column(2, "characters", pc.utf8_length(table.column("text"))).to_pandas())
        return pd.concat(frames, ignore_index=True)

    def unscored(self, reward_model: str, generator: str) -> Unscored:
        """What a reward model left unscored of a generator's responses."""
        unscored = Unscored(0, Counter())
        for path in shard_files(self.folder / StageKind.SCORE.folder / reward_model / generator):
            rewards = _read(path, StepScores, ["step_rewards"]).column("step_rewards")
            unscored.n_responses += len(rewards)
            if n := pc.sum(pc.equal(pc.list_value_length(rewards), 0)).as_py():
                reason = shard_meta(path).get("unscored_because", "")
                unscored.reasons.update(reason if isinstance(reason, dict) else {reason: n})
        return unscored

    def verdicts(self, reward_model: str, generator: str) -> Counter[str]:
        """What became of the replies that a reward model read verdicts from (kind -> replies); none where it read none.

        The kinds are those of :meth:`harness.core.components.RewardModel.verdicts`.
        """
        counts: Counter[str] = Counter()
        for path in sorted((self.folder / StageKind.SCORE.folder / reward_model / generator).glob("part-*.parquet")):
            counts.update(shard_meta(path).get("verdicts", {}))
        return counts

    def unanswered(self, generator: str, kind: StageKind = StageKind.SAMPLE) -> dict[str, str]:
        """The problems that a generator, or policy, left without responses, each with the reason."""
        reasons: dict[str, str] = {}
        for path in shard_files(self.folder / kind.folder / generator):
            meta = shard_meta(path)
            reasons |= dict.fromkeys(meta.get("unanswered", ()), meta.get("unanswered_because", ""))
        return reasons

    def policy_grades(self) -> pd.DataFrame:
        """The grades of all policies, in the columns of ``grades``: ``generator`` is the policy."""
        return _all_grades(self.folder / StageKind.POLICY_GRADE.folder, self.manifest.policies)

    def second_grades(self) -> pd.DataFrame:
        """The second verifier's grades of all generators, in the columns of ``grades``; no rows without one."""
        names = self.manifest.generators if self.manifest.second_verifier else ()
        return _all_grades(self.folder / StageKind.SECOND_GRADE.folder, names)

    def ledger_of(self, *place: str) -> pd.DataFrame:
        """The ledger of a folder of the results, say ``"responses", generator``; no rows where it is not known."""
        rows: pd.DataFrame = _table(self.folder.joinpath(LEDGER, *place), LedgerRow).to_pandas()
        return rows

    def by_problem(self, record: type, *place: str) -> RowsByProblem:
        """The rows of a folder of the results, say ``Response, "responses", generator``."""
        return RowsByProblem(self.folder.joinpath(*place), record)

    def training_model(self, reward_model: str) -> str | None:
        """The entry whose training made a reward model's model; None for one that was not trained here."""
        facts = self.manifest.reward_models[reward_model]
        return facts.trained_by or (reward_model if facts.train is not None else None)

    def variants(self) -> list[tuple[str, str]]:
        """(reward model, aggregation) of every row of the tables; a model's headline aggregation comes first."""
        aggregations = self.manifest.evaluation.aggregation
        rows = []
        for name, facts in self.manifest.reward_models.items():
            for aggregation in aggregations or [facts.aggregation]:
                if aggregation != "prod" or facts.score_type == "probability":
                    rows.append((name, aggregation))
        return rows


class RowsByProblem:
    """The rows of a folder's shards, problem by problem, with the columns of ``record``.

    One shard at a time is in memory. So reading is quick when problems are asked for in the order of the shards.
    """

    def __init__(self, folder: Path, record: type) -> None:
        self._record = record
        self._shards: dict[str, list[Path]] = {}
        for path in shard_files(folder):
            for problem_id in _read(path, record, ["problem_id"]).column("problem_id").unique().to_pylist():
                self._shards.setdefault(problem_id, []).append(path)
        self._path: Path | None = None
        self._table = SCHEMAS[record].empty_table()
        self._rows: Mapping[Any, Any] = {}

    def __getitem__(self, problem_id: str) -> pa.Table:
        """The stored rows of a problem; a table without rows where the problem has none."""
        tables = [SCHEMAS[self._record].empty_table()]
        for path in self._shards.get(problem_id, ()):
            if path != self._path:
                self._path, self._table = path, _read(path, self._record)
                names = self._table.column("problem_id").to_pandas()
                self._rows = names.groupby(names).indices
            tables.append(self._table.take(self._rows[problem_id]))
        return pa.concat_tables(tables)


def stored_manifest(folder: Path) -> Manifest:
    """The manifest of a results folder, which holds what a run left there.

    Raises:
        UserError: for a folder without a manifest, a manifest that is not one, and shards that are lost.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"{folder}: no results there (no manifest.json); `bonbench run CONFIG` makes them")
    try:
        manifest = Manifest.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error, Manifest)}{_by_another(path)}") from None
    for aggregation in manifest.evaluation.aggregation or []:
        if aggregation not in AGGREGATIONS:
            raise UserError(f"{path}: evaluation.aggregation: no aggregation is named {aggregation!r}")
    check_inventory(folder, manifest.shards)
    return manifest


def load_results(folder: Path) -> Results:
    """Read a results folder.

    Raises:
        UserError: for what :func:`stored_manifest` refuses, shards that are damaged, results without problems or
            grades, and a generator without a response to any problem.
    """
    manifest = stored_manifest(folder)
    problems = _frame(folder / "problems" / manifest.problem_set, Problem)
    if problems.empty:
        raise UserError(f"{folder}: no problems under problems/{manifest.problem_set}; run the experiment again")
    grades = {name: _frame(folder / StageKind.GRADE.folder / name, Grade) for name in manifest.generators}
    missing = [name for name, frame in grades.items() if frame.empty]
    costs = [path for place in _places(manifest) for path in shard_files(folder / LEDGER / place)]
    results = Results(
        folder,
        manifest,
        problems,
        pd.concat(grades.values(), ignore_index=True),
        _concatenate(costs, LedgerRow).to_pandas(),
    )
    for name in missing:
        if reasons := results.unanswered(name):
            raise UserError(
                f"{folder}: {name} has no response to any problem: {next(iter(reasons.values()))}; remove it"
            )
    if missing:
        raise UserError(f"{folder}: no grades of {', '.join(missing)}: the run is not complete, start it again")
    return results


def _by_another(path: Path) -> str:
    """The end of an error line where another version of BonBench wrote a manifest, or nothing of the kind did."""
    content = read_json(path)
    versions = content.get("versions") if isinstance(content, dict) else None
    wrote = versions.get("bonbench") if isinstance(versions, dict) else None
    if wrote == version("bonbench"):
        return ""
    return f"; BonBench {wrote} wrote it, and this is {version('bonbench')}" if wrote else "; is it one of BonBench?"


def _places(manifest: Manifest) -> list[str]:
    """The folders of the generators, policies, reward models and trainings that the manifest names.

    A results folder may hold more folders, which an earlier run left.
    """
    places = [f"{kind.folder}/{name}" for name in manifest.generators for kind in (StageKind.SAMPLE, StageKind.GRADE)]
    policy = StageKind.POLICY, StageKind.POLICY_GRADE
    places += [f"{kind.folder}/{name}" for name in manifest.policies for kind in policy]
    for name, facts in manifest.reward_models.items():
        if facts.trained_by or facts.train is not None:
            places.append(f"{StageKind.TRAIN.folder}/{facts.trained_by or name}")
        passes = [f"{StageKind.TOKEN_PASS.folder}/{label}" for label in facts.token_passes.values()]
        verified = [f"{StageKind.VERIFY.folder}/{facts.verifications}"] if facts.verifications else []
        made = [f"{StageKind.SCORE.folder}/{name}", *passes, *verified]
        places += [f"{folder}/{generator}" for folder in made for generator in manifest.generators]
    return list(dict.fromkeys(places))  # reward models share passes and trainings


def _all_grades(folder: Path, names: Iterable[str]) -> pd.DataFrame:
    """The grades of several generators or policies; a frame without rows where there are none."""
    frames = [_frame(folder / name, Grade) for name in names]
    grades: pd.DataFrame = pd.concat(frames or [SCHEMAS[Grade].empty_table().to_pandas()], ignore_index=True)
    return grades


def _frame(folder: Path, record: type) -> pd.DataFrame:
    frame: pd.DataFrame = _table(folder, record).to_pandas()
    return frame


def _table(folder: Path, record: type) -> pa.Table:
    return _concatenate(shard_files(folder), record)


def _concatenate(paths: list[Path], record: type) -> pa.Table:
    tables = [_read(path, record) for path in paths]
    return pa.concat_tables(tables) if tables else SCHEMAS[record].empty_table()


def _read(path: Path, record: type, columns: list[str] | None = None) -> pa.Table:
    """A shard in the record's columns, or some of them."""
    schema = SCHEMAS[record]
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    if record is LedgerRow:
        return read_ledger(path)
    table = read_shard(path, columns)
    with in_columns(path):
        return table.select(schema.names).cast(schema)
