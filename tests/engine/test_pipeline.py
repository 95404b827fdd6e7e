"""End to end: real sampling, grading, training and scoring through Ray, with the pocket models, cut down."""

from __future__ import annotations

import random
import re
import subprocess
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from places import BONBENCH, ROOT

EXPERIMENT = """
name: small
output: {output}
problems:
  test: {{dataset: pocket, split: test, limit: 8}}
  train: {{dataset: pocket, split: train, limit: 24}}
sampling: {{n: 4, temperature: 1.0, max_tokens: 96}}
generators:
  weak: {{type: transformers, model: {root}/experiments/pocket/models/weak}}
  middle: {{type: transformers, model: {root}/experiments/pocket/models/middle}}
rollouts: {{generator: middle, problems: train, n: 4}}
reward_models:
  log-likelihood: {{type: implicit, policy: middle, reference: null}}
  dpo: {{type: implicit, train: {{objective: dpo, base: middle, beta: 0.5, lr: 1.0e-4, batch_size: 16, responses: 4}}}}
  ce: {{type: implicit, train: {{objective: ce, base: middle, beta: 0.5, lr: 1.0e-4, batch_size: 16, responses: 2}}}}
  ce-no-reference: {{type: implicit, policy: ce, reference: null}}
evaluation: {{n: [1, 4], bootstrap: 100}}
problems_per_shard: 3
"""

POISON = '''
import os

from bonbench.verifiers.math import MathVerifier


class Poison(MathVerifier):
    """Dies on one problem, as a grader run out of memory would."""

    def grade(self, problems, responses):
        if any(p.problem_id.endswith("0004") for p in problems):
            os._exit(1)
        return super().grade(problems, responses)
'''


def bonbench(*arguments: object, timeout: float = 400) -> subprocess.CompletedProcess[str]:
    command = [*BONBENCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def experiment(folder: Path) -> Path:
    config = folder / "small.yaml"
    config.write_text(EXPERIMENT.format(output=folder / "results", root=ROOT))
    return config


def contents(results: Path) -> dict[str, bytes]:
    """Every result file but those that hold clock readings."""
    clocks = re.compile(r"^(ledger/|manifest\.json|report\.html|tables/costs|\.lock)")
    files = {str(p.relative_to(results)): p for p in results.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in sorted(files.items()) if not clocks.match(name)}


def table(results: Path, folder: str) -> pd.DataFrame:
    parts = sorted((results / folder).rglob("part-*.parquet"))
    return pd.concat([pq.read_table(p).to_pandas() for p in parts], ignore_index=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("finished")
    done = bonbench("run", experiment(folder))
    assert done.returncode == 0, done.stderr
    return folder / "results"


def test_everything_is_there(finished: Path) -> None:
    for generator in ("weak", "middle"):
        responses = table(finished, f"responses/{generator}")
        assert len(responses) == 8 * 4
        assert responses.groupby("problem_id")["sample"].apply(list).map(lambda s: s == [0, 1, 2, 3]).all()
        assert responses.finish_reason.isin(["stop", "length"]).all() and responses.seed.is_unique
        grades = table(finished, f"grades/{generator}")
        assert (grades[["problem_id", "sample"]] == responses[["problem_id", "sample"]]).all(axis=None)
        for name in ("log-likelihood", "dpo", "ce", "ce-no-reference"):
            scores = table(finished, f"scores/{name}/{generator}")
            assert len(scores) == 8 * 4
            assert scores.step_rewards.map(len).equals(scores.step_ends.map(len))
    for name in ("dpo", "ce"):
        assert (finished / "trained" / name / "model.safetensors").stat().st_size > 1_000_000
    accuracy = pd.read_csv(finished / "tables" / "accuracy.csv")
    assert set(accuracy.n) == {1, 2, 4}
    assert (finished / "report.html").stat().st_size > 10_000


def test_trained_scores_are_log_ratios_of_stored_passes(finished: Path) -> None:
    scores = table(finished, "scores/ce/weak")
    policy, reference = table(finished, "token-passes/ce/weak"), table(finished, "token-passes/middle/weak")
    expected = 0.5 * (policy.logprobs.map(sum) - reference.logprobs.map(sum))
    assert scores.step_rewards.map(sum).to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-9)
    assert expected.abs().max() > 1e-4, "training moved the policy"


def test_ledger_counts_tokens(finished: Path) -> None:
    ledger = table(finished, "ledger")
    responses = table(finished, "responses/weak")
    sampled = ledger[(ledger.stage == "sample") & (ledger.what == "weak")]
    assert sampled.completion_tokens.sum() == responses.n_tokens.sum()
    assert sampled.prompt_tokens.sum() == responses.groupby("problem_id").n_prompt_tokens.first().sum()
    rollouts = table(finished, "rollouts/middle")
    for name, used in (("ce", 2), ("dpo", 4)):
        rows = ledger[ledger.what == name].set_index("stage")
        assert (
            rows.loc["development/collection", "completion_tokens"]
            == rollouts[rollouts["sample"] < used].n_tokens.sum()
        )
        assert rows.loc["development/training", "train_tokens"] > 0
        assert (
            rows.loc[["development/collection", "development/reference", "development/training"], "flops"] > 0
        ).all()


def test_a_second_run_computes_nothing(finished: Path) -> None:
    before = {
        p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name not in (".lock", "manifest.json")
    }
    done = bonbench("run", finished.parent / "small.yaml")
    assert done.returncode == 0, done.stderr
    assert "Nothing to compute" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_the_documented_reward_model_costs_its_own_scores_only(finished: Path) -> None:
    guide = (ROOT / "docs" / "adding-a-reward-model.md").read_text()
    mine = finished.parent / "my_rm.py"
    mine.write_text(guide.split("```python\n")[1].split("```")[0])
    done = bonbench("run", finished.parent / "small.yaml", "--reward-model", f"{mine}:MeanLogLikelihood:model=middle")
    assert done.returncode == 0, done.stderr
    assert "Computed 6 shards" in done.stderr
    assert "MeanLogLikelihood" in (finished / "tables" / "table1.md").read_text()
    scores = table(finished, "scores/MeanLogLikelihood/weak")
    passes = table(finished, "token-passes/middle/weak")
    assert scores.step_rewards.map(sum).to_numpy() == pytest.approx(passes.logprobs.map(lambda v: v.mean()).to_numpy())
    compared = bonbench("compare", finished, "MeanLogLikelihood", "log-likelihood", "--n", 4)
    assert compared.returncode == 0 and "MeanLogLikelihood" in compared.stdout, compared.stderr


def test_plan_runs_nothing(tmp_path: Path) -> None:
    done = bonbench("plan", experiment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "rollout" in done.stdout and "train" in done.stdout
    assert not (tmp_path / "results").exists()


def test_killed_and_resumed_is_the_same(finished: Path, tmp_path: Path) -> None:
    """kill -9 at three moments, then once more to the end: the same bytes as an uninterrupted run."""
    expected = {
        k: v
        for k, v in contents(finished).items()
        if "MeanLog" not in k and not k.startswith((".report", "tables", "figures"))
    }
    config = experiment(tmp_path)
    rng = random.Random(0)
    for shards in (1, 4, 12):
        process = subprocess.Popen([*BONBENCH, "run", str(config)], stderr=subprocess.DEVNULL, cwd=ROOT)
        deadline = time.monotonic() + 300
        while len(list((tmp_path / "results").rglob("part-*.parquet"))) < 2 * shards and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2))
        process.kill()  # SIGKILL to the driver alone; what Ray started must go by itself
        process.wait()
    done = bonbench("run", config)
    assert done.returncode == 0, done.stderr
    resumed = contents(tmp_path / "results")
    assert expected.keys() <= resumed.keys()
    assert [name for name in expected if resumed[name] != expected[name]] == []
    assert not list((tmp_path / "results").rglob("*.tmp"))


def test_a_poison_shard_is_quarantined_and_named(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    (tmp_path / "poison.py").write_text(POISON)
    lines = [s for s in config.read_text().splitlines() if not s.strip().startswith(("rollouts", "dpo", "ce"))]
    config.write_text("\n".join(lines))
    done = bonbench("run", config, "--set", f"verifier.type={tmp_path}/poison.py:Poison")
    assert done.returncode == 1, done.stderr
    assert "quarantined: grades/weak/part-00001" in done.stderr
    assert len(table(tmp_path / "results", "grades/weak")) == (8 - 3) * 4
    assert len(table(tmp_path / "results", "scores/log-likelihood/weak")) == 8 * 4
    assert "part-00001" in (tmp_path / "results" / "report.html").read_text()
