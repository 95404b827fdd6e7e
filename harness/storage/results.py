"""Stored results: what every table, figure and report is made from. Nothing here runs or changes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from harness.core.aggregation import cannot_be, known_aggregation
from harness.core.errors import UserError, first_error
from harness.core.records import Grade, LedgerRow, Problem, Response, StepScores
from harness.core.stages import StageKind
from harness.data.documents import read_json
from harness.storage.arrow import SCHEMAS
from harness.storage.inventory import check_inventory
from harness.storage.ledger import read_ledger
from harness.storage.manifest import Manifest
from harness.storage.sharded_rows import ShardedRows, ShardIndex, read_rows
from harness.storage.shards import LEDGER, shard_files, shard_meta


@dataclass
class Unscored:
    """How many responses there are, and how many of them were left without a score, by reason."""

    n_responses: int
    reasons: Counter[str]


@dataclass(frozen=True, eq=False)
class Results:
    """One results folder. Tables have the columns of the records.

    ``problems`` has one more column, ``set``: the name of the set that a problem is of. Sets follow each other. Grades,
    responses and scores are read when asked for: shard by shard where a run may be large. ``graded_by`` is the stage
    whose grades count.
    """

    folder: Path
    manifest: Manifest
    problems: pd.DataFrame
    ledger: pd.DataFrame
    graded_by: StageKind = StageKind.GRADE

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Problem id → its place among the problems, from 0."""
        return {problem_id: place for place, problem_id in enumerate(self.problems["problem_id"])}

    def rows(self, record: type, *place: str, columns: list[str] | None = None) -> ShardedRows:
        """The rows of a folder of the results, say ``Response, "responses", generator``, or some columns of them."""
        folder = self.folder.joinpath(*place)
        if folder not in self._indexes:
            self._indexes[folder] = ShardIndex(folder, self.places)
        return ShardedRows(self._indexes[folder], record, columns)

    @cached_property
    def _indexes(self) -> dict[Path, ShardIndex]:
        return {}

    @cached_property
    def grades(self) -> pd.DataFrame:
        """The grades of all generators, at once: not for what a report of a large run needs."""
        return _all_grades(self.folder / self.graded_by.folder, self.manifest.generators)

    def graded(self, generator: str, columns: list[str] | None = None) -> ShardedRows:
        """The grades of a generator's responses, or some columns of them."""
        return self.rows(Grade, self.graded_by.folder, generator, columns=columns)

    def has_grades(self, generator: str) -> bool:
        """Whether a response of a generator is graded."""
        return any(len(table) for table in self.graded(generator, ["sample"]))

    @cached_property
    def _ledgers(self) -> dict[tuple[str, ...], pd.DataFrame]:
        return {}

    def scores(self, reward_model: str, generator: str) -> pa.Table:
        """A reward model's scores of a generator's responses; without rows where there are none.

        An Arrow table: step rewards of a large run do not fit comfortably in Python objects.
        """
        return _table(self.folder / StageKind.SCORE.folder / reward_model / generator, StepScores)

    def responses(self, generator: str, columns: list[str]) -> Iterator[pa.Table]:
        """Some columns of a generator's responses, shard by shard."""
        return iter(self.rows(Response, StageKind.SAMPLE.folder, generator, columns=columns))

    def unscored(self, reward_model: str, generator: str) -> Unscored:
        """What a reward model left unscored of a generator's responses."""
        unscored = Unscored(0, Counter())
        for path in shard_files(self.folder / StageKind.SCORE.folder / reward_model / generator):
            rewards = read_rows(path, StepScores, ["step_rewards"]).column("step_rewards")
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

    @property
    def second(self) -> Results | None:
        """The same results with the grades of the second verifier; None without one that has graded something."""
        second = replace(self, graded_by=StageKind.SECOND_GRADE)
        names = self.manifest.generators if self.manifest.second_verifier else ()
        return second if any(second.has_grades(name) for name in names) else None

    def ledger_of(self, *place: str) -> pd.DataFrame:
        """The ledger of a folder of the results, say ``"responses", generator``; no rows where it is not known.

        It is read once. The rows are in the order of the shards.
        """
        if place not in self._ledgers:
            self._ledgers[place] = _frame(self.folder.joinpath(LEDGER, *place), LedgerRow)
        return self._ledgers[place]

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
                if cannot_be(aggregation, facts.score_type) is None:
                    rows.append((name, aggregation))
        return rows


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
        try:
            known_aggregation(aggregation)
        except ValueError as error:
            raise UserError(f"{path}: evaluation.aggregation: {error}") from None
    check_inventory(folder, manifest.shards)
    return manifest


def load_results(folder: Path) -> Results:
    """Read a results folder.

    Raises:
        UserError: for what :func:`stored_manifest` refuses, shards that are damaged, results without problems or
            grades, and a generator without a response to any problem.
    """
    manifest = stored_manifest(folder)
    sets = {name: _table(folder / "problems" / name, Problem) for name in manifest.problem_sets}
    if empty := next((name for name, table in sets.items() if not len(table)), None):
        raise UserError(f"{folder}: no problems under problems/{empty}; run the experiment again")
    of_set = [name for name, table in sets.items() for _ in range(len(table))]
    problems = pa.concat_tables(sets.values()).to_pandas().assign(set=of_set)
    costs = [path for place in _places(manifest) for path in shard_files(folder / LEDGER / place)]
    results = Results(
        folder,
        manifest,
        problems,
        _concatenate(costs, LedgerRow).to_pandas(),
    )
    missing = [name for name in manifest.generators if not results.has_grades(name)]
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
    read = read_ledger if record is LedgerRow else partial(read_rows, record=record)
    tables = [read(path) for path in paths]
    return pa.concat_tables(tables) if tables else SCHEMAS[record].empty_table()
