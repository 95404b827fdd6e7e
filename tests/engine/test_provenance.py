"""The manifest: written and read by one declaration, and keyed by everything that a report shows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from places import MODELS

from harness.core.records import LedgerRow, Response
from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.engine.provenance import describe_results, results_key
from harness.experiment.config import Experiment
from harness.storage.arrow import to_table
from harness.storage.manifest import Manifest, Quarantined, RewardModelFacts, write_manifest
from harness.storage.shards import write_shard

LOST = Quarantined(stage="grade", who="weak", shard="grades/weak/part-00001", problem_ids=["a"], error="killed")


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """An experiment whose first shard of responses is stored."""
    raw = {
        "name": "x",
        "output": str(tmp_path),
        "problems": {"test": {"dataset": "pocket", "split": "test", "limit": 4}},
        "sampling": {"n": 2, "max_tokens": 64},
        "generators": {"weak": {"type": "transformers", "model": str(MODELS / "weak")}},
        "evaluation": {"n": [1, 2], "aggregation": "min"},
        "problems_per_shard": 2,
    }
    graph = build_graph(Experiment.model_validate(raw))
    shard = graph.stage(StageKind.SAMPLE, "weak").shards[0]
    write_shard(shard.path(tmp_path), to_table(Response, [Response("a", "weak", 0, "text")]), shard.key)
    store_cost(graph, flops=1.0)
    return graph


def store_cost(graph: Graph, flops: float) -> None:
    shard = graph.stage(StageKind.SAMPLE, "weak").shards[0]
    row = LedgerRow("sample", "weak", "m", "cpu", 1, 1, 0, flops, 1.0, 0.0)
    write_shard(shard.ledger(graph.results), to_table(LedgerRow, [row]), shard.key)


def test_a_report_is_stale_when_its_costs_or_warnings_are(graph: Graph) -> None:
    before = results_key(graph, [])
    assert results_key(graph, []) == before
    assert results_key(graph, [LOST]) != before
    store_cost(graph, flops=2.0)
    assert results_key(graph, []) != before


def test_what_is_written_is_what_is_read(graph: Graph) -> None:
    manifest = describe_results(graph, [LOST])
    facts = RewardModelFacts(type="implicit", train={"facts": {"loss": math.nan, "margin": math.inf}})
    manifest = manifest.model_copy(update={"reward_models": {"rm": facts}})
    write_manifest(graph.results, manifest)
    raw = json.loads((graph.results / "manifest.json").read_text())
    assert list(raw) == [
        "name", "seed", "n", "config", "evaluation", "problem_set", "generators", "reward_models", "policies",
        "verifier", "second_verifier", "quarantined", "notes", "commits", "results_key", "shards", "versions",
        "machine", "commit", "written_at",
    ]  # fmt: skip
    assert raw["quarantined"] == [
        {"stage": "grade", "who": "weak", "shard": LOST.shard, "problem_ids": ["a"], "error": "killed"}
    ]
    read = Manifest.model_validate(raw)
    trained = (read.reward_models["rm"].train or {})["facts"]
    assert math.isnan(trained["loss"]) and trained["margin"] == math.inf
    assert read.evaluation.aggregation == ["min"] and read.n == 2
    assert read.model_copy(update={"reward_models": {}}) == manifest.model_copy(update={"reward_models": {}})


def test_a_manifest_of_an_earlier_version_is_read(graph: Graph) -> None:
    raw = json.loads(describe_results(graph, []).model_dump_json())
    for key in ("n", "results_key", "written_at", "machine", "policies"):
        del raw[key]
    raw["evaluation"] = {"n": [1], "aggregation": "min", "protocol": "subsets", "of a later version": 1}
    read = Manifest.model_validate(raw)
    assert (read.evaluation.aggregation, read.evaluation.protocol, read.results_key) == (["min"], ["subsets"], None)
