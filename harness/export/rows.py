"""The rows of a generator: its responses, each with its grade and what reward models give it, shard by shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.core.aggregation import aggregate
from harness.core.errors import UserError
from harness.core.records import Grade, Response, StepScores
from harness.core.stages import StageKind
from harness.core.terms import ScoreType
from harness.data.export_facts import GRADE_COLUMNS, SECOND, ExportedRewardModel, score_column
from harness.data.export_folder import responses_schema
from harness.storage.arrow import OPTIONAL, SCHEMAS
from harness.storage.manifest import RewardModelFacts
from harness.storage.shards import in_columns, read_shard, shard_files, shard_meta, shard_rows


class GeneratorRows:
    """What is stored of a generator's responses. One shard is in memory; what is missing is counted on the way.

    Attributes:
        n_rows: the responses there are.
        problem_ids, n: the problems that have responses, and the most responses to one, as far as they have been read.
        ungraded: responses without a grade, of the verifier and of the second one.
        lacking, not_finite: reward model -> the responses that it has not scored, and those with a step reward that is
            no number to compute with.
        unscored: reward model -> why it could give responses no score -> how many.
    """

    def __init__(self, results: Path, name: str, models: Mapping[str, RewardModelFacts], second_verifier: bool) -> None:
        self._results, self._name, self._models = results, name, models
        self._grades = {"": StageKind.GRADE} | ({SECOND: StageKind.SECOND_GRADE} if second_verifier else {})
        self._shards = shard_files(results / StageKind.SAMPLE.folder / name)
        self.schema = responses_schema(list(models), second_verifier)
        self.n_rows = sum(shard_rows(path) for path in self._shards)
        self.problem_ids: set[str] = set()
        self.n = 0
        self.ungraded: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()
        self.not_finite: Counter[str] = Counter()
        self.unscored: dict[str, Counter[str]] = {model: Counter() for model in models}

    def tables(self) -> Iterator[pa.Table]:
        """The rows of each shard of responses, in the columns of ``schema``."""
        for path in self._shards:
            responses = _read(path, Response)
            self.problem_ids.update(responses["problem_id"].unique().to_pylist())
            self.n = max(self.n, 1 + (pc.max(responses["sample"]).as_py() or 0))
            columns = {name: responses[name] for name in SCHEMAS[Response].names}
            for prefix, kind in self._grades.items():
                grades = _beside(self._results / kind.folder / self._name / path.name, Grade, responses)
                self.ungraded[prefix] += grades["correct"].null_count
                columns |= {prefix + name: grades[name] for name in GRADE_COLUMNS}
            for model in self._models:
                columns |= self._scored(model, path.name, responses)
            yield pa.table([columns[name] for name in self.schema.names], schema=self.schema)

    def _scored(self, model: str, shard: str, responses: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
        path = self._results / StageKind.SCORE.folder / model / self._name / shard
        scores, facts = _beside(path, StepScores, responses), self._models[model]
        rewards = scores["step_rewards"].combine_chunks()
        totals, not_finite = response_scores(rewards, facts.aggregation, facts.score_type)
        self.not_finite[model] += not_finite
        self.lacking[model] += rewards.null_count
        if n := pc.sum(pc.equal(pc.list_value_length(rewards), 0)).as_py():
            reason = shard_meta(path).get("unscored_because", "")
            self.unscored[model].update(reason if isinstance(reason, dict) else {reason: n})
        own = {name: scores[name] for name in ("step_rewards", "step_ends", "n_tokens")}
        return {score_column(model, name): column for name, column in ({"score": totals} | own).items()}


def total(facts: RewardModelFacts, name: str, rows: list[GeneratorRows]) -> ExportedRewardModel:
    """What is exported of a reward model, counted over all generators."""
    unscored = sum((of.unscored[name] for of in rows), Counter[str]())
    return ExportedRewardModel(
        **facts.model_dump(include={"reward", "score_type", "aggregation", "coefficient", "reads"}),
        lacking=sum(of.lacking[name] for of in rows),
        not_finite=sum(of.not_finite[name] for of in rows),
        unscored=dict(sorted(unscored.items())),
    )


def response_scores(rewards: pa.ListArray, aggregation: str, score_type: ScoreType) -> tuple[pa.Array, int]:
    """The scores of responses, null where there is none, and how many have step rewards that are not finite.

    An aggregation that has no meaning for such rewards gives none.

    Args:
        rewards: the step rewards of each response; null or empty where there are none.
    """
    lengths = pc.fill_null(pc.list_value_length(rewards), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = rewards.flatten().to_numpy(zero_copy_only=False)
    response = np.repeat(np.arange(len(rewards)), lengths)
    finite = np.ones(len(rewards), dtype=bool)
    finite[response[~np.isfinite(flat)]] = False
    scored = finite & (lengths > 0)
    # A single reward is the score, however it is aggregated.
    how = aggregation if lengths.max(initial=0) > 1 else "min"
    totals = np.full(len(rewards), np.nan)
    with np.errstate(over="ignore"), suppress(UserError):  # no table has such scores either
        totals[scored] = aggregate(flat[scored[response]], lengths[scored], how, score_type)
    return pa.array(totals, mask=~np.isfinite(totals)), int((~finite).sum())


def _beside(path: Path, record: type, responses: pa.Table) -> pa.Table:
    """The rows of a shard that are about ``responses``, in their order; a row of nulls where there is none."""
    rows = _read(path, record) if path.is_file() else SCHEMAS[record].empty_table()
    place = ["problem_id", "sample"]
    if all(rows[name].equals(responses[name]) for name in place):
        return rows
    number = {key: i for i, key in enumerate(zip(*(rows[name].to_pylist() for name in place), strict=True))}
    keys = zip(*(responses[name].to_pylist() for name in place), strict=True)
    return rows.take(pa.array([number.get(key) for key in keys], pa.int64()))


def _read(path: Path, record: type) -> pa.Table:
    table, schema = read_shard(path), SCHEMAS[record]
    with in_columns(path):
        for name in OPTIONAL[record]:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
        return table.select(schema.names).cast(schema)
