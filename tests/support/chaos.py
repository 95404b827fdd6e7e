"""Runs through Ray to be disturbed, and what disturbs them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from places import BONBENCH, MODELS, ROOT
from runs import bonbench
from training_data import graded_sums

#: No test hangs for ever; nothing that works takes so long, however busy the machine.
GUARD_S = 1800

SAMPLING = """
name: disturbed
output: {output}
problems: {{test: {{dataset: pocket, split: test, limit: 24}}}}
sampling: {{n: 8, temperature: 1.0, max_tokens: 96}}
generators: {{weak: {{type: transformers, model: {models}/weak, replicas: {replicas}}}}}
problems_per_shard: 1
"""

TRAINING = """
name: disturbed
output: {folder}/results
problems:
  test: {{dataset: pocket, split: test, limit: 16}}
  train: {{dataset: responses, path: {folder}/rollouts.jsonl}}
sampling: {{n: 4, max_tokens: 48}}
generators:
  tiny: {{type: transformers, model: {model}}}
  released: {{type: replay, path: {folder}/rollouts.jsonl, evaluate: false}}
rollouts: {{generator: released, problems: train, n: 4}}
reward_models:
  kto:
    type: implicit
    train: {{objective: kto, base: tiny, beta: 0.5, lr: 1.0e-3, epochs: 10, batch_size: 8, checkpoint_minutes: 0.01}}
evaluation: {{n: [1, 4], bootstrap: 100}}
problems_per_shard: 1
"""

WHOLE = """
name: disturbed
output: {folder}/results
problems:
  test: {{dataset: pocket, split: test, limit: 6}}
  train: {{dataset: pocket, split: train, limit: 6}}
sampling: {{n: 4, temperature: 1.0, max_tokens: 96}}
generators:
  weak: {{type: transformers, model: {models}/weak}}
  middle: {{type: transformers, model: {models}/middle, evaluate: false}}
rollouts: {{generator: middle, problems: train, n: 8}}
reward_models:
  dpo:
    type: implicit
    reference: null
    train: {{objective: dpo, base: middle, beta: 0.5, lr: 1.0e-4, epochs: 16, batch_size: 8, checkpoint_minutes: 0.002}}
  shepherd:
    type: step-token
    train: {{base: middle, completions: 2, epochs: 8, batch_size: 8, workers: 2, checkpoint_minutes: 0.002}}
evaluation: {{n: [1, 4], bootstrap: 50}}
problems_per_shard: 1
"""


def whole_experiment(folder: Path) -> Path:
    """An experiment with every kind of stage, a training of one worker and one of two, in 62 shards and models."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "experiment.yaml"
    config.write_text(WHOLE.format(folder=folder, models=MODELS))
    return config


def sampling_experiment(folder: Path, replicas: int = 1) -> Path:
    """An experiment of a generator, 24 problems in 24 shards, 8 responses each."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "experiment.yaml"
    config.write_text(SAMPLING.format(output=folder / "results", models=MODELS, replicas=replicas))
    return config


def training_experiment(folder: Path, model: str) -> Path:
    """An experiment that samples 16 shards from a model, and trains it for 120 steps on recorded sums."""
    folder.mkdir(parents=True, exist_ok=True)
    problems: dict[str, dict[str, object]] = {}
    for item in graded_sums(None):
        problem, text = item.solution.problem, item.solution.response.text
        row = {"problem_id": problem.problem_id, "problem": problem.problem, "gold": problem.answer, "samples": []}
        samples = problems.setdefault(problem.problem_id, row)["samples"]
        assert isinstance(samples, list)
        samples.append({"text": f"{text}\nThe answer is \\boxed{{{problem.answer if item.correct else -1}}}."})
    (folder / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems.values()))
    config = folder / "experiment.yaml"
    config.write_text(TRAINING.format(folder=folder, model=model))
    return config


def undisturbed(config: Path, *arguments: str) -> Path:
    """The results of a run in this process."""
    done = bonbench("run", config, "--local", *arguments)
    assert done.code == 0, done.err
    return config.parent / "results"


def start(config: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run in a process of its own, through Ray."""
    command = [*BONBENCH, "run", str(config), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a run that must succeed."""
    _, stderr = process.communicate(timeout=GUARD_S)
    assert process.returncode == 0, stderr


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a driver; what Ray started for it must go by itself."""
    process.kill()
    process.communicate()


def stored(config: Path, folder: str = "") -> list[Path]:
    """The shards stored so far in a folder of the results."""
    return sorted((config.parent / "results" / folder).rglob("part-*.parquet"))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until a condition holds, while a run goes on."""
    deadline = time.monotonic() + GUARD_S
    while not condition():
        assert process.poll() is None, f"the run was over: {process.communicate()[1]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def actors_below(pid: int, name: str = "_Actor") -> list[psutil.Process]:
    """Processes of the actors of a class among the descendants of a process (a driver with its own Ray, a raylet)."""
    actors = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith(f"ray::{name}"):
                actors.append(process)
        except psutil.Error:
            continue
    return actors
