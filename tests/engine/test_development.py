"""What a training costs, in the ledger: by hand from the model's matrices, whoever counted before."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.core.records import LedgerRow, Problem, Response, TokenLogprobs
from harness.core.registry import find
from harness.core.stages import DevelopmentItem
from harness.core.workers import Progress, Workers
from harness.cost_model.shape import ModelShape
from harness.engine.graph import Shard, Training
from harness.engine.local_executor import in_this_process
from harness.engine.outcome import Outcome
from harness.engine.training import _attributed, recount_development, run_training
from harness.experiment.spec import Pool, Spec
from harness.storage.arrow import to_records, to_table
from harness.storage.shards import read_shard, write_shard

Work = Callable[[Any, Progress], Any]

TRAINER = """
import dataclasses
import json
import time

from harness import Trainer, TrainerParams, TrainingFacts


class Classifier(Trainer):
    output_head = False

    def train(self, data, output, progress, launch):
        config = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 11}
        config |= {"intermediate_size": 16}
        (output / "config.json").write_text(json.dumps(config))
        # Two sequences of 5 tokens forward and backward, one of 7 forward alone.
        return TrainingFacts(config, "cpu", False, 10, 2 * 15, forward_tokens=7, forward_positions=28)


class Launched(Classifier):
    def train(self, data, output, progress, launch):
        for _ in range(2):
            launch(work, 0.1, self.params.in_workers(), output / "workers", progress)
        return super().train(data, output, progress, launch)


def work(seconds, progress):
    time.sleep(seconds)


class LanguageModel(Classifier):
    output_head = True

    def train(self, data, output, progress, launch):
        return dataclasses.replace(super().train(data, output, progress, launch), output_head=True)
"""


def by_hand(head: int) -> int:
    """Forward and backward of two sequences of 5 tokens and a forward of one of 7, token by token."""
    weights = 2 * (4 * 8 * 8 + 3 * 8 * 16) + head  # q, k, v, o; gate, up, down; in two layers

    def forward(length: int) -> int:
        return sum(2 * weights + 2 * (2 * 2 * 8 * (position + 1)) for position in range(length))

    return 3 * 2 * forward(5) + forward(7)


def training(tmp_path: Path, name: str, **params: Any) -> Training:
    (tmp_path / "mine.py").write_text(TRAINER)
    type_ = f"{tmp_path / 'mine.py'}:{name}"
    spec = Spec("trainers", "rm", type_, find("trainers", type_).Params(base="none", **params), Pool(), "train")
    nothing: dict[str, list[Any]] = {part: [] for part in ("rollouts", "grades", "completions", "labels")}
    return Training(who="rm", spec=spec, key="key", folder=tmp_path / "rm", passes={}, **nothing)


def row(training: Training, results: Path) -> LedgerRow:
    (only,) = to_records(LedgerRow, read_shard(training.ledger(results)))
    return only


@pytest.mark.parametrize(("name", "head"), [("Classifier", 0), ("LanguageModel", 8 * 11)])
def test_an_output_head_costs_where_there_is_one(tmp_path: Path, name: str, head: int) -> None:
    asked = training(tmp_path, name)
    run_training(asked, tmp_path, lambda *_: None, in_this_process)
    assert row(asked, tmp_path).flops == by_hand(head)


def test_its_time_is_that_of_its_work(tmp_path: Path) -> None:
    """A launcher whose workers wait ten times as long as they work adds their work, and none of the waiting."""
    asked = training(tmp_path, "Launched")
    waited = 0.0

    def late(work: Work, job: Any, workers: Workers, scratch: Path, progress: Progress) -> Any:
        nonlocal waited
        clock = time.perf_counter()
        time.sleep(1.0)
        waited += time.perf_counter() - clock
        return work(job, progress)

    clock = time.perf_counter()
    run_training(asked, tmp_path, lambda *_: None, late)
    whole = time.perf_counter() - clock
    assert 2 * 0.1 <= row(asked, tmp_path).wall_s <= whole - waited
    assert waited >= 2.0


def test_rows_of_an_earlier_revision_are_counted_anew(tmp_path: Path) -> None:
    asked = training(tmp_path, "Classifier")
    assert not recount_development(asked, tmp_path)  # not trained yet
    run_training(asked, tmp_path, lambda *_: None, in_this_process)
    assert not recount_development(asked, tmp_path)
    counted = row(asked, tmp_path)
    # As the first revision wrote it: with a head, under the training's key.
    before = dataclasses.replace(counted, flops=float(by_hand(8 * 11)), wall_s=12.5, started_at=3.0)
    write_shard(asked.ledger(tmp_path), to_table(LedgerRow, [before]), asked.key)
    assert recount_development(asked, tmp_path)
    assert row(asked, tmp_path) == dataclasses.replace(counted, wall_s=12.5, started_at=3.0)
    assert not recount_development(asked, tmp_path)


def test_a_training_holds_the_gpus_of_all_its_workers(tmp_path: Path) -> None:
    asked = training(tmp_path, "Classifier", workers=8, gpus_per_worker=1)
    cost = run_training(asked, tmp_path, lambda *_: None, in_this_process)
    assert cost == row(asked, tmp_path)
    assert cost.gpus == 8
    # Its ledger as it was before the column.
    table = read_shard(asked.ledger(tmp_path)).drop_columns(["gpus"])
    write_shard(asked.ledger(tmp_path), table, asked.key)
    assert recount_development(asked, tmp_path)
    assert row(asked, tmp_path) == cost


def test_shards_on_other_numbers_of_gpus_have_their_own_rows(tmp_path: Path) -> None:
    asked = training(tmp_path, "Classifier")
    asked.rollouts = [
        Shard(folder="rollouts/x", index=i, key="s", problems=(Problem(f"p{i}", f"{i}", "2"),), generator="g")
        for i in range(3)
    ]
    for shard, gpus in zip(asked.rollouts, (1.0, 4.0, 1.0), strict=True):
        response = Response(shard.problems[0].problem_id, "g", 0, "2", n_prompt_tokens=7, n_tokens=9)
        write_shard(shard.path(tmp_path), to_table(Response, [response]), shard.key)
        cost = LedgerRow("rollout", "x", "m", "cuda", 7, 9, 0, 1.0, 4.0, 0.0, gpus)
        write_shard(shard.ledger(tmp_path), to_table(LedgerRow, [cost]), shard.key)
    collected = [row for row in _attributed(asked, tmp_path) if row.stage == DevelopmentItem.COLLECTION.stage]
    assert [(row.gpus, row.wall_s, row.completion_tokens) for row in collected] == [(1.0, 8.0, 18), (4.0, 4.0, 9)]


def test_what_the_reference_has_not_read_costs_nothing(tmp_path: Path) -> None:
    """Of two rollouts, the reference has read the first alone: 7 tokens of prompt and 2 of response."""
    config = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape = ModelShape.from_config({**config, "vocab_size": 11}, output_head=True)
    sampled = Shard(folder="rollouts/x", index=0, key="s", problems=(Problem("p", "1 + 1", "2"),), generator="g")
    read = sampled.derived("rollout-passes/m", ["pass"], {"responses": sampled})
    rollouts = [Response("p", "g", i, "2" * 9, n_prompt_tokens=7, n_tokens=9) for i in range(2)]
    passes = [TokenLogprobs("p", "g", 0, (-1.0, -2.0), (1, 9), 7), TokenLogprobs("p", "g", 1, (), (), 0)]
    write_shard(sampled.path(tmp_path), to_table(Response, rollouts), sampled.key)
    write_shard(read.path(tmp_path), to_table(TokenLogprobs, passes), read.key, {"shape": dataclasses.asdict(shape)})
    cost = LedgerRow("rollout-pass", "m", "m", "cpu", 7, 2, 0, 1.0, 4.0, 0.0)
    write_shard(read.ledger(tmp_path), to_table(LedgerRow, [cost]), read.key)
    asked = training(tmp_path, "Classifier")
    asked.rollouts, asked.passes = [sampled], {"reference": [read]}
    write_shard(sampled.ledger(tmp_path), to_table(LedgerRow, [cost]), sampled.key)
    run_facts = [row for row in _attributed(asked, tmp_path) if row.stage == DevelopmentItem.REFERENCE.stage]
    assert [(row.prompt_tokens, row.completion_tokens) for row in run_facts] == [(7, 2)]
    assert run_facts[0].flops == shape.forward(7) + shape.forward(2, past=7)


def test_a_run_says_what_gpu_hours_it_took(tmp_path: Path) -> None:
    (said,) = Outcome(computed=2, stored=1, gpu_seconds=5400.0).lines(tmp_path)
    assert said.endswith("1 were stored already. What it computed took 1.50 GPU-hours, without loading models.")
    (said,) = Outcome(computed=2, stored=1).lines(tmp_path)
    assert "GPU" not in said
