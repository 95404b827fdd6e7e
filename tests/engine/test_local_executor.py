"""Runs in one process: reward models that fail, Ctrl-C, and what is counted of an earlier run."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from failing_reward_models import SCORED, experiment
from places import MODELS
from runs import Done, bonbench, table

from harness.storage.results import load_results


def run(tmp_path: Path, reward_model: str, *arguments: str) -> Done:
    return bonbench("run", experiment(tmp_path, reward_model), "--local", *arguments)


def test_a_model_that_cannot_be_built_is_reported_and_the_rest_is_there(tmp_path: Path) -> None:
    done = run(tmp_path, "Broken")
    assert done.code == 1
    assert "quarantined: scores/mine: OSError: weights are truncated" in done.err
    assert "score mine failed on scores/mine" in done.err and "(whole in logs/score-mine-0.log)" in done.err
    log = (tmp_path / "results" / "logs" / "score-mine-0.log").read_text()
    assert "Traceback" in log and 'rm.py", line' in log and "OSError: weights are truncated" in log
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


@pytest.mark.parametrize(
    ("reward_model", "mistake"),
    [("Choosy", "its tokenizer has no chat template"), ("Unreadable", "its model cannot be loaded")],
)
def test_a_mistake_found_while_running_fails_its_entry_alone(reward_model: str, mistake: str, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "mended").touch()
    config = experiment(tmp_path, reward_model, "Mended")
    done = bonbench("run", config, "--local")
    assert done.code == 1
    assert f"quarantined: scores/mine: reward_models.mine: {mistake}" in done.err.splitlines()[-1]
    assert done.err.count("failed on") == 1 and "Traceback" not in done.err
    scores = table(tmp_path / "results", "scores/Mended")
    assert list(zip(scores.problem_id, scores["sample"], strict=True)) == SCORED
    assert mistake in (tmp_path / "results" / "report.html").read_text()


UNREADABLE = """
name: x
output: {folder}/results
problems: {{test: {{dataset: pocket, split: test, limit: 2}}}}
sampling: {{n: 2, max_tokens: 8}}
generators:
  lost: {{type: transformers, model: {folder}/lost}}
{others}evaluation: {{n: [1, 2], bootstrap: 100}}
"""


def unreadable(folder: Path, others: str = "") -> Done:
    """A run of a generator whose weights are cut off, and of others."""
    shutil.copytree(MODELS / "weak", folder / "lost")
    (folder / "lost" / "model.safetensors").write_bytes(b"cut off")
    config = folder / "experiment.yaml"
    config.write_text(UNREADABLE.format(folder=folder, others=others))
    return bonbench("run", config, "--local")


def test_a_report_goes_on_without_a_generator_that_cannot_be_read(tmp_path: Path) -> None:
    done = unreadable(tmp_path, f"  weak: {{type: transformers, model: {MODELS}/weak}}\n")
    assert done.code == 1, done.err
    assert "quarantined: responses/lost: generators.lost: " in done.err.splitlines()[-1]
    assert set(pd.read_csv(tmp_path / "results" / "tables" / "accuracy.csv").generator) == {"weak"}
    assert "generators.lost" in (tmp_path / "results" / "report.html").read_text()


def test_a_mistake_that_leaves_nothing_is_one_line(tmp_path: Path) -> None:
    done = unreadable(tmp_path)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("bonbench: generators.lost: ")
    assert "Traceback" not in done.err


def test_ctrl_c_ends_a_long_score(tmp_path: Path) -> None:
    """At once, and not when the shard is done: the reward model sends itself what the terminal would."""
    before = signal.getsignal(signal.SIGINT)
    done = run(tmp_path, "Interrupted")
    assert done.code == 130
    assert "the shard was finished" not in done.err + done.out
    assert signal.getsignal(signal.SIGINT) is before


def test_what_a_component_warns_of_is_said_by_its_stage(tmp_path: Path) -> None:
    done = run(tmp_path, "Warned")
    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if "memory" in line] == [
        f"score mine: memory is short for p{first}" for first in (0, 2, 4)
    ]


def test_several_shards_at_a_time(tmp_path: Path) -> None:
    """One problem fails alone; the others keep their own warnings, and share the seconds that passed."""
    started = time.monotonic()
    done = run(tmp_path, "Together")
    elapsed = time.monotonic() - started
    assert done.code == 1 and "quarantined: scores/mine/recorded/part-00001: problem 'p2': ValueError" in done.err
    assert sorted(line for line in done.err.splitlines() if "memory" in line) == [
        f"score mine: memory is short for p{first}" for first in (0, 3, 4)
    ]
    scores = table(tmp_path / "results", "scores")
    left = [row for row in SCORED if row[0] != "p2"]
    assert list(zip(scores.problem_id, scores["sample"], strict=True)) == left
    assert 0 < table(tmp_path / "results", "ledger/scores").wall_s.sum() < elapsed


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


def test_what_the_stage_before_has_loaded_goes_on(tmp_path: Path) -> None:
    """Under another name: two entries that differ in nothing else."""
    done = bonbench("run", experiment(tmp_path, "Counted", "Counted"), "--local")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "marks").iterdir())) == 1
    for name in ("mine", "Counted"):
        scores = table(tmp_path / "results", f"scores/{name}")
        assert set(scores.reward_model) == {name}
        assert list(zip(scores.problem_id, scores["sample"], strict=True)) == SCORED
