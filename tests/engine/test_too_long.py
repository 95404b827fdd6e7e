"""Stored responses that are too long for a model are counted before it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from places import MODELS

from harness.core.records import Response
from harness.core.stages import StageKind
from harness.cost_model.gpus import GPUS
from harness.engine.build import build_graph
from harness.engine.executor import Executor
from harness.engine.graph import Graph
from harness.engine.local_executor import LocalExecutor
from harness.engine.plan import plan
from harness.engine.progress import Board
from harness.engine.run import run_stages
from harness.engine.too_long import too_long_lines
from harness.experiment.config import Experiment
from harness.storage.arrow import to_table
from harness.storage.results import load_results
from harness.storage.shards import write_shard


def graph(folder: Path, **entry: Any) -> Graph:
    """An experiment whose first shard of responses is stored: one of its four is longer than 256 tokens."""
    reward_model = {"type": "implicit", "policy": "middle", "reference": None, **entry}
    raw = {
        "name": "x",
        "output": str(folder / "results"),
        "problems": {"test": {"dataset": "pocket", "split": "test", "limit": 4}},
        "sampling": {"n": 2, "max_tokens": 8},
        "generators": {"middle": {"type": "transformers", "model": str(MODELS / "middle")}},
        "reward_models": {"ll": reward_model},
        "problems_per_shard": 2,
    }
    planned = build_graph(Experiment.model_validate(raw))
    shard = planned.stage(StageKind.SAMPLE, "middle").shards[0]
    responses = [
        Response(problem.problem_id, "middle", i, "1 + 1 = 2. " * (200 if (p, i) == (1, 0) else 1), 9, 9, "stop", 1)
        for p, problem in enumerate(shard.problems)
        for i in range(2)
    ]
    write_shard(shard.path(planned.results), to_table(Response, responses), shard.key)
    return planned


@pytest.mark.parametrize(
    ("choice", "consequence"), [("skip", "they will have no score"), ("truncate", "they will be cut")]
)
def test_a_plan_counts_them(tmp_path: Path, choice: str, consequence: str) -> None:
    planned = graph(tmp_path, too_long=choice)
    (line,) = too_long_lines(planned, planned.nodes)
    assert "stored responses that are longer than the model reads: 1;" in line and consequence in line
    assert plan(planned, GPUS["h100"], 512).assumptions[-1] == line


def test_a_run_says_so_at_its_start_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned = graph(tmp_path)
    executor: Executor = LocalExecutor()
    with Board() as board:
        outcome = run_stages(planned, planned.nodes, executor, board)
    assert not outcome.quarantined
    said = "".join(capsys.readouterr())
    assert "stored responses that are longer than the model reads: 1;" in " ".join(said.split())
    unscored = load_results(planned.results).unscored("ll", "middle")
    assert (unscored.n_responses, unscored.reasons.total()) == (8, 1)
    assert not list(too_long_lines(planned, planned.nodes))  # everything has been read
