"""One training: its rollouts from the store, the trainer, the trained folder, and what it cost to develop."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.completions import prefixes
from harness.components import loadable
from harness.flops import ModelShape
from harness.records import Grade, GradedSolution, Response, Solution, StepLabels, TokenLogprobs
from harness.stages import Shard, Training
from harness.store import LedgerRow, read_shard, replacing, shard_meta, shard_path, to_records

_KEY_FILE = "bonbench.json"


def trained_key(folder: Path) -> str | None:
    """The key a trained folder was made with, or None."""
    try:
        return json.loads((folder / _KEY_FILE).read_text())["key"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError):
        return None


def trained_facts(folder: Path) -> dict[str, Any]:
    """What the trainer reported (loss, counts), without the model's config."""
    return json.loads((folder / _KEY_FILE).read_text())["facts"]  # type: ignore[no-any-return]


def run_training(training: Training, results: Path, progress: Callable[[int, int, str], None]) -> list[LedgerRow]:
    """Train, put the model at ``training.folder``, and return its development costs as ledger rows."""
    data = _graded_solutions(training, results)
    trainer = training.spec.cls(loadable(training.spec.params), training.who)
    temporary = training.folder.with_name(training.folder.name + ".partial")
    if trained_key(temporary) != training.key:  # else a run was killed here, and the trainer goes on from what it left
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write_key(temporary, {"key": training.key})
    started_at, clock = time.time(), time.perf_counter()
    facts = trainer.train(data, temporary, progress)
    wall_s = time.perf_counter() - clock
    config = facts.pop("config")
    _write_key(temporary, {"key": training.key, "facts": facts})
    shutil.rmtree(training.folder, ignore_errors=True)
    temporary.rename(training.folder)
    cost = LedgerRow(
        stage="development/training",
        what=training.who,
        model=training.who,
        device=str(facts.get("device", "")),
        prompt_tokens=0,
        completion_tokens=0,
        train_tokens=facts["train_tokens"],
        flops=_training_flops(ModelShape.from_config(config), facts),
        wall_s=wall_s,
        started_at=started_at,
    )
    return [*_attributed(training, results), cost]


def _training_flops(shape: ModelShape, facts: dict[str, Any]) -> float:
    # Training is three forwards; what was only read is one.
    read = shape.training(facts.get("forward_tokens", 0), facts.get("forward_positions", 0)) / 3
    return shape.training(facts["train_tokens"], facts["train_positions"]) + read


def _write_key(folder: Path, content: dict[str, Any]) -> None:
    with replacing(folder / _KEY_FILE) as path:
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _graded_solutions(training: Training, results: Path) -> list[GradedSolution]:
    data = []
    for i, shard in enumerate(training.rollouts):
        problems = {p.problem_id: p for p in shard.problems}
        responses = to_records(Response, read_shard(shard.path(results)))
        grades = to_records(Grade, read_shard(training.grades[i].path(results)))
        passes = {
            role: to_records(TokenLogprobs, read_shard(shards[i].path(results)))
            for role, shards in training.passes.items()
        }
        labels = to_records(StepLabels, read_shard(training.labels[i].path(results))) if training.labels else []
        for row, (response, grade) in enumerate(zip(responses, grades, strict=True)):
            logprobs = {role: records[row] for role, records in passes.items()}
            solution = Solution(problems[response.problem_id], response, logprobs)
            steps = tuple(k / labels[row].n for k in labels[row].n_correct) if labels else None
            data.append(GradedSolution(solution, grade.correct, steps))
    return data


def _attributed(training: Training, results: Path) -> list[LedgerRow]:
    """Data collection and labels: the share of this reward model in rollouts and passes that others use too.

    It answers for the first ``responses`` rollouts of each problem it is trained on, counted exactly, as if it had been
    alone; the wall time of a shared shard is divided by responses.
    """
    items = [("development/collection", training.rollouts), ("development/labels", training.grades)]
    items += [("development/reference", shards) for shards in training.passes.values()]
    rows = [_share(stage, training, shards, results) for stage, shards in items]
    return [*rows, _completions(training, results)] if training.completions else rows


def _share(stage: str, training: Training, shards: list[Shard], results: Path) -> LedgerRow:
    row = LedgerRow(stage, training.who, "", "", 0, 0, 0, 0.0, 0.0, time.time())
    used, problems = training.used, training.problems
    for rollouts, shard in zip(training.rollouts, shards, strict=True):
        responses = to_records(Response, read_shard(rollouts.path(results)))
        own = [r for r in responses if r.sample < used and r.problem_id in problems]
        # Where answers are compared no model reads them.
        read = [] if stage == "development/labels" else own
        row = _add(row, shard, read, len(own) / len(responses), results)
    return row


def _completions(training: Training, results: Path) -> LedgerRow:
    """The completions of the prefixes that its own rollouts have."""
    row = LedgerRow("development/labels", training.who, "", "", 0, 0, 0, 0.0, 0.0, time.time())
    used, problems = training.used, training.problems
    for rollouts, shard in zip(training.rollouts, training.completions, strict=True):
        known = prefixes(shard.problems, to_records(Response, read_shard(rollouts.path(results))))
        own = {p.problem.problem_id for (id_, _), p in known.items() if p.sample < used and id_ in problems}
        completions = to_records(Response, read_shard(shard.path(results)))
        row = _add(row, shard, [r for r in completions if r.problem_id in own], len(own) / max(len(known), 1), results)
    return row


def _add(row: LedgerRow, shard: Shard, responses: Sequence[Response], share: float, results: Path) -> LedgerRow:
    """``row`` with what it cost a shard's model to sample or read ``responses``: every prompt once, and a share of the
    shard's wall time."""
    ledger = read_shard(shard_path(results / "ledger" / shard.folder, shard.index)).to_pylist()[0]
    sizes = shard_meta(shard.path(results)).get("shape")
    shape = ModelShape(**sizes) if sizes else None
    prompts = {r.problem_id: r.n_prompt_tokens for r in responses}
    flops = 0.0
    if shape:
        flops += sum(shape.forward(n) for n in prompts.values())
        flops += sum(shape.forward(r.n_tokens, past=prompts[r.problem_id]) for r in responses)
    return dataclasses.replace(
        row,
        model=ledger["model"],
        device=ledger["device"],
        prompt_tokens=row.prompt_tokens + sum(prompts.values()),
        completion_tokens=row.completion_tokens + sum(r.n_tokens for r in responses),
        flops=row.flops + flops,
        wall_s=row.wall_s + ledger["wall_s"] * share,
    )
