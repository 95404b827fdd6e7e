"""Which stages and trainings a run starts first: those with the longest way ahead.

This is list scheduling by the critical path (Graham, "Bounds on multiprocessing timing anomalies", 1969): of all
that is ready, that comes first after which the most work must follow, one thing after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.cost_model.gpus import GPUS
from harness.engine.executor import workers_of
from harness.engine.graph import Graph, Node, Stage, Training
from harness.engine.plan import PlannedStage, planned_stages

#: What times are planned with. Only their ratios matter here.
_GPU, _TOKENS = GPUS["h100"], 512
_AUTO = 8  # replicas, where their number depends on the cluster


def longest_paths(nodes: Sequence[Node], seconds: Mapping[Node, float]) -> dict[Node, float]:
    """Seconds from the start of each node to the end of the last node that needs it, were there room for all at once.

    Args:
        nodes: in an order in which they can run. What a node needs that is not among them counts as done.
        seconds: how long each node takes.
    """
    makers = {shard: node for node in nodes if isinstance(node, Stage) for shard in node.shards}
    after = dict.fromkeys(nodes, 0.0)  # the longest path after each node
    paths = {}
    for node in reversed(nodes):
        paths[node] = seconds[node] + after[node]
        read = (shard for one in node.shards for shard in one.inputs.values()) if isinstance(node, Stage) else ()
        for needed in {*node.requires, *(makers[shard] for shard in read if shard in makers)}:
            if needed in after:
                after[needed] = max(after[needed], paths[node])
    return paths


def by_urgency(graph: Graph, nodes: Sequence[Node]) -> list[Node]:
    """The nodes, those with the longest planned way ahead first; those that are equal in the order of the graph."""
    seconds = _seconds(graph)
    paths = longest_paths(nodes, seconds)
    return sorted(nodes, key=lambda node: -paths[node])


def _seconds(graph: Graph) -> dict[Node, float]:
    """How long each node takes on what it asks for; where its model is unknown, as long for a response as others do."""
    rows = dict(zip(graph.nodes, planned_stages(graph, _GPU, _TOKENS), strict=True))
    known = [row for row in rows.values() if row.gpu_hours]
    each = sum(row.gpu_hours or 0.0 for row in known) / max(sum(row.responses for row in known), 1)
    return {node: _hours(row, each or 1.0) * 3600 / _parts(node, row) for node, row in rows.items()}


def _hours(row: PlannedStage, each: float) -> float:
    return each * row.responses if row.gpu_hours is None else row.gpu_hours


def _parts(node: Node, row: PlannedStage) -> float:
    """Over how many GPUs, or processes without any, the work of a node is spread."""
    if isinstance(node, Training):
        return workers_of(node.spec).count
    replicas = node.spec.pool.replicas
    return min(_AUTO if replicas == "auto" else replicas, max(row.missing, 1)) * max(node.spec.pool.num_gpus, 1.0)
