"""Two nodes: replicas on both, one dies half-way, the results are those of one undisturbed process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import actors_below, finish, sampling_experiment, start, stored, undisturbed, wait_for
from ray.cluster_utils import Cluster
from runs import bonbench, contents

pytestmark = [pytest.mark.ray]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    monkeypatch.chdir(tmp_path)  # nodes do not start in the driver's folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    options = {"num_cpus": 1, "object_store_memory": 128 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    yield cluster
    cluster.shutdown()


@pytest.mark.thorough
def test_a_node_dies_half_way(cluster: Cluster, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=1, object_store_memory=128 << 20)
    raylets = [node.all_processes["raylet"][0].process.pid for node in (cluster.head_node, second)]

    config = sampling_experiment(tmp_path / "disturbed", replicas=2)
    process = start(config, "--until", "grade", "--address", cluster.address)
    wait_for(lambda: all(map(actors_below, raylets)) and len(stored(config, "responses")) >= 3, process)
    before = len(stored(config, "responses"))
    cluster.remove_node(second, allow_graceful=False)
    finish(process)
    assert before < len(stored(config, "responses")) == 24, "the node died after the run"
    expected = undisturbed(sampling_experiment(tmp_path / "undisturbed"), "--until", "grade")
    assert contents(config.parent / "results") == contents(expected)


def test_nothing_answers_at_the_address(tmp_path: Path) -> None:
    done = bonbench("run", sampling_experiment(tmp_path), "--address", "127.0.0.1:1")
    assert done.code == 2
    assert done.err.startswith("bonbench: --address 127.0.0.1:1: no Ray cluster answers there")
