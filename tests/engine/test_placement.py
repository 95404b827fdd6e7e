"""Where models run: on the resources of the entries that ask for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from places import ROOT

from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.graph import Graph, Stage
from harness.engine.placement import large_without_gpus
from harness.engine.ray_actors import _Actor
from harness.experiment.config import load_experiment
from harness.experiment.spec import Pool

#: Two problem sets that need no network.
POCKET = "dataset: pocket, limit: 4"
PROBLEMS = [f"problems.{name}={{{POCKET}, split: {name}}}" for name in ("test", "train")]


PASS_AND_MODEL = """
from harness.core.components import RewardModel
from harness.core.params import ComponentParams, ModelPath


class BothParams(ComponentParams):
    policy: ModelPath
    model: ModelPath


class Both(RewardModel[BothParams]):
    Params = BothParams

    @classmethod
    def token_passes(cls, params):
        return {"policy": params.policy}

    def score(self, batch): ...
"""


def paper(tmp_path: Path, *changes: str, name: str = "paper") -> Graph:
    file = ROOT / "experiments" / f"{name}.yaml"
    return build_graph(load_experiment(file, [f"output={tmp_path / 'out'}", *PROBLEMS, *changes]))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("paper", ()),
        (
            "paper-analysis",
            ("reward_models.dpo-irrelevant.train.rollouts=[main]", f"problems.irrelevant={{{POCKET}, split: train}}"),
        ),
    ],
)
def test_every_stage_that_runs_a_model_of_the_paper_has_gpus(
    tmp_path: Path, name: str, change: tuple[str, ...]
) -> None:
    graph = paper(tmp_path, *change, name=name)
    pools = {(stage.kind, stage.who): stage.spec.pool for stage in graph.stages if stage.model}
    assert {who: pool for who, pool in pools.items() if pool.num_gpus < 1} == {}
    reference = next(pool for (kind, _), pool in pools.items() if kind is StageKind.ROLLOUT_PASS)
    assert reference.replicas == "auto"
    assert large_without_gpus(graph, graph.nodes) is None


def test_arithmetic_on_stored_passes_holds_no_gpus(tmp_path: Path) -> None:
    (tmp_path / "both.py").write_text(PASS_AND_MODEL)
    both = f"reward_models.both={{type: '{tmp_path}/both.py:Both', policy: mistral-7b, model: llama-8b, num_gpus: 1}}"
    graph = paper(tmp_path, both)
    scores = {stage.who: stage for stage in graph.stages if stage.kind is StageKind.SCORE}
    for name in ("log-likelihood", "dpo-8", "kto"):
        assert scores[name].spec.pool == Pool() and scores[name].model is None
        assert all(stage.spec.pool.num_gpus == 1 for stage in scores[name].after if isinstance(stage, Stage))
    assert scores["math-shepherd-8"].spec.pool.num_gpus == 1
    assert scores["both"].spec.pool.num_gpus == 1 and scores["both"].model, "it runs a model beside its pass"


def test_a_train_block_may_ask_for_other_resources_than_its_entry(tmp_path: Path) -> None:
    train = "reward_models.dpo.train={base: llama-8b, responses: [4, 8], replicas: 3, num_gpus: 2}"
    graph = paper(tmp_path, train)
    pool = next(stage.spec.pool for stage in graph.stages if stage.kind is StageKind.ROLLOUT_PASS)
    assert (pool.replicas, pool.num_gpus) == ("auto", 2), "the other entries leave the number to the cluster"


def test_large_models_without_gpus_are_named_with_their_option(tmp_path: Path) -> None:
    graph = paper(
        tmp_path,
        "reward_models.armo-rm.num_gpus=0",
        "reward_models.log-likelihood={type: implicit, policy: mistral-7b, reference: null, num_gpus: 0}",
        "reward_models.orm.train.gpus_per_worker=0",
        "reward_models.small={type: step-token, model: experiments/pocket/models/weak}",
    )
    line = large_without_gpus(graph, graph.nodes)
    assert line is not None
    options = "armo-rm.num_gpus", "log-likelihood.num_gpus", "orm.train.gpus_per_worker"
    assert line.partition("set ")[2] == ", ".join(f"reward_models.{o}" for o in (options[2], *options[:2])) + "."


@pytest.mark.parametrize("gpus", [0, 1])
def test_an_actor_without_gpus_sees_none(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    _Actor(gpus)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ("3" if gpus else "")
