"""How many prompts and stored responses are too long for the models that are still to read them, before any does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.core.records import Response, Solution
from harness.core.stages import StageKind, Task
from harness.core.verifications import Verifications
from harness.engine.graph import Graph, Node, Shard, Stage
from harness.engine.prefixes import prefixes
from harness.storage.arrow import to_records
from harness.storage.shards import read_shard

_CONSEQUENCES = {
    "truncate": "they will be cut",
    "error": "too_long: error stops the entry at the first of them",
}
_WHAT = {
    Task.SAMPLE: "problems whose prompt is longer than the model reads",
    Task.COMPLETE: "beginnings of stored rollouts that are longer than the model reads",
    Task.TOKEN_PASS: "stored responses that are longer than the model reads",
    Task.VERIFY: "questions about stored responses that are longer than the model reads",
    Task.SCORE: "stored responses that are longer than the model reads",
}
_SKIPPED = {
    Task.SAMPLE: "they will have no responses",
    Task.COMPLETE: "no training will use their rollouts",
    Task.TOKEN_PASS: "they will have no score",
    Task.VERIFY: "they will have no reply",
    Task.SCORE: "they will have no score",
}


def too_long_lines(graph: Graph, nodes: Iterable[Node]) -> Iterator[str]:
    """A line on each stage whose model cannot read some of what it has still to read."""
    for node in nodes:
        if isinstance(node, Stage) and node.task in _WHAT and node.model is not None:
            missing = [s for s in node.shards if not s.stored(graph.results)]
            readable = [s for s in missing if all(read.stored(graph.results) for read in s.inputs.values())]
            if readable and (count := _count(graph, node, readable)):
                yield f"{node.kind} {node.who}: {_WHAT[node.task]}: {count}; {_consequence(node)}."


def _consequence(stage: Stage) -> str:
    """What becomes of what is too long."""
    if stage.kind is StageKind.ROLLOUT_PASS:
        return "no training will use them"
    return _CONSEQUENCES.get(getattr(stage.spec.params, "too_long", "skip"), _SKIPPED[stage.task])


def _count(graph: Graph, stage: Stage, shards: Sequence[Shard]) -> int | None:
    """None where it cannot be told: the model is still to be trained, or its tokenizer is not on this machine."""
    if not all(training.is_done(graph.results) for training in stage.trained):
        return None
    try:
        counted: int | None = stage.spec.cls.count_too_long(
            stage.spec.params, (_solutions(graph, stage, shard) for shard in shards)
        )
    except Exception:  # whatever a broken tokenizer raises: the stage itself will say what is wrong
        return None
    return counted


def _solutions(graph: Graph, stage: Stage, shard: Shard) -> list[Solution]:
    """What a shard's model has to read. What is yet to be written has no text."""
    task = stage.task
    if task is Task.SAMPLE:
        return [Solution(p, Response(p.problem_id, shard.generator, 0, "")) for p in shard.problems]
    problems = {p.problem_id: p for p in shard.problems}
    responses = to_records(Response, read_shard(shard.inputs["responses"].path(graph.results)))
    about = [r for r in responses if r.problem_id in problems]  # steps may be labelled for a share of the problems
    if task is Task.COMPLETE:
        begun = prefixes(shard.problems, about).values()
        return [Solution(p.problem, Response(p.problem.problem_id, shard.generator, p.sample, p.text)) for p in begun]
    if task is Task.VERIFY:
        asked: Verifications = stage.arguments["asked"]
        questions = (q.asked() for q in asked.questions([Solution(problems[r.problem_id], r) for r in about]))
        return [Solution(q, Response(q.problem_id, shard.generator, 0, asked.begins)) for q in questions]
    return [Solution(problems[r.problem_id], r) for r in about]
