"""Runs in one process: reward models that fail, Ctrl-C, and what is counted of an earlier run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest
from failing_reward_models import SCORED, experiment
from runs import Done, bonbench, table

from harness.storage.results import load_results


def run(tmp_path: Path, reward_model: str, *arguments: str) -> Done:
    return bonbench("run", experiment(tmp_path, reward_model), "--local", *arguments)


def test_a_model_that_cannot_be_built_is_reported_and_the_rest_is_there(tmp_path: Path) -> None:
    done = run(tmp_path, "Broken")
    assert done.code == 1
    assert "quarantined: scores/mine/recorded/part-00002: OSError: weights are truncated" in done.err
    assert not (tmp_path / "results" / "scores").exists()
    accuracy = pd.read_csv(tmp_path / "results" / "tables" / "accuracy.csv")
    assert set(accuracy.strategy) == {"average", "oracle", "majority"}


def test_a_report_takes_in_what_was_missing_before(tmp_path: Path) -> None:
    assert run(tmp_path, "Mended").code == 1
    assert "mine" not in (tmp_path / "results" / "tables" / "table1.csv").read_text()
    (tmp_path / "marks" / "mended").touch()
    done = run(tmp_path, "Mended")
    assert done.code == 0, done.err
    assert "mine" in (tmp_path / "results" / "tables" / "table1.csv").read_text()
    scores = table(tmp_path / "results", "scores")
    assert list(zip(scores.problem_id, scores["sample"], strict=True)) == SCORED


def test_a_mistake_found_while_running_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "Choosy")
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith("reward_models.mine: its tokenizer has no chat template")
    assert "Traceback" not in done.err


def test_ctrl_c_ends_a_long_score(tmp_path: Path) -> None:
    """At once, and not when the shard is done: the reward model sends itself what the terminal would."""
    before = signal.getsignal(signal.SIGINT)
    done = run(tmp_path, "Interrupted")
    assert done.code == 130
    assert "the shard was finished" not in done.err + done.out
    assert signal.getsignal(signal.SIGINT) is before


def test_what_shards_of_a_larger_run_cost_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "mended").touch()
    for limit, shards in ((6, 3), (2, 1)):
        done = run(
            tmp_path,
            "Mended",
            "--set",
            f"problems.test={{dataset: responses, path: {tmp_path}/responses.jsonl, limit: {limit}}}",
        )
        assert done.code == 0, done.err
        ledger = load_results(tmp_path / "results").ledger
        assert ledger.stage.value_counts().to_dict() == {"sample": shards, "grade": shards, "score": shards}


def test_what_another_reward_model_cost_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "mended").touch()
    assert run(tmp_path, "Mended").code == 0
    assert run(tmp_path, "Mended", "--set", "reward_models={}").code == 0
    assert set(load_results(tmp_path / "results").ledger.stage) == {"sample", "grade"}


def test_a_cluster_and_this_process_exclude_each_other(tmp_path: Path) -> None:
    done = run(tmp_path, "Mended", "--address", "auto")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "--local" in done.err and "--address" in done.err


def test_it_leaves_the_environment_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert run(tmp_path, "Broken").code == 1
    assert "OMP_NUM_THREADS" not in os.environ
