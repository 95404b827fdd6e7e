"""Writes small results folders in the stored layout, for the tests of what is made from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.records import Grade, LedgerRow, Problem, Response, StepScores
from harness.storage.arrow import to_table
from harness.storage.shards import shard_path, write_shard

#: What model output may hold: everything that must not reach HTML, LaTeX or the terminal as markup.
HOSTILE = "Step 1: <script>alert('x')</script> & $\\boxed{1}$ | [red]\nStep 2: </div>\u202e"

GENERATORS = ("weak", "strong")
N_PROBLEMS, N_SAMPLES = 12, 8
#: One file has all costs: what reads them goes by the rows, once they are of the experiment.
LEDGER_FOLDER = "ledger/grades/weak"

REWARD_MODELS: dict[str, dict[str, Any]] = {
    "log-likelihood": {"token_passes": {"policy": "base"}},
    "ce-2": {
        "token_passes": {"policy": "trained/ce-2", "reference": "base"},
        "train": {"method": "CE", "base": "base", "responses": 2},
        "trained_by": "ce-2",
    },
    "ce-4": {
        "token_passes": {"policy": "trained/ce-4", "reference": "base"},
        "train": {"method": "CE", "base": "base", "responses": 4},
        "trained_by": "ce-4",
    },
    "ce-4-alone": {
        "token_passes": {"policy": "trained/ce-4"},
        "train": {"method": "CE", "base": "base", "responses": 4},
        "trained_by": "ce-4",
    },
}


def write_rows(folder: Path, record: type, rows: list[Any], shards: int = 2) -> None:
    size = -(-len(rows) // shards)
    for index in range(shards):
        write_shard(shard_path(folder, index), to_table(record, rows[index * size : (index + 1) * size]), "key")


def write_results(folder: Path, reward_models: dict[str, dict[str, Any]] | None = None, **manifest: Any) -> Path:
    """A run of two generators and four reward models (or none: ``reward_models={}``), every number seeded."""
    models = REWARD_MODELS if reward_models is None else reward_models
    rng = np.random.default_rng(0)
    problems = [
        Problem(f"p{i:02d}", f"What is <i>{i}</i> & $1$?", str(i), ["algebra", "geometry"][i % 2], 1 + i % 3, "test")
        for i in range(N_PROBLEMS)
    ]
    write_rows(folder / "problems" / "test", Problem, problems)
    for skill, generator in zip((0.3, 0.6), GENERATORS, strict=True):
        responses, grades = [], []
        scores: dict[str, list[StepScores]] = {name: [] for name in models}
        for problem in problems:
            for sample in range(N_SAMPLES):
                correct = bool(rng.random() < skill)
                answerless = not correct and bool(rng.random() < 0.2)
                wrong = int(rng.integers(1, 3))
                response = Response(problem.problem_id, generator, sample, HOSTILE, 10, 20, "stop", 1)
                responses.append(response)
                grade = Grade(
                    problem.problem_id, generator, sample, "<b>7</b>", correct, "exact", 0 if correct else wrong
                )
                if answerless:
                    grade = replace(grade, extracted=None, reason="no answer", answer_class=-1)
                elif not correct:
                    grade = replace(grade, reason="different")
                grades.append(grade)
                for name in models:
                    rewards = tuple(rng.normal(0.5 if correct else 0.0, 1.0, size=2).tolist())
                    ends = (HOSTILE.index("\n") + 1, len(HOSTILE))
                    scores[name].append(StepScores(problem.problem_id, generator, sample, name, rewards, ends, 20))
        write_rows(folder / "responses" / generator, Response, responses)
        write_rows(folder / "grades" / generator, Grade, grades)
        for name, rows in scores.items():
            write_rows(folder / "scores" / name / generator, StepScores, rows)
    write_rows(folder / LEDGER_FOLDER, LedgerRow, ledger(), 1)
    facts = {
        "name": "tiny",
        "seed": 0,
        "config": {"name": "tiny"},
        "evaluation": {"n": [1, 4, 8], "aggregation": None, "bootstrap": 200, "protocol": "subsets"},
        "generators": {name: {"type": "replay", "model": ""} for name in GENERATORS},
        "problem_set": "test",
        "reward_models": {
            name: {"type": "implicit", "reward": "PRM", "score_type": "log-ratio", "aggregation": "min", **extra}
            for name, extra in models.items()
        },
        "quarantined": [],
        "versions": {"bonbench": "0"},
        "machine": {"cpus": 2},
        "commit": None,
    }
    (folder / "manifest.json").write_text(json.dumps(facts | manifest))
    return folder


def ledger() -> list[LedgerRow]:
    row = LedgerRow("sample", "weak", "weak", "cpu", 100, 1000, 0, 1e9, 2.0, 5.0)
    rows = [row, replace(row, what="strong")]
    rows += [
        replace(row, stage="token-pass", what=what, completion_tokens=0, prompt_tokens=500, flops=flops)
        for what, flops in (("base", 3e8), ("trained/ce-2", 1e8), ("trained/ce-4", 2e8))
    ]
    rows += [
        replace(row, stage="score", what=name, prompt_tokens=0, completion_tokens=0, flops=0.0, wall_s=0.5)
        for name in REWARD_MODELS
    ]
    for name, responses in (("ce-2", 2), ("ce-4", 4)):
        rows += [
            replace(
                row, stage="development/collection", what=name, completion_tokens=100 * responses, flops=1e7 * responses
            ),
            replace(row, stage="development/training", what=name, train_tokens=100 * responses, flops=6e7 * responses),
        ]
    return rows
