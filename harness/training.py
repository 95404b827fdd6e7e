"""One training: its rollouts from the store, the trainer, the trained folder, and what it cost to develop."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.flops import ModelShape
from harness.records import Grade, GradedSolution, Response, Solution, TokenLogprobs
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
    trainer = training.spec.cls(training.spec.params, training.who)
    temporary = training.folder.with_name(training.folder.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    started_at, clock = time.time(), time.perf_counter()
    facts = trainer.train(data, temporary, progress)
    wall_s = time.perf_counter() - clock
    config = facts.pop("config")
    with replacing(temporary / _KEY_FILE) as path:
        path.write_text(json.dumps({"key": training.key, "facts": facts}, indent=1, sort_keys=True) + "\n")
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
        flops=ModelShape.from_config(config).training(facts["train_tokens"], facts["train_positions"]),
        wall_s=wall_s,
        started_at=started_at,
    )
    return [*_attributed(training, results), cost]


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
        for row, (response, grade) in enumerate(zip(responses, grades, strict=True)):
            logprobs = {role: records[row] for role, records in passes.items()}
            solution = Solution(problems[response.problem_id], response, logprobs)
            data.append(GradedSolution(solution, grade.correct))
    return data


def _attributed(training: Training, results: Path) -> list[LedgerRow]:
    """Data collection and labels: the share of this reward model in rollouts and passes that others use too.

    It answers for the first ``responses`` rollouts of each problem, counted exactly, as if it had been alone; the
    wall time of a shared shard is divided by responses.
    """
    used: int = getattr(training.spec.params, "responses")  # noqa: B009 -- declared by every trainer
    items = [("development/collection", training.rollouts), ("development/labels", training.grades)]
    items += [("development/reference", shards) for shards in training.passes.values()]
    return [_share(stage, training, shards, used, results) for stage, shards in items]


def _share(stage: str, training: Training, shards: list[Shard], used: int, results: Path) -> LedgerRow:
    prompt_tokens = completion_tokens = 0
    flops = wall_s = 0.0
    model = device = ""
    for rollouts, shard in zip(training.rollouts, shards, strict=True):
        ledger = read_shard(shard_path(results / "ledger" / shard.folder, shard.index)).to_pylist()[0]
        model, device = ledger["model"], ledger["device"]
        responses = to_records(Response, read_shard(rollouts.path(results)))
        wall_s += ledger["wall_s"] * used * len(shard.problems) / len(responses)
        if stage == "development/labels":
            continue  # answers are compared, no model reads them
        sizes = shard_meta(shard.path(results)).get("shape")
        shape = ModelShape(**sizes) if sizes else None
        seen: set[str] = set()
        for r in responses:
            if r.sample >= used:
                continue
            if r.problem_id not in seen:
                seen.add(r.problem_id)
                prompt_tokens += r.n_prompt_tokens
                flops += shape.forward(r.n_prompt_tokens) if shape else 0
            completion_tokens += r.n_tokens
            flops += shape.forward(r.n_tokens, past=r.n_prompt_tokens) if shape else 0
    return LedgerRow(
        stage, training.who, model, device, prompt_tokens, completion_tokens, 0, flops, wall_s, time.time()
    )
