"""Actors that die or fail: the run goes on, and says what it could not do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
from places import BONBENCH

REWARD_MODELS = '''
import os
from pathlib import Path

from harness.core.records import StepScores
from harness.core.components import ComponentParams, RewardModel
from harness.core.errors import UserError


class Params(ComponentParams):
    marks: str


class Flaky(RewardModel[Params]):
    """Dies the first time it meets a problem, as if its node had gone."""

    Params = Params

    def score(self, batch):
        mark = Path(self.params.marks) / batch[0].problem.problem_id
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return [
            StepScores(s.response.problem_id, s.response.generator, s.response.sample, self.name, (1.0,), None, 1)
            for s in batch
        ]


class Broken(RewardModel[Params]):
    """Cannot be built where it should run."""

    Params = Params

    def __init__(self, params, name=""):
        raise OSError("weights are truncated")

    def score(self, batch):
        raise NotImplementedError


class Mended(Flaky):
    """Fails until somebody mends what it needs."""

    def score(self, batch):
        if not (Path(self.params.marks) / "mended").exists():
            raise OSError("disk full")
        return [
            StepScores(s.response.problem_id, s.response.generator, s.response.sample, self.name, (1.0,), None, 1)
            for s in batch
        ]


class Choosy(Flaky):
    """Finds a mistake of the user's only when it runs."""

    def score(self, batch):
        raise UserError("its tokenizer has no chat template")
'''


def run(tmp_path: Path, reward_model: str) -> subprocess.CompletedProcess[str]:
    rows = [
        {"problem_id": f"p{i}", "problem": f"{i} + 1", "gold": str(i + 1), "samples": [{"text": "1"}, {"text": "2"}]}
        for i in range(6)
    ]
    (tmp_path / "responses.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "rm.py").write_text(REWARD_MODELS)
    (tmp_path / "marks").mkdir(exist_ok=True)
    config = tmp_path / "experiment.yaml"
    config.write_text(
        f"name: x\nresponses: {tmp_path}/responses.jsonl\noutput: {tmp_path}/results\nproblems_per_shard: 2\n"
        f"reward_models: {{mine: {{type: '{tmp_path}/rm.py:{reward_model}', marks: {tmp_path}/marks, replicas: 2}}}}\n"
    )
    return subprocess.run([*BONBENCH, "run", str(config)], capture_output=True, text=True, timeout=300)


def scores(tmp_path: Path) -> pd.DataFrame:
    parts = sorted((tmp_path / "results" / "scores").rglob("*.parquet"))
    return pd.concat(map(pd.read_parquet, parts), ignore_index=True) if parts else pd.DataFrame()


def test_a_dead_actor_is_replaced_and_its_shard_retried(tmp_path: Path) -> None:
    done = run(tmp_path, "Flaky")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "marks").iterdir())) == 3, "every shard killed its actor once"
    assert list(zip(scores(tmp_path).problem_id, scores(tmp_path)["sample"], strict=True)) == [
        (f"p{i}", k) for i in range(6) for k in range(2)
    ]


def test_a_model_that_cannot_be_built_is_reported_and_the_rest_is_there(tmp_path: Path) -> None:
    done = run(tmp_path, "Broken")
    assert done.returncode == 1
    assert "quarantined: scores/mine/recorded/part-00002: OSError: weights are truncated" in done.stderr
    assert scores(tmp_path).empty
    accuracy = pd.read_csv(tmp_path / "results" / "tables" / "accuracy.csv")
    assert set(accuracy.strategy) == {"average", "oracle", "majority"}


def test_a_report_takes_in_what_was_missing_before(tmp_path: Path) -> None:
    assert run(tmp_path, "Mended").returncode == 1
    assert "mine" not in (tmp_path / "results" / "tables" / "table1.csv").read_text()
    (tmp_path / "marks" / "mended").touch()
    done = run(tmp_path, "Mended")
    assert done.returncode == 0, done.stderr
    assert "mine" in (tmp_path / "results" / "tables" / "table1.csv").read_text()


def test_a_mistake_found_while_running_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "Choosy")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("reward_models.mine: its tokenizer has no chat template")
    assert "Traceback" not in done.stderr
