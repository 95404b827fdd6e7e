"""Runs the graph: computes each shard that is not stored yet, as soon as everything that the shard reads is stored.

Every stage is a coroutine. Grading follows sampling shard by shard. A stage whose actors hold CPUs or GPUs starts only
when all that it reads is complete: no actor waits for work while another stage waits for the actor's resources. Of all
that is ready, what has the longest way ahead comes first.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from harness.core.errors import UserError, one_line
from harness.core.incomplete import missing_line
from harness.core.params import Mark
from harness.core.records import LedgerRow, Problem
from harness.engine.critical_path import by_urgency
from harness.engine.executor import Executor, Pool, ShardFailed, StageFailed
from harness.engine.graph import Graph, Node, Shard, Stage, Training
from harness.engine.learnable import check_grades, readers
from harness.engine.logs import Log
from harness.engine.moved_models import moved_models
from harness.engine.outcome import Outcome
from harness.engine.parts import Parts, failure_of, without
from harness.engine.placement import large_without_gpus
from harness.engine.progress import Board, Line
from harness.engine.provenance import describe_results
from harness.engine.tasks import Result
from harness.engine.too_long import too_long_lines
from harness.engine.training import recount_development, rehearse, run_training
from harness.storage.arrow import to_table
from harness.storage.files import locked
from harness.storage.keys import digest
from harness.storage.manifest import Quarantined, portable, write_manifest
from harness.storage.shards import read_shard, remove_other_shards, shard_key, shard_path, write_shard
from harness.storage.trained import trained_facts


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
                keep = {s.path(graph.results).name for s in stage.shards if s.folder == folder}
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
        self._parts = Parts(self._results)
        self._refused: dict[Training, UserError | None] = {}  # of the trainings whose rollouts are graded
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
            for training in (node for node in todo if isinstance(node, Training)):
                rehearse(training, self._results)
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
        if not await self._is_wanted(stage):
            for shard in missing:
                self._available[shard].set_result(False)
            return
        if stage.spec.pool.holds_resources:
            missing = [shard for shard in missing if await self._is_needed(stage, shard)]
        if not missing:
            return
        failures: list[BaseException] = []
        waiting: dict[Shard, asyncio.Task[None]] = {}

        async def compute(shard: Shard) -> None:
            """A shard. If it fails the stage, those that have not begun are left out; what is under way is finished."""
            try:
                await self._shard(stage, shard, pool, line, begun=lambda: waiting.pop(shard, None))
            except (UserError, StageFailed) as error:
                waiting.pop(shard, None)
                failures.append(error)
                for other in waiting.values():
                    other.cancel()

        async with (
            self._executor.pool(stage.spec, len(missing), self._places[stage], line) as pool,
            asyncio.TaskGroup() as group,
        ):
            line.waits(lambda: pool.waits_for() or self._waits_for(stage, missing))
            for shard in missing:
                waiting[shard] = group.create_task(compute(shard))
        if failures:
            raise failures[0]

    async def _is_wanted(self, stage: Stage) -> bool:
        """Whether any training has a use for what a stage makes, where it makes it for trainings alone."""
        trainings = [training for training in readers(stage, self._nodes) if not self._trained[training]]
        return not trainings or any([await self._can_learn(training) for training in trainings])

    async def _can_learn(self, training: Training) -> bool:
        """Whether there is something to learn from a training's rollouts, once they are graded."""
        if training not in self._refused and all(await asyncio.gather(*(self._available[s] for s in training.grades))):
            self._refused[training] = None
            try:
                check_grades(training, self._results)
            except UserError as error:
                self._refused[training] = error
        return self._refused.get(training) is None

    def _waits_for(self, node: Node, shards: Iterable[Shard] = ()) -> str | None:
        """Which other stages and trainings a node waits for."""
        waited = [other for other in node.requires if not self._tasks[other].done()]
        inputs = (shard for one in shards for shard in one.inputs.values())
        waited += [self._maker[shard] for shard in inputs if not self._available[shard].done()]
        names = [f"{other.kind} {other.who}" for other in dict.fromkeys(waited)]
        return f"waiting for {' and '.join(names)}" if names else None

    async def _is_needed(self, stage: Stage, shard: Shard) -> bool:
        """Whether a shard is to be computed, once what it reads is there or known to be missing. Without its inputs it
        will be missing too."""
        waited = [self._available[s] for s in shard.inputs.values()]
        inputs = (
            [one.result() for one in waited] if all(one.done() for one in waited) else await asyncio.gather(*waited)
        )
        is_possible = all(inputs) and self._parts.goes_on(stage, shard)
        is_settled = is_possible and self._parts.is_settled(shard)
        if not self._available[shard].done() and (is_settled or not is_possible):
            self._available[shard].set_result(is_settled)
        return is_possible and not is_settled

    async def _shard(self, stage: Stage, shard: Shard, pool: Pool, line: Line, begun: Callable[[], object]) -> None:
        if not await self._is_needed(stage, shard):
            line.leave_out(shard.n_responses)
            return

        def payload() -> dict[str, Any]:
            begun()
            line.start()
            lacking = self._parts.missing(shard.inputs.values())
            problems = [problem for problem in shard.problems if problem.problem_id not in lacking]
            tables = {r: without(read_shard(s.path(self._results)), lacking) for r, s in shard.inputs.items()}
            kept = self._parts.kept(shard)
            going_on = {} if kept is None else {"kept": kept}
            return {"problems": to_table(Problem, problems), **tables, **stage.arguments, **going_on}

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
            wall_s=result.wall_s + self._parts.seconds(shard),
            started_at=result.started_at,
            gpus=stage.spec.pool.num_gpus,
        )
        missing = self._parts.missing(shard.inputs.values()) | result.missing
        is_made = result.table.num_rows > 0 or not result.missing
        if is_made:
            key, meta = self._parts.add(shard, missing), result.meta | ({"missing": missing} if missing else {})
            write_shard(shard.ledger(self._results), to_table(LedgerRow, [row]), key)
            write_shard(shard.path(self._results), result.table, key, meta)
            self._count(row)
        if result.missing:
            self._quarantine(stage, shard, failure_of(result.missing, is_made), result.missing)
        self._available[shard].set_result(is_made and len(missing) < len(shard.problems))

    def _count(self, row: LedgerRow) -> None:
        self._outcome.computed += 1
        self._outcome.gpu_seconds += row.wall_s * (row.gpus or 0.0)

    def _fail(self, node: Node, error: BaseException) -> None:
        """A stage, or a training, fails as a whole; what does not need it goes on."""
        mistake = isinstance(error, UserError)
        if isinstance(error, UserError):
            self._outcome.mistakes.append(error)
        self._quarantine(node, None, str(error) if mistake or isinstance(error, StageFailed) else one_line(error))

    def _quarantine(self, node: Node, shard: Shard | None, error: str, part: Collection[str] = ()) -> None:
        """A node fails, or one shard of it, or ``part`` of the problems of a shard."""
        file = shard.path(self._results).relative_to(self._results) if shard else None
        place = f"{node.kind.folder}/{node.who}" if file is None else file.with_suffix("").as_posix()
        all_ids = [problem.problem_id for problem in shard.problems] if shard else []
        ids = [id_ for id_ in all_ids if id_ in part] or all_ids
        entry = Quarantined(stage=node.kind, who=node.who, shard=place, problem_ids=ids, error=error)
        self._outcome.quarantined.append(entry)
        whole = self._logs[node].hint()
        self._board.say(f"{node.kind} {node.who} failed on {entry.shard}, the run goes on: {error}{whole}")
        if shard and not part:
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
        if not await self._can_learn(training) and (mistake := self._refused[training]):
            self._fail(training, mistake)
            return
        lacking = self._parts.missing(reads)
        if lacking or not all(self._available[s].result() for s in reads):
            self._quarantine(
                training, None, "some of its rollouts are missing" + (f": {missing_line(lacking)}" if lacking else "")
            )
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
