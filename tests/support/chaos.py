"""A sampling experiment to be disturbed, and what its results must be."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from places import BONBENCH, ROOT

SAMPLING = """
name: disturbed
output: {output}
problems: {{test: {{dataset: pocket, split: test, limit: 24}}}}
sampling: {{n: 8, temperature: 1.0, max_tokens: 96}}
generators:
  weak: {{type: transformers, model: experiments/pocket/models/weak, replicas: {replicas}}}
  middle: {{type: transformers, model: experiments/pocket/models/middle, replicas: {replicas}}}
problems_per_shard: 2
"""


def sampling_experiment(folder: Path, replicas: int = 1) -> Path:
    """An experiment that only samples: 2 generators x 24 problems x 8 responses in 24 shards, and their grades."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "experiment.yaml"
    config.write_text(SAMPLING.format(output=folder / "results", replicas=replicas))
    return config


def start(config: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [*BONBENCH, "run", str(config), "--until", "grade", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a run that must succeed."""
    _, stderr = process.communicate(timeout=400)
    assert process.returncode == 0, stderr


def shards(config: Path) -> dict[str, bytes]:
    """Every stored shard but the ledger's, which holds clock readings."""
    results = config.parent / "results"
    files = sorted(p for p in results.rglob("part-*.parquet") if "ledger" not in p.parts)
    return {str(p.relative_to(results)): p.read_bytes() for p in files}


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def actors_below(pid: int) -> list[psutil.Process]:
    """Processes of our actors among the descendants of a process (a driver with its own Ray, or a raylet)."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Worker"):
                found.append(process)
        except psutil.Error:
            continue
    return found
