"""Plans on a cluster: hours of a small experiment by hand, and what the verb says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import bonbench

from harness.core.errors import UserError
from harness.cost_model.gpus import GPUS
from harness.engine.build import build_graph
from harness.engine.cluster_plan import ARITHMETIC_S, DISK_BANDWIDTH, GRADE_S, START_S, Cluster, ClusterPlanner
from harness.engine.plan import FEW_STEPS, MANY_STEPS, Planner
from harness.experiment.config import Experiment

LLAMA, WEIGHTS = "meta-llama/Llama-3.1-8B-Instruct", 2 * (8_030_261_248 - 65 * 4096)


def raw(tmp_path: Path, **change: Any) -> dict[str, Any]:
    for name in ("test", "train"):
        rows = [{"problem": f"{name} {i}".ljust(40, "."), "answer": "1"} for i in range(6)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = {"objective": "ce", "base": "g", "workers": 4, "gpus_per_worker": 1}
    return {
        "name": "x",
        "output": str(tmp_path / "out"),
        "problems": {n: {"dataset": "jsonl", "path": str(tmp_path / f"{n}.jsonl")} for n in ("test", "train")},
        "sampling": {"n": 400, "max_tokens": 3000},
        "generators": {"g": {"type": "vllm", "model": LLAMA, "num_gpus": 1, "replicas": 2}},
        "rollouts": {"generator": "g", "problems": "train", "n": 400},
        "reward_models": {"ce": {"type": "implicit", "num_gpus": 1, "train": train | {"responses": 400}}},
        "evaluation": {"n": [1, 4]},
        "problems_per_shard": 2,
    } | change


def planned(experiment: dict[str, Any], cluster: str, tokens: int = 1000) -> tuple[Any, ...]:
    graph = build_graph(Experiment.model_validate(experiment))
    planner = Planner(graph, GPUS["h100"])
    simulation = ClusterPlanner(graph, planner, Cluster.parse(cluster))
    plan = planner.plan(tokens)
    run = simulation.run(plan)
    rows = {(r.kind, r.who): (r, p) for r, p in zip(plan.stages, run.places, strict=True)}
    return plan, run, rows, list(simulation.warnings(plan))


def test_the_hours_of_a_small_experiment(tmp_path: Path) -> None:
    """One node of four GPUs: rollouts beside samples, then the reference, the training alone, and the pass."""
    _, run, rows, warnings = planned(raw(tmp_path), "1x4")
    start = (START_S + WEIGHTS / DISK_BANDWIDTH) / 3600
    rollout, place = rows["rollout", "g"]
    # Three shards over two replicas: one has two of them.
    assert (place.actors, place.gpus, place.start) == (2, 1, 0)
    assert place.end == pytest.approx(start + rollout.gpu_hours * 2 / 3)
    sample, beside = rows["sample", "g"]
    assert (beside.start, beside.end) == (0, pytest.approx(start + sample.gpu_hours * 2 / 3))
    # Grades follow shard by shard: after the last one of 800 responses is sampled.
    assert rows["grade", "g"][1].end == pytest.approx(beside.end + 800 * GRADE_S / 3600)
    reference, place = rows["rollout-pass", "g"]
    assert place.end - place.start == pytest.approx(start + reference.gpu_hours)
    train, at = rows["train", "ce"]
    assert (at.actors, at.processes) == (1, 4)
    assert at.start >= max(rows["rollout-grade", "g"][1].end, place.end)
    saved = WEIGHTS / DISK_BANDWIDTH / 3600  # no saved state: it takes less than 20 minutes
    assert at.end - at.start == pytest.approx(start + train.gpu_hours / 4 + saved)
    last, passed = rows["token-pass", "ce"]
    assert passed.start == at.end
    assert passed.end - passed.start == pytest.approx(start + last.gpu_hours)
    assert run.wall == pytest.approx(rows["score", "ce"][1].end)
    assert run.wall == pytest.approx(passed.end + 2400 * ARITHMETIC_S / 3600, rel=0.05)
    assert run.busy == pytest.approx(sum(row.gpu_hours for row, _ in rows.values()))
    assert run.reserved == pytest.approx(4 * run.wall)
    # Two replicas of two stages, three passes, four workers.
    assert run.starting == pytest.approx((2 * 2 + 3 + 4) * start, rel=0.05)
    assert run.saving == pytest.approx(4 * saved)
    assert run.busy < run.held < run.reserved and run.idle == pytest.approx(1 - run.busy / run.reserved)
    assert warnings == []


def test_what_runs_without_gpus_is_named_and_no_busy_gpu(tmp_path: Path) -> None:
    change = {"generators": {"g": {"type": "transformers", "model": LLAMA}}}
    _, run, rows, warnings = planned(raw(tmp_path, **change), "1x4")
    assert warnings == ["! Without GPUs, but with a model: rollout g, sample g."]
    assert run.busy == pytest.approx(sum(row.gpu_hours for row, _ in rows.values() if not row.on_cpus))
    assert rows["sample", "g"][1].gpus == 0


def test_layers_over_several_gpus_take_turns_and_tensors_do_not(tmp_path: Path) -> None:
    times = {}
    for name, more in (("layers", {}), ("tensors", {"tensor_parallel_size": 4})):
        entry = {"type": "vllm", "model": LLAMA, "num_gpus": 4, "replicas": 1, **more}
        _, _, rows, _ = planned(raw(tmp_path, generators={"g": entry}), "1x4")
        row, place = rows["rollout", "g"]
        start = (START_S + WEIGHTS / DISK_BANDWIDTH) / 3600
        times[name] = (place.end - place.start - start) / row.gpu_hours
    assert times == {"layers": pytest.approx(1), "tensors": pytest.approx(1 / 4)}


def test_long_trainings_save_states_that_take_disk(tmp_path: Path) -> None:
    _, short, _, _ = planned(raw(tmp_path), "1x4")
    train = {"objective": "ce", "base": "g", "workers": 4, "gpus_per_worker": 1, "responses": 400, "epochs": 200}
    experiment = raw(tmp_path, reward_models={"ce": {"type": "implicit", "num_gpus": 1, "train": train}})
    plan, run, rows, _ = planned(experiment, "1x4")
    states = int(rows["train", "ce"][0].gpu_hours / 4 * 3)  # every 20 minutes
    assert states >= 2
    assert run.saving - short.saving == pytest.approx(4 * states * 6 * WEIGHTS / DISK_BANDWIDTH / 3600)
    assert run.disk - sum(row.disk for row in plan.stages) == pytest.approx(2 * 6 * WEIGHTS)


def test_what_the_cluster_cannot_hold_is_refused(tmp_path: Path) -> None:
    for text in ("2", "2x", "x8", "0x8", "2x8x0", "2x8x4x1", "twoxeight"):
        with pytest.raises(UserError, match="NODESxGPUS"):
            Cluster.parse(text)
    assert Cluster.parse("2x8") == Cluster(2, 8, 64)
    assert Cluster.parse("2x0x3") == Cluster(2, 0, 3)
    with pytest.raises(UserError, match=r"reward_models\.ce\.train\.workers: 4 of 1 CPUs and 1 GPU"):
        planned(raw(tmp_path), "1x2")


def test_the_verb_tells_programs_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(raw(tmp_path)))
    done = bonbench("plan", tmp_path / "x.yaml", "--cluster", "1x4", "--json", "--price", "2.5")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    bounds = [document[bound] for bound in ("low", "expected", "high")]
    assert [(b["tokens"], b["steps"]) for b in bounds] == [(256, FEW_STEPS), (512, 8), (1024, MANY_STEPS)]
    for key in ("wall_hours", "busy_gpu_hours", "reserved_gpu_hours"):
        low, expected, high = (b["cluster"][key] for b in bounds)
        assert low < expected < high
    assert bounds[1]["cluster"]["price"] == pytest.approx(2.5 * bounds[1]["cluster"]["reserved_gpu_hours"])
    stages = {(s["kind"], s["who"]): s for s in document["stages"]}
    assert stages["train", "ce"]["place"]["processes"] == 4
    assert bounds[1]["gpu_hours"] == pytest.approx(sum(s["gpu_hours"] for s in document["stages"]))
    plain = json.loads(bonbench("plan", tmp_path / "x.yaml", "--json").out)
    assert plain["expected"] == {key: value for key, value in bounds[1].items() if key != "cluster"}
    text = bonbench("plan", tmp_path / "x.yaml").out.splitlines()
    assert [line.split()[0] for line in text if line.startswith(("total", "low", "high"))] == ["total", "low", "high"]
    assert bonbench("plan", tmp_path / "x.yaml", "--price", "1").code == 2
