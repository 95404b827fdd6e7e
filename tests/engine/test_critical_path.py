"""The order in which a run starts what is ready: the longest way ahead first."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from harness.core.params import ComponentParams
from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.critical_path import by_urgency, longest_paths
from harness.engine.graph import Node, Shard, Stage
from harness.experiment.config import load_experiment
from harness.experiment.spec import Pool, Spec


def stage(name: str, after: list[Stage], follows: Stage | None = None) -> Stage:
    spec: Spec[Any] = Spec("generators", name, "replay", ComponentParams(), Pool(), name)
    read = {} if follows is None else {"responses": follows.shards[0]}
    return Stage(
        kind=StageKind.SAMPLE, who=name, spec=spec, shards=[Shard(name, 0, name, (), name, read)], after=list(after)
    )


def longest(node: Node, nodes: list[Stage], seconds: dict[Node, float]) -> float:
    """By enumeration of all paths."""
    needing = [
        other
        for other in nodes
        if node in other.requires or any(s in node.shards for s in other.shards[0].inputs.values())  # type: ignore[attr-defined]
    ]
    return seconds[node] + max((longest(other, nodes, seconds) for other in needing), default=0.0)


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_paths_are_those_of_an_enumeration(seed: int) -> None:
    rng = random.Random(seed)
    nodes: list[Stage] = []
    for i in range(9):
        after = [node for node in nodes if rng.random() < 0.3]
        nodes.append(stage(str(i), after, rng.choice(nodes) if nodes and rng.random() < 0.3 else None))
    seconds: dict[Node, float] = {node: rng.choice((0.0, 1.0, 2.5, 7.0)) for node in nodes}
    assert longest_paths(nodes, seconds) == {node: longest(node, nodes, seconds) for node in nodes}


def test_what_is_not_run_is_no_part_of_a_path() -> None:
    first = stage("first", [])
    second = stage("second", [first])
    assert longest_paths([second], {first: 5.0, second: 1.0}) == {second: 1.0}


def test_the_pocket_experiment_begins_with_what_most_must_follow(tmp_path: Path) -> None:
    graph = build_graph(load_experiment(ROOT / "experiments" / "pocket.yaml", [f"output={tmp_path}"]))
    order = by_urgency(graph, graph.nodes)
    assert order == by_urgency(graph, graph.nodes)
    rank = {(node.kind, node.who): place for place, node in enumerate(order)}
    rollouts = rank[StageKind.ROLLOUT, "middle"]
    completions = next(place for (kind, _), place in rank.items() if kind is StageKind.COMPLETE)
    assert rollouts == 0
    assert completions < min(place for (kind, _), place in rank.items() if kind in (StageKind.SAMPLE, StageKind.TRAIN))
    for node in graph.nodes:
        for needed in node.requires:
            assert rank[needed.kind, needed.who] < rank[node.kind, node.who]
