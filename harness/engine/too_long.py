"""How many stored responses are too long for the models that are still to read them, before anything reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.core.records import Response, Solution
from harness.core.stages import StageKind, Task
from harness.engine.graph import Graph, Node, Shard, Stage
from harness.storage.arrow import to_records
from harness.storage.shards import read_shard

_CONSEQUENCES = {
    "skip": "they will have no score",
    "truncate": "they will be cut",
    "error": "too_long: error stops the entry at the first of them",
}


def too_long_lines(graph: Graph, nodes: Iterable[Node]) -> Iterator[str]:
    """A line on each stage whose model cannot read some of the stored responses that it has still to read."""
    for node in nodes:
        if isinstance(node, Stage) and node.task in (Task.SCORE, Task.TOKEN_PASS) and node.model is not None:
            missing = [s for s in node.shards if not s.stored(graph.results)]
            readable = [s for s in missing if s.inputs["responses"].stored(graph.results)]
            if readable and (count := _count(graph, node, readable)):
                yield (
                    f"{node.kind} {node.who}: stored responses that are longer than the model reads: {count}; "
                    f"{_consequence(node)}."
                )


def _consequence(stage: Stage) -> str:
    """What becomes of responses that are too long."""
    if stage.kind is StageKind.ROLLOUT_PASS:
        return "no training will use them"
    return _CONSEQUENCES[getattr(stage.spec.params, "too_long", "skip")]


def _count(graph: Graph, stage: Stage, shards: Sequence[Shard]) -> int | None:
    """None where it cannot be told: the model is still to be trained, or its tokenizer is not on this machine."""
    if not all(training.is_done(graph.results) for training in stage.trained):
        return None
    try:
        counted: int | None = stage.spec.cls.count_too_long(
            stage.spec.params, (_solutions(graph, shard) for shard in shards)
        )
    except Exception:  # whatever a broken tokenizer raises: the stage itself will say what is wrong
        return None
    return counted


def _solutions(graph: Graph, shard: Shard) -> list[Solution]:
    problems = {p.problem_id: p for p in shard.problems}
    responses = to_records(Response, read_shard(shard.inputs["responses"].path(graph.results)))
    return [Solution(problems[r.problem_id], r) for r in responses]
