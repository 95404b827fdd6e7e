"""What a stage or a training of a run says that it waits for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from places import MODELS

from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.local_executor import LocalExecutor
from harness.engine.progress import Board
from harness.engine.run import _Run
from harness.experiment.config import Experiment


def test_a_node_names_the_stages_that_it_waits_for(tmp_path: Path) -> None:
    raw = {
        "name": "x",
        "output": str(tmp_path),
        "problems": {
            "test": {"dataset": "pocket", "split": "test", "limit": 2},
            "train": {"dataset": "pocket", "split": "train", "limit": 2},
        },
        "sampling": {"n": 2, "max_tokens": 8},
        "generators": {"middle": {"type": "transformers", "model": str(MODELS / "middle")}},
        "rollouts": {"generator": "middle", "problems": "train", "n": 2},
        "reward_models": {"dpo": {"type": "implicit", "train": {"objective": "dpo", "base": "middle"}}},
        "evaluation": {"n": [1, 2]},
    }
    graph = build_graph(Experiment.model_validate(raw))

    async def reasons() -> list[str | None]:
        run = _Run(graph, graph.nodes, LocalExecutor(), Board())
        for stage in graph.stages:
            run._missing(stage)
        loop = asyncio.get_running_loop()
        done = {node: loop.create_future() for node in graph.nodes}
        run._tasks = done  # type: ignore[assignment]
        training = graph.trainings["dpo"]
        grading = graph.stage(StageKind.GRADE, "middle")
        at_first = [run._waits_for(training), run._waits_for(grading, grading.shards)]
        for node in training.requires[1:]:
            done[node].set_result(None)
        for shard in grading.shards:
            for given in shard.inputs.values():
                run._available[given].set_result(True)
        return [*at_first, run._waits_for(training), run._waits_for(grading, grading.shards)]

    training, grading, later, graded = asyncio.run(reasons())
    first = graph.trainings["dpo"].requires[0]
    assert later == f"waiting for {first.kind} {first.who}"
    assert training is not None and training.startswith(f"{later} and ")
    assert (grading, graded) == ("waiting for sample middle", None)
