"""End to end, in this process: real sampling, grading, training and scoring with the pocket models, cut down."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from places import ROOT
from runs import bonbench, table

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
from bonbench.verifiers.math import MathVerifier


class Poison(MathVerifier):
    """Fails on one problem, as a grader run out of memory would."""

    def grade(self, problems, responses):
        if any(p.problem_id.endswith("0004") for p in problems):
            raise MemoryError
        return super().grade(problems, responses)
'''


def experiment(folder: Path) -> Path:
    config = folder / "small.yaml"
    config.write_text(EXPERIMENT.format(output=folder / "results", root=ROOT))
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run; tests that write take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    done = bonbench("run", experiment(folder), "--local")
    assert done.code == 0, done.err
    return folder / "results"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run's results, in a folder with its experiment file."""
    experiment(tmp_path)
    shutil.copytree(finished, tmp_path / "results")
    return tmp_path / "results"


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


def test_a_second_run_computes_nothing(copied: Path) -> None:
    before = {
        p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file() and p.name not in (".lock", "manifest.json")
    }
    done = bonbench("run", copied.parent / "small.yaml", "--local")
    assert done.code == 0, done.err
    assert "Nothing to compute" in done.err
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_the_documented_reward_model_costs_its_own_scores_only(copied: Path) -> None:
    guide = (ROOT / "docs" / "adding-a-reward-model.md").read_text()
    mine = copied.parent / "my_rm.py"
    mine.write_text(guide.split("```python\n")[1].split("```")[0])
    model = f"{mine}:MeanLogLikelihood:model=middle"
    done = bonbench("run", copied.parent / "small.yaml", "--local", "--reward-model", model)
    assert done.code == 0, done.err
    assert "Computed 6 shards" in done.err
    assert "MeanLogLikelihood" in (copied / "tables" / "table1.md").read_text()
    scores = table(copied, "scores/MeanLogLikelihood/weak")
    passes = table(copied, "token-passes/middle/weak")
    assert scores.step_rewards.map(sum).to_numpy() == pytest.approx(passes.logprobs.map(lambda v: v.mean()).to_numpy())
    compared = bonbench("compare", copied, "MeanLogLikelihood", "log-likelihood", "--n", 4)
    assert compared.code == 0 and "MeanLogLikelihood" in compared.out, compared.err
    # A baseline that needs more of the same pass has it made again, a few columns wider, and nothing else: what is
    # scored by the narrow one stays.
    certainty = ("--reward-model", "confidence:{model: middle, measure: self-certainty}")
    before = {p: p.stat().st_mtime_ns for p in (copied / "scores").rglob("*.parquet")}
    until = ("--local", "--until", "score")
    done = bonbench("run", copied.parent / "small.yaml", *until, "--reward-model", model, *certainty)
    assert done.code == 0, done.err
    assert "Computed 12 shards" in done.err
    wider = table(copied, "token-passes/middle/weak")
    assert np.concatenate(wider.logprobs) == pytest.approx(np.concatenate(passes.logprobs), abs=1e-5)
    means = wider.self_certainty.map(lambda v: v.mean()).to_numpy()
    assert table(copied, "scores/confidence/weak").step_rewards.map(sum).to_numpy() == pytest.approx(means)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert "Nothing to compute" in bonbench("run", copied.parent / "small.yaml", *until).err


def test_plan_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # as the verb does, for the rest of its process
    done = bonbench("plan", experiment(tmp_path))
    assert done.code == 0, done.err
    assert "rollout" in done.out and "train" in done.out
    assert not (tmp_path / "results").exists()


def test_a_poison_shard_is_quarantined_and_named(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    (tmp_path / "poison.py").write_text(POISON)
    lines = [s for s in config.read_text().splitlines() if not s.strip().startswith(("rollouts", "dpo", "ce"))]
    config.write_text("\n".join(lines))
    done = bonbench("run", config, "--local", "--set", f"verifier.type={tmp_path}/poison.py:Poison")
    assert done.code == 1, done.err
    assert "quarantined: grades/weak/part-00001: MemoryError" in done.err
    assert len(table(tmp_path / "results", "grades/weak")) == (8 - 3) * 4
    assert len(table(tmp_path / "results", "scores/log-likelihood/weak")) == 8 * 4
    assert "part-00001" in (tmp_path / "results" / "report.html").read_text()
