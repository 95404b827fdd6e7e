"""Runs the graph: computes each shard that is not stored yet, as soon as everything that the shard reads is stored.

Every stage is a coroutine. Grading follows sampling shard by shard. A stage whose actors hold CPUs or GPUs starts only
when all that it reads is complete: no actor waits for work while another stage waits for the actor's resources. Of all
that is ready, what has the longest way ahead comes first.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from harness.core.components import Mark
from harness.core.errors import UserError, one_line
from harness.core.records import LedgerRow, Problem
from harness.engine.critical_path import by_urgency
from harness.engine.executor import Executor, Pool, ShardFailed, StageFailed
from harness.engine.graph import Graph, Node, Shard, Stage, Training
from harness.engine.logs import Log
from harness.engine.moved_models import moved_models
from harness.engine.placement import large_without_gpus
from harness.engine.progress import Board, Line
from harness.engine.provenance import describe_results
from harness.engine.tasks import Result
from harness.engine.too_long import too_long_lines
from harness.engine.training import recount_development, run_training
from harness.storage.arrow import to_table
from harness.storage.files import locked
from harness.storage.keys import digest
from harness.storage.manifest import Quarantined, portable, write_manifest
from harness.storage.shards import read_shard, remove_other_shards, shard_key, shard_path, write_shard
from harness.storage.trained import trained_facts


@dataclass
class Outcome:
    """What a run did: the shards and trainings that it computed or found stored, what it quarantined, and the mistakes
    of the user among the quarantined. ``gpu_seconds`` are those of what it computed, as in the ledger."""

    computed: int = 0
    stored: int = 0
    gpu_seconds: float = 0.0
    quarantined: list[Quarantined] = field(default_factory=list)
    mistakes: list[UserError] = field(default_factory=list)

    def lines(self, results: Path) -> list[str]:
        """It in words, for results in a folder."""
        said = f"Computed {self.computed} shards and trainings; {self.stored} were stored already."
        if self.gpu_seconds:
            said += f" What it computed took {self.gpu_seconds / 3600:.2f} GPU-hours, without loading models."
        if self.computed == 0:
            said = f"Nothing to compute: all {self.stored} shards and trainings are stored in {results}."
        return [said, *(f"quarantined: {entry.shard}: {entry.error}" for entry in self.quarantined)]


def run_stages(graph: Graph, nodes: list[Node], executor: Executor, board: Board) -> Outcome:
    """Run what is missing of ``nodes`` and write the manifest.

    A mistake in one entry that shows only now (an unreadable model, for instance) fails what needs that entry, and
    nothing else.

    Raises:
        UserError: where nothing can run (resources, another run in the folder), and for the first mistake in an entry
            where nothing is stored in spite of the run.
    """
    with locked(graph.results):
        for line in moved_models(graph):
            board.say(line)
        _write_problems(graph, board)
        for training in (node for node in nodes if isinstance(node, Training)):
            if recount_development(training, graph.results):
                board.say(f"{training.kind} {training.who}: its costs are counted anew, as this version counts them.")
        outcome = asyncio.run(_Run(graph, nodes, executor, board).execute())
        for stage in (node for node in nodes if isinstance(node, Stage)):
            for folder in {s.folder for s in stage.shards}:
                keep = 1 + max(s.index for s in stage.shards if s.folder == folder)
                remove_other_shards(graph.results, folder, keep, board.say)
        write_manifest(graph.results, describe_results(graph, outcome.quarantined))
    if outcome.mistakes and not outcome.computed and not outcome.stored:
        raise outcome.mistakes[0]
    return outcome


def _write_problems(graph: Graph, board: Board) -> None:
    for name, problems in graph.problems.items():
        table = to_table(Problem, problems)
        key = digest("problems", table.to_pylist())
        path = shard_path(graph.results / "problems" / name, 0)
        if shard_key(path) != key:
            write_shard(path, table, key)


class _Run:
    def __init__(self, graph: Graph, nodes: list[Node], executor: Executor, board: Board) -> None:
        self._graph, self._nodes, self._executor, self._board = graph, nodes, executor, board
        self._results = graph.results
        self._places: dict[Node, int] = {}
        self._outcome = Outcome()
        self._logs = {node: Log(graph.results, node.kind, node.who) for node in nodes}
        self._tasks: dict[Node, asyncio.Task[None]] = {}
        self._available: dict[Shard, asyncio.Future[bool]] = {}
        self._trained: dict[Training, bool] = {}
        self._maker = {shard: node for node in nodes if isinstance(node, Stage) for shard in node.shards}

    async def execute(self) -> Outcome:
        missing: dict[Stage, list[Shard]] = {}
        todo: list[Node] = []
        for node in self._nodes:
            match node:
                case Training():
                    self._trained[node] = node.is_done(self._results)
                    self._outcome.stored += self._trained[node]
                    todo += [] if self._trained[node] else [node]
                case Stage():
                    missing[node] = self._missing(node)
                    todo += [node] if missing[node] else []
        if not todo:
            return self._outcome
        self._places = {node: place for place, node in enumerate(by_urgency(self._graph, self._nodes))}
        self._executor.start()
        explaining = asyncio.create_task(self._board.explain_silences())
        try:
            for node in todo:
                self._executor.check(node.spec)
            if (line := large_without_gpus(self._graph, todo)) and self._executor.hides_gpus():
                self._board.say(line)
            for line in too_long_lines(self._graph, todo):
                self._board.say(line)
            async with asyncio.TaskGroup() as group:
                for node in self._nodes:
                    match node:
                        case Training():
                            self._tasks[node] = group.create_task(self._train(node))
                        case Stage():
                            self._tasks[node] = group.create_task(self._run(node, missing[node]))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            explaining.cancel()
            self._executor.close()
        return self._outcome

    def _missing(self, stage: Stage) -> list[Shard]:
        """The shards of a stage that are not stored; those that are become available."""
        missing = []
        for shard in stage.shards:
            self._available[shard] = asyncio.get_running_loop().create_future()
            if shard.stored(self._results):
                self._available[shard].set_result(True)
                self._outcome.stored += 1
            else:
                missing.append(shard)
        return missing

    async def _run(self, stage: Stage, missing: list[Shard]) -> None:
        if not missing:
            return
        responses = sum(shard.n_responses for shard in missing)
        line = self._board.line(f"{stage.kind} {stage.who}", responses, "responses", self._logs[stage])
        line.waits(lambda: self._waits_for(stage, missing))
        try:
            await self._compute(stage, missing, line)
        except* (UserError, StageFailed) as errors:
            self._fail(stage, _first(errors))
            for shard in missing:
                if not self._available[shard].done():
                    self._available[shard].set_result(False)
        line.waits(None)

    async def _compute(self, stage: Stage, missing: list[Shard], line: Line) -> None:
        await asyncio.gather(*(self._tasks[node] for node in stage.requires))
        if not all(self._trained[training] for training in stage.trained):
            for shard in missing:
                self._available[shard].set_result(False)
            return
        if stage.spec.pool.holds_resources:
            missing = [shard for shard in missing if await self._has_inputs(shard)]
        if not missing:
            return
        async with (
            self._executor.pool(stage.spec, len(missing), self._places[stage], line) as pool,
            asyncio.TaskGroup() as group,
        ):
            line.waits(lambda: pool.waits_for() or self._waits_for(stage, missing))
            for shard in missing:
                group.create_task(self._shard(stage, shard, pool, line))

    def _waits_for(self, node: Node, shards: Iterable[Shard] = ()) -> str | None:
        """Which other stages and trainings a node waits for."""
        waited = [other for other in node.requires if not self._tasks[other].done()]
        inputs = (shard for one in shards for shard in one.inputs.values())
        waited += [self._maker[shard] for shard in inputs if not self._available[shard].done()]
        names = [f"{other.kind} {other.who}" for other in dict.fromkeys(waited)]
        return f"waiting for {' and '.join(names)}" if names else None

    async def _has_inputs(self, shard: Shard) -> bool:
        """Whether all that a shard reads is stored, once that is known; a shard that lacks some will be missing too."""
        waited = [self._available[s] for s in shard.inputs.values()]
        inputs = (
            [one.result() for one in waited] if all(one.done() for one in waited) else await asyncio.gather(*waited)
        )
        if not all(inputs):
            self._available[shard].set_result(False)
        return all(inputs)

    async def _shard(self, stage: Stage, shard: Shard, pool: Pool, line: Line) -> None:
        if not await self._has_inputs(shard):
            line.leave_out(shard.n_responses)
            return

        def payload() -> dict[str, Any]:
            line.start()
            tables = {role: read_shard(s.path(self._results)) for role, s in shard.inputs.items()}
            return {"problems": to_table(Problem, list(shard.problems)), **tables, **stage.arguments}

        try:
            result = await pool.run(stage.task, payload, shard.n_responses)
        except ShardFailed as error:
            self._quarantine(stage, shard, str(error))
        else:
            self._write(stage, shard, result)
            for note in result.notes:
                line.say(note)
            line.advance(shard.n_responses, result.completion_tokens)

    def _write(self, stage: Stage, shard: Shard, result: Result) -> None:
        # The ledger first: a shard that is there has its costs.
        models = stage.spec.paths(Mark.MODEL).values()
        row = LedgerRow(
            stage=stage.kind,
            what=stage.who,
            model=", ".join(portable(m) for m in models),
            device=result.device,
            prompt_tokens=result.prompt_tokens,
            completion_tokens=result.completion_tokens,
            train_tokens=0,
            flops=result.flops,
            wall_s=result.wall_s,
            started_at=result.started_at,
            gpus=stage.spec.pool.num_gpus,
        )
        write_shard(shard.ledger(self._results), to_table(LedgerRow, [row]), shard.key)
        write_shard(shard.path(self._results), result.table, shard.key, result.meta)
        self._available[shard].set_result(True)
        self._count(row)

    def _count(self, row: LedgerRow) -> None:
        self._outcome.computed += 1
        self._outcome.gpu_seconds += row.wall_s * (row.gpus or 0.0)

    def _fail(self, node: Node, error: BaseException) -> None:
        """A stage, or a training, fails as a whole; what does not need it goes on."""
        mistake = isinstance(error, UserError)
        if isinstance(error, UserError):
            self._outcome.mistakes.append(error)
        self._quarantine(node, None, str(error) if mistake or isinstance(error, StageFailed) else one_line(error))

    def _quarantine(self, node: Node, shard: Shard | None, error: str) -> None:
        place = f"{shard.folder}/part-{shard.index:05d}" if shard else f"{node.kind.folder}/{node.who}"
        ids = [p.problem_id for p in shard.problems] if shard else []
        entry = Quarantined(stage=node.kind, who=node.who, shard=place, problem_ids=ids, error=error)
        self._outcome.quarantined.append(entry)
        whole = self._logs[node].hint()
        self._board.say(f"{node.kind} {node.who} failed on {entry.shard}, the run goes on: {error}{whole}")
        if shard:
            self._available[shard].set_result(False)

    async def _train(self, training: Training) -> None:
        if self._trained[training]:
            return
        line = self._board.line(f"{training.kind} {training.who}", 1, "steps", self._logs[training])
        line.waits(lambda: self._waits_for(training))
        await self._train_now(training, line)
        line.waits(None)

    async def _train_now(self, training: Training, line: Line) -> None:
        await asyncio.gather(*(self._tasks[node] for node in training.requires))
        reads = [*training.rollouts, *training.grades, *training.completions, *training.labels]
        reads += [shard for shards in training.passes.values() for shard in shards]
        if not all(self._available[s].result() for s in reads):
            self._quarantine(training, None, "some of its rollouts are missing")
            return
        if missing := [t.who for t in training.lineage[1:] if not self._trained[t]]:
            self._quarantine(training, None, f"{missing[0]}, from which it starts, is missing")
            return
        try:
            run = partial(run_training, training, self._results, line.update)
            cost = await self._executor.train(training.spec, self._places[training], run, line)
        except UserError as error:
            self._fail(training, UserError(f"{training.spec.where}: {error}"))
            return
        except Exception as error:
            line.failed(0, "".join(traceback.format_exception(error)))
            self._fail(training, error)
            return
        self._trained[training] = True
        self._count(cost)
        if note := trained_facts(training.folder).get("note"):
            line.say(note)


def _first(error: BaseException) -> BaseException:
    """The first error of a group, which may hold groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
