"""What a run would do: per stage stored and missing shards, and upper bounds of tokens and FLOPs. Nothing runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.flops import ModelShape
from harness.stages import Graph, Stage, Training
from harness.training import trained_key

_PASSES = ("token-pass", "rollout-pass")


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan. ``tokens`` and ``flops`` bound what the missing part needs; None where unknown.

    Response tokens only: prompts are short beside them and not tokenised for a plan.
    """

    name: str
    who: str
    stored: int
    missing: int
    responses: int
    tokens: int | None
    flops: float | None


def plan(graph: Graph) -> list[PlannedStage]:
    """Every stage of the graph with what is missing of it."""
    return [_training(graph, s) if isinstance(s, Training) else _stage(graph, s) for s in graph.stages]


def _stage(graph: Graph, stage: Stage) -> PlannedStage:
    missing = [s for s in stage.shards if not s.stored(graph.results)]
    responses = sum(s.n_responses for s in missing)
    tokens: int | None = None
    flops: float | None = None
    if stage.task in ("sample", "token-pass") and not _replayed(stage):
        length = graph.experiment.sampling.max_tokens
        tokens = responses * length
        shape = _shape(graph, stage.spec.paths("model").get("model", ""))
        flops = responses * shape.forward(length) if shape else None
    return PlannedStage(stage.name, stage.who, len(stage.shards) - len(missing), len(missing), responses, tokens, flops)


def _training(graph: Graph, training: Training) -> PlannedStage:
    stored = trained_key(training.folder) == training.key
    if stored:
        return PlannedStage("train", training.who, 1, 0, 0, 0, 0)
    length = graph.experiment.sampling.max_tokens
    shape = _shape(graph, training.spec.paths("model").get("base", ""))
    epochs: float = getattr(training.spec.params, "epochs", 1)
    responses = training.n_responses
    tokens = int(responses * length * epochs)
    flops = epochs * responses * shape.training(length, length * (length + 1) // 2) if shape else None
    return PlannedStage("train", training.who, 0, 1, responses, tokens, flops)


def _replayed(stage: Stage) -> bool:
    return stage.task == "sample" and stage.spec.cls.available_samples(stage.spec.params) is not None


def _shape(graph: Graph, model: str) -> ModelShape | None:
    """A model's shape from its folder, a model still to be trained having its base's; None for one on the hub."""
    for stage in graph.stages:
        if isinstance(stage, Training) and str(stage.folder) == model:
            return _shape(graph, stage.spec.paths("model").get("base", ""))
    config = Path(model) / "config.json"
    return ModelShape.from_config(json.loads(config.read_text())) if config.is_file() else None
