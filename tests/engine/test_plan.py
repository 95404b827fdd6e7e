"""Plans against counting by hand: token by token, byte by byte, from published sizes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import BONBENCH, ROOT

from bonbench.reward_models.training.pairs import pair_up
from bonbench.reward_models.training.rollout_trainer import UNEVEN_PAIRS
from harness.core.model_sizes import ModelSizes
from harness.core.records import Response
from harness.core.stages import StageKind
from harness.cost_model import gpus as hardware
from harness.cost_model.gpus import GPUS, Footprint, Gpu
from harness.cost_model.known_models import model_sizes
from harness.cost_model.shape import ModelShape
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.engine.lengths import CHARACTERS_PER_TOKEN, TEMPLATE_TOKENS
from harness.engine.plan import Plan, PlannedStage, plan
from harness.experiment.config import Experiment
from harness.storage.arrow import to_table
from harness.storage.shards import write_shard

#: A GPU whose numbers are easy to reckon with.
GPU = Gpu("reckoning", flops=1e12, bandwidth=1e9, memory=1e9)


@pytest.mark.parametrize(
    ("model", "parameters", "norms_and_biases", "cache"),
    [  # parameters as published with the weights; the multiplied ones are what is left without norms and biases
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248, 65 * 4096, 128 << 10),
        ("meta-llama/Llama-3.1-70B-Instruct", 70_553_706_496, 161 * 8192, 320 << 10),
        ("mistralai/Mistral-7B-Instruct-v0.2", 7_241_732_096, 65 * 4096, 128 << 10),
        ("Qwen/Qwen2.5-Math-7B-Instruct", 7_615_616_512, 57 * 3584 + 28 * (3584 + 2 * 512), 56 << 10),
        ("Qwen/Qwen2.5-Math-72B-Instruct", 72_706_203_648, 161 * 8192 + 80 * (8192 + 2 * 1024), 320 << 10),
        ("Qwen/Qwen2.5-Math-1.5B-Instruct", 1_543_714_304, 57 * 1536 + 28 * (1536 + 2 * 256), 28 << 10),
        ("Qwen/Qwen2.5-3B-Instruct", 3_085_938_688, 73 * 2048 + 36 * (2048 + 2 * 256), 36 << 10),
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400, 33 * 2048, 32 << 10),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824, 57 * 3072, 112 << 10),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008, 61 * 576, 22.5 * (1 << 10)),
    ],
)
def test_known_architectures_have_the_published_sizes(
    model: str, parameters: int, norms_and_biases: int, cache: float
) -> None:
    sizes = model_sizes(model)
    assert sizes is not None
    footprint = Footprint.of(sizes)
    assert footprint.weights == 2 * (parameters - norms_and_biases)
    assert footprint.cache_per_token == cache


def test_experts_are_all_in_memory() -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 11}
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    dense, sparse = (
        Footprint.of(ModelSizes.from_config({**sizes, "intermediate_size": 16, **more})) for more in ({}, experts)
    )
    assert sparse.weights - dense.weights == 2 * 3 * (3 * (3 * 8 * 16) + 8 * 4)  # three experts more, and the router


def test_an_unknown_model_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_sizes("nobody/nothing") is None
    assert model_sizes(str(tmp_path)) is None
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')  # and no more
    assert model_sizes(str(tmp_path)) is None


def test_the_local_hub_cache_is_read(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--nobody--small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    sizes = {"hidden_size": 5, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 7}
    (snapshot / "config.json").write_text(json.dumps(sizes))
    (tmp_path / "models--nobody--small" / "refs").mkdir()
    (tmp_path / "models--nobody--small" / "refs" / "main").write_text("abc")
    code = "from harness.cost_model.known_models import model_sizes; print(model_sizes('nobody/small').vocabulary)"
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout.strip() == "7", done.stderr


def test_sampling_takes_the_slower_of_traffic_and_arithmetic() -> None:
    footprint = Footprint(weights=4e6, cache_per_token=1e3)
    # 100 sequences of 50 tokens, 10 at once: 500 steps, each reads the weights, and 10 caches of 30 tokens on average.
    traffic = 500 * (4e6 + 10 * 30 * 1e3)
    slow = hardware.decode_s(GPU, footprint, flops=1e9, tokens=5000, context=30, sequences=10)
    assert slow == pytest.approx(traffic / 1e9 / hardware.DECODE_EFFICIENCY)
    busy = hardware.decode_s(GPU, footprint, flops=1e15, tokens=5000, context=30, sequences=10)
    assert busy == pytest.approx(1000 / hardware.DECODE_EFFICIENCY)


def test_memory_decides_how_many_sequences_run_at_once() -> None:
    footprint = Footprint(weights=8e8, cache_per_token=1e4)
    assert hardware.concurrent(GPU, footprint, 1, tokens=100) == 100  # 0.9 GB - 0.8 GB holds 100 x 100 x 10 kB
    assert hardware.concurrent(GPU, footprint, 2, tokens=100) == GPU.sequences == 256
    assert hardware.concurrent(GPU, footprint, 2, tokens=100, limit=512) == 512
    assert hardware.concurrent(GPU, footprint, 1, tokens=100, limit=512) == 100
    assert hardware.concurrent(GPUS["h100"], footprint, 1, tokens=100) == 1024
    assert hardware.concurrent(GPU, Footprint(1e9, 1e4), 1, tokens=100) == 0
    assert hardware.gpus_needed(GPU, footprint, tokens=100) == 2  # 0.8 GB + 256 x 1 MB
    assert hardware.gpus_needed(GPU, Footprint(8e5, 1e2), tokens=100) == 1
    sizes = model_sizes("meta-llama/Llama-3.1-70B-Instruct")
    assert sizes is not None
    assert hardware.gpus_needed(GPUS["h100"], Footprint.of(sizes), tokens=600) == 4


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder that says what a model is, with weights nobody reads."""
    folder = tmp_path / "model"
    folder.mkdir()
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 11}
    (folder / "config.json").write_text(json.dumps({**sizes, "intermediate_size": 16}))
    (folder / "model.safetensors").touch()
    return str(folder)


def graph(tmp_path: Path, model: str, **change: Any) -> Graph:
    for name in ("test", "train"):
        rows = [{"problem": f"{name} {i}".ljust(40, "."), "answer": "1"} for i in range(6)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = {
        "name": "x",
        "output": tmp_path / "out",
        "problems": {n: {"dataset": "jsonl", "path": str(tmp_path / f"{n}.jsonl")} for n in ("test", "train")},
        "sampling": {"n": 4, "max_tokens": 100},
        "generators": {"g": {"type": "transformers", "model": model}},
        "rollouts": {"generator": "g", "problems": "train", "n": 8},
        "reward_models": {
            "dpo": {"type": "implicit", "train": {"objective": "dpo", "base": "g", "responses": 4, "epochs": 2}}
        },
        "evaluation": {"n": [1, 4]},
        "problems_per_shard": 4,
    }
    return build_graph(Experiment.model_validate(raw | change))


def rows(found: Plan) -> dict[tuple[str, str], PlannedStage]:
    return {(s.kind, s.who): s for s in found.stages}


def token_flops(position: int) -> int:
    """FLOPs of one token at a 0-based position of the fixture's model, from its matrices."""
    layer = 4 * 8 * 8 + 3 * 8 * 16  # q, k, v, o of two heads of four; gate, up, down
    attended = 2 * 8 * (position + 1) * 2  # scores and values, 8 wide over both heads
    return 2 * (2 * layer + 8 * 11) + 2 * attended


def test_every_stage_counts_what_the_ledger_would(tmp_path: Path, model: str) -> None:
    found = rows(plan(graph(tmp_path, model), GPU, 20))
    prompt = 40 // CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    reading = sum(token_flops(i) for i in range(prompt))
    answering = sum(token_flops(i) for i in range(prompt, prompt + 20))

    sample = found["sample", "g"]
    assert (sample.stored, sample.missing, sample.responses) == (0, 2, 24)
    assert (sample.prompt_tokens, sample.response_tokens) == (6 * prompt, 24 * 20)
    assert sample.flops == 6 * reading + 24 * answering
    rollout = found["rollout", "g"]
    assert (rollout.responses, rollout.flops) == (48, 6 * reading + 48 * answering)
    for stage, who, twin in (
        ("token-pass", "g", sample),
        ("token-pass", "dpo", sample),
        ("rollout-pass", "g", rollout),
    ):
        read = found[stage, who]
        assert (read.responses, read.flops) == (twin.responses, twin.flops)
        assert read.gpu_hours == pytest.approx(twin.flops / (GPU.flops * hardware.FORWARD_MFU) / 3600)
    footprint = Footprint(2 * (2 * (4 * 64 + 3 * 128) + 2 * 88), 2 * 2 * 2 * 8)
    seconds = 6 * reading / (GPU.flops * hardware.FORWARD_MFU) + hardware.decode_s(
        GPU, footprint, 24 * answering, 24 * 20, prompt + 10, GPU.sequences
    )
    assert sample.gpu_hours == pytest.approx(seconds / 3600)
    for stage in ("grade", "score", "rollout-grade"):
        for row in (r for (name, _), r in found.items() if name == stage):
            assert (row.response_tokens, row.flops, row.gpu_hours) == (0, 0, 0)

    train = found["train", "dpo"]
    # Where problems are of every difficulty alike, 4 rollouts are all right or all wrong in 2 of 5 cases; 2 epochs of 6
    # problems.
    sequences = 6 * 2 * 4 * 3 / 5
    assert (train.responses, train.missing) == (24, 1)
    assert train.prompt_tokens == round(sequences * prompt)
    assert train.response_tokens == round(sequences * 20)
    assert train.flops == pytest.approx(3 * sequences * (reading + answering), rel=1e-3)
    hours = train.flops / (GPU.flops * hardware.TRAINING_MFU) / 3600
    assert train.gpu_hours == pytest.approx((1 + UNEVEN_PAIRS) * hours)
    assert train.disk == footprint.weights
    # Activations that are computed twice take a forward pass more: one of three, or of the two beside frozen weights.
    for lora, more in ((None, 4 / 3), ({"rank": 2}, 3 / 2)):
        block = {"objective": "ce", "base": "g", "responses": 4, "lora": lora}
        entries = {
            str(twice): {"type": "implicit", "train": block | {"gradient_checkpointing": twice}}
            for twice in (False, True)
        }
        entries = {f"ce-{name}": entry for name, entry in entries.items()}
        again = rows(plan(graph(tmp_path, model, reward_models=entries), GPU, 20))
        once, twice = again["train", "ce-False"], again["train", "ce-True"]
        assert once.flops == twice.flops
        assert twice.gpu_hours == pytest.approx(more * (once.gpu_hours or 0))


def test_sets_of_rollouts_and_policies_are_counted(tmp_path: Path, model: str) -> None:
    train = {"objective": "dpo", "base": "g", "responses": 3, "epochs": 2, "rollouts": ["main", "other"]}
    g = graph(
        tmp_path,
        model,
        generators={n: {"type": "transformers", "model": model} for n in "gh"},
        rollouts={"main": {"generator": "g", "n": 4}, "other": {"generator": "h", "n": 2}},
        reward_models={"dpo": {"type": "implicit", "train": train}},
        policies={"n": 2, "models": {"p": {"type": "transformers", "model": "dpo"}}},
    )
    found = rows(plan(g, GPU, 20))
    prompt = 40 // CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    reading = sum(token_flops(i) for i in range(prompt))
    answering = sum(token_flops(i) for i in range(prompt, prompt + 20))
    assert [found["rollout", s].responses for s in ("main", "other")] == [24, 12]
    assert found["rollout-pass", "g/other"].flops == 6 * reading + 12 * answering
    # Three of one and two of the other to each of 6 problems, all five in pairs in 4 of 6 cases, 2 epochs.
    assert found["train", "dpo"].responses == 6 * 5
    assert found["train", "dpo"].response_tokens == 6 * 5 * 20 * 2 * 4 / 6
    policy = found["policy", "p"]
    assert (policy.responses, policy.prompt_tokens, policy.response_tokens) == (12, 6 * prompt, 12 * 20)
    assert policy.flops == 6 * reading + 12 * answering
    assert (found["policy-grade", "p"].responses, found["policy-grade", "p"].flops) == (12, 0)
    # What is known of a generator's responses serves for all its sets.
    shard = g.stage(StageKind.SAMPLE, "h").shards[0]
    n = shard.n_responses // len(shard.problems)
    stored = [Response(p.problem_id, "h", i, "text", 7, 30) for p in shard.problems for i in range(n)]
    write_shard(shard.path(g.results), to_table(Response, stored), shard.key)
    found = rows(plan(g, GPU, 20))
    assert found["rollout", "other"].response_tokens == 12 * 30
    assert found["rollout-pass", "g/main"].response_tokens == 24 * 20
    assert found["train", "dpo"].response_tokens == round(30 * 8 / 6 * (24 * 20 + 12 * 30) / 36)


def test_expected_pairs_are_the_mean_over_outcomes_and_difficulties() -> None:
    from bonbench.reward_models.training.implicit import ImplicitTrainer
    from bonbench.reward_models.training.params import ImplicitTrainerParams

    for responses in (2, 3, 4, 6):
        outcomes = [[bool(k >> i & 1) for i in range(responses)] for k in range(1 << responses)]
        paired = [len(np.unique(pair_up([0] * responses, outcome, "all", 0))) for outcome in outcomes]
        # The chance of each outcome, where a problem is solved with a probability that is uniform.
        solved = (np.arange(20_000) + 0.5) / 20_000
        chances = [np.mean(solved ** sum(right) * (1 - solved) ** (responses - sum(right))) for right in outcomes]
        sequences = np.dot(paired, chances)
        params = ImplicitTrainerParams(base="b", responses=responses, epochs=3)
        assert ImplicitTrainer.reads_per_rollout(params) == pytest.approx(3 * sequences / responses)
    assert ImplicitTrainer.reads_per_rollout(ImplicitTrainerParams(base="b", objective="ce", epochs=2)) == 2


def test_the_longest_possible_response_bounds_the_assumption(tmp_path: Path, model: str) -> None:
    found = plan(graph(tmp_path, model), GPU, 1000)
    assert rows(found)["sample", "g"].response_tokens == 24 * 100
    assert found.assumptions[0].startswith("100 tokens per response")


def test_stored_shards_are_done_and_measured(tmp_path: Path, model: str) -> None:
    g = graph(tmp_path, model)
    sampling = g.stage(StageKind.SAMPLE, "g")
    shard = sampling.shards[0]
    responses = [
        Response(p.problem_id, "g", i, "text", n_prompt_tokens=7, n_tokens=30 + 2 * i)
        for p in shard.problems
        for i in range(4)
    ]
    write_shard(shard.path(g.results), to_table(Response, responses), shard.key)
    found = plan(g, GPU, 20)
    sample, rollout, read = (rows(found)[key] for key in (("sample", "g"), ("rollout", "g"), ("token-pass", "g")))
    assert (sample.stored, sample.missing, sample.responses) == (1, 1, 8)
    assert (sample.prompt_tokens, sample.response_tokens) == (2 * 7, 8 * 33)
    assert (rollout.prompt_tokens, rollout.response_tokens) == (6 * 7, 48 * 33)
    assert (read.missing, read.response_tokens) == (2, 24 * 33)
    size = shard.path(g.results).stat().st_size
    assert sample.disk is not None and sample.disk == pytest.approx(size / 16 * 8, abs=4000)
    assert any("33 tokens per response, as measured" in a for a in found.assumptions)
    write_shard(shard.path(g.results), to_table(Response, responses), "another key")
    assert rows(plan(g, GPU, 20))["sample", "g"].response_tokens == 24 * 20


@pytest.mark.parametrize(
    ("num_gpus", "note", "fits"), [(0, ": set num_gpus: 3.", True), (2, ": set num_gpus: 3.", False), (3, ".", True)]
)
def test_the_gpus_of_a_large_reward_model(tmp_path: Path, model: str, num_gpus: int, note: str, fits: bool) -> None:
    """The weights of the 72B PRM, without an output head 143 GB in bfloat16, take 2.2 times 80 % of 80 GB."""
    large = {"type": "head-prm", "model": "Qwen/Qwen2.5-Math-PRM-72B", "num_gpus": num_gpus}
    found = plan(graph(tmp_path, model, reward_models={"prm": large}), GPUS["h100"], 20)
    assert f"score prm: 143 GB of weights need 3 x H100 SXM 80 GB{note}" in found.assumptions
    hours = rows(found)["score", "prm"].gpu_hours
    assert (hours is not None and hours > 0) is fits


def test_what_is_unknown_is_said(tmp_path: Path, model: str) -> None:
    found = plan(graph(tmp_path, model, generators={"g": {"type": "transformers", "model": "nobody/x"}}), GPU, 20)
    row = rows(found)["sample", "g"]
    assert (row.response_tokens, row.flops, row.gpu_hours) == (24 * 20, None, None)
    assert rows(found)["train", "dpo"].flops is None
    assert any("nobody/x: architecture unknown" in a for a in found.assumptions)
    large = {"type": "transformers", "model": "meta-llama/Llama-3.1-70B-Instruct", "num_gpus": 1}
    found = plan(graph(tmp_path, model, generators={"g": large}), GPUS["h100"], 20)
    assert rows(found)["sample", "g"].gpu_hours is None
    assert any("141 GB of weights do not fit on 1 x H100" in a for a in found.assumptions)


def test_the_paper_is_planned_without_network_or_torch(tmp_path: Path) -> None:
    code = (
        "import sys, harness.cli\ncode = harness.cli.main()\n"
        "assert not {'torch', 'transformers', 'ray', 'vllm'} & set(sys.modules), sorted(sys.modules)\n"
        "sys.exit(code)"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "hub")}
    config = str(ROOT / "experiments" / "paper.yaml")
    command = [sys.executable, "-c", code, "plan", config, "--set", f"output={tmp_path / 'out'}"]
    command += ["--cluster", "2x8", "--price", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    # 1,024 responses per shard: to 16 problems, or to 128.
    assert ["sample", "llama-70b", "0", "32", "32,000"] in [line[:5] for line in lines]
    assert ["rollout", "llama-8b", "0", "258", "264,000"] in [line[:5] for line in lines]
    assert ["train", "ce-8", "0", "1", "264,000"] in [line[:5] for line in lines]
    assert "unknown" not in done.stdout
    # 33,000 problems x 8 responses of 90 + 512 tokens, 6 FLOPs per token for each of 7.5e9 weights; 8 for time, as
    # activations are computed twice.
    ce = next(line for line in lines if line[:2] == ["train", "ce-8"])
    assert math.isclose(float(ce[7]), 33_000 * 8 * 602 * 6 * 7.5e9, rel_tol=0.03)
    hours = float(ce[7]) * 4 / 3 / (989e12 * hardware.SHARDED_TRAINING_MFU) / 3600
    assert math.isclose(float(ce[8]), hours, rel_tol=0.03)
    on_cluster = {
        " ".join(line[:-3]): [float(cell.replace(",", "")) for cell in line[-3:]]
        for line in lines
        if line[0:1] in (["wall"], ["busy"], ["reserved"], ["price"])
    }
    for wall, busy, reserved, price in zip(*on_cluster.values(), strict=True):
        assert reserved == pytest.approx(16 * wall, abs=1) and price == pytest.approx(2 * reserved, abs=1)
        assert busy < reserved
    assert not any(line.startswith("- !") for line in done.stdout.splitlines())  # every model has GPUs
    assert "problems.test is not on this machine: 500 problems" in done.stdout
    assert not (tmp_path / "out").exists()
    # A run needs the problems themselves.
    command = [*BONBENCH, "run", config, "--set", f"output={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment | {"HF_HUB_OFFLINE": "1"}, cwd=ROOT)
    assert done.returncode == 2 and "HuggingFaceH4/MATH-500 is not on this machine" in done.stderr


@pytest.mark.thorough
def test_the_analysis_is_the_same_at_both_sizes(tmp_path: Path) -> None:
    environment = os.environ | {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    names = {"mistral-7b": "weak", "llama-8b": "middle", "llama-70b": "strong", "main-8": "main-4-of-256"}
    stages = []
    for name in ("pocket-analysis", "paper-analysis"):
        config = str(ROOT / "experiments" / f"{name}.yaml")
        command = [*BONBENCH, "plan", config, "--set", f"output={tmp_path / name}"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert "unknown" not in done.stdout
        rows = [
            line.split()[:2]
            for line in done.stdout.splitlines()[2:]
            if not line.startswith(("-", "total", "low", "high"))
        ]
        stages.append([(stage, "/".join(names.get(w, w) for w in who.split("/"))) for stage, who in rows])
    # At the paper's size the balanced variants of CE are in paper.yaml, as in the paper.
    pocket = [(stage, who) for stage, who in stages[0] if not who.startswith("ce-balanced")]
    assert pocket == stages[1]
    assert len([stage for stage, _ in pocket if stage == "train"]) == 21


def test_slower_hardware_takes_longer(tmp_path: Path, model: str) -> None:
    g = graph(tmp_path, model)
    fast, slow = (rows(plan(g, GPUS[name], 20)) for name in ("h200", "l40s"))
    for key, row in fast.items():
        assert row.gpu_hours is not None and slow[key].gpu_hours is not None
        assert row.gpu_hours < slow[key].gpu_hours or row.gpu_hours == 0
        assert row.flops == slow[key].flops


def test_classifiers_have_no_output_head(tmp_path: Path, model: str) -> None:
    base = {"base": "g", "responses": 4}
    g = graph(
        tmp_path,
        model,
        reward_models={
            "orm": {"type": "sequence-classifier", "train": base},
            "autopsv": {"type": "head-prm", "train": {"type": "autopsv", **base}},
            "math-shepherd": {"type": "step-token", "train": base},
        },
    )
    planned = rows(plan(g, GPU, 20))
    prompt = 40 // CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    head = 2 * 8 * 11
    reading = sum(token_flops(i) for i in range(prompt))
    answering = sum(token_flops(i) for i in range(prompt, prompt + 20))
    whole = reading + answering
    without = whole - head * (prompt + 20)
    # 24 rollouts: once by the ORM; twice by AutoPSV, and once more without the backward.
    assert planned["train", "orm"].flops == 3 * 24 * without
    assert planned["train", "autopsv"].flops == pytest.approx(3 * 24 * (2 + 1 / 3) * without)
    assert planned["train", "math-shepherd"].flops == 3 * 24 * whole
    scoring = 6 * reading + 24 * answering
    for name in ("orm", "autopsv"):
        assert planned["score", name].flops == scoring - head * (6 * prompt + 24 * 20)
        assert planned["train", name].disk == planned["train", "math-shepherd"].disk - 2 * 8 * 11
    assert planned["score", "math-shepherd"].flops == scoring


def test_a_public_classifier_is_its_model_without_embeddings_and_head() -> None:
    sizes = model_sizes("Skywork/Skywork-Reward-Llama-3.1-8B")
    assert sizes is not None
    assert ModelShape.of(sizes).matmul_params == 8_029_995_008 - 4096 * 128256
    assert ModelShape.of(sizes, output_head=False).matmul_params == 8_029_995_008 - 2 * 4096 * 128256


@pytest.mark.parametrize(
    ("preset", "questions", "shown"),
    [("judge", 24, 1), ("genprm", 24 * 8, 1), ("pairwise", 6 * 4 * 3, 2), ("listwise", 6 * 3, 4)],
)
def test_questions_of_judges(tmp_path: Path, model: str, preset: str, questions: int, shown: int) -> None:
    """24 responses to six problems, of eight steps each; three replies to each question."""
    entry = {"type": "generative", "generator": "g", "preset": preset, "verifications": 3, "max_tokens": 30}
    g = graph(tmp_path, model, reward_models={"rm": entry})
    made = plan(g, GPU, 50)
    row = next(row for row in made.stages if row.kind is StageKind.VERIFY)
    asked = g.verifications["rm"].arguments["asked"]
    replies = questions if preset == "listwise" else 3 * questions
    words = (len(asked.template) + len(asked.begins)) / CHARACTERS_PER_TOKEN
    question = words + 40 / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS + shown * 50
    assert (row.responses, row.response_tokens) == (replies, 30 * replies)
    assert row.prompt_tokens == pytest.approx(questions * question, abs=1)
    tokens = [token_flops(i) for i in range(round(question) + 30)]
    assert row.flops == questions * sum(tokens[: round(question)]) + replies * sum(tokens[round(question) :])
    assert any(f"{questions} questions, {replies} replies" in line for line in made.assumptions)


def test_a_hosted_judge_has_tokens_and_requests_but_no_flops(tmp_path: Path, model: str) -> None:
    judge = {"type": "openai", "model": "big"}
    g = graph(tmp_path, model, reward_models={"rm": {"type": "generative", "generator": judge, "max_tokens": 30}})
    row = next(row for row in plan(g, GPU, 50).stages if row.kind is StageKind.VERIFY)
    assert (row.responses, row.response_tokens, row.flops) == (24, 720, 0.0) and row.prompt_tokens > 24 * 50
