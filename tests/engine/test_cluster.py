"""Two nodes: replicas on both, one dies half-way, the results are those of one undisturbed process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import actors_below, finish, sampling_experiment, shards, start, wait_for
from ray.cluster_utils import Cluster


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    monkeypatch.chdir(tmp_path)  # nodes do not start in the driver's folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    options = {"num_cpus": 1, "object_store_memory": 128 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    yield cluster
    cluster.shutdown()


def test_a_node_dies_half_way(cluster: Cluster, tmp_path: Path) -> None:
    undisturbed = sampling_experiment(tmp_path / "undisturbed")
    finish(start(undisturbed))
    second = cluster.add_node(num_cpus=1, object_store_memory=128 << 20)
    raylets = [node.all_processes["raylet"][0].process.pid for node in (cluster.head_node, second)]

    config = sampling_experiment(tmp_path / "disturbed", replicas=2)
    process = start(config, "--address", cluster.address)
    wait_for(lambda: all(actors_below(raylet) for raylet in raylets) and len(shards(config)) >= 3)
    stored = len(shards(config))
    cluster.remove_node(second, allow_graceful=False)
    finish(process)
    assert stored < len(shards(config)), "the node died after the run"
    assert shards(config) == shards(undisturbed)


def test_nothing_answers_at_the_address(tmp_path: Path) -> None:
    process = start(sampling_experiment(tmp_path), "--address", "127.0.0.1:1")
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 2
    assert stderr.splitlines()[-1].startswith("bonbench: --address 127.0.0.1:1: no Ray cluster answers there")
