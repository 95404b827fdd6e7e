"""Puts shards with counted costs into a results folder, as the engine counts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.core.components import ModelFacts
from harness.core.records import LedgerRow, Response, StepScores, TokenLogprobs
from harness.core.stages import StageKind
from harness.engine.tasks import Result, _count
from harness.storage.arrow import to_records, to_table
from harness.storage.ledger import read_ledger
from harness.storage.shards import LEDGER, read_shard, shard_path, write_shard

#: A model of 2 layers, in the words of its config.
CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "vocab_size": 100,
}


def larger(times: int) -> ModelFacts:
    """The same model with so many times the layers, on a CPU."""
    return ModelFacts(CONFIG | {"num_hidden_layers": 2 * times}, "cpu")


def counted(sequences: Iterable[tuple[str, int, int]], model: ModelFacts | None = None) -> Result:
    """What the engine counts of (id, prompt tokens, tokens), for one forward of a model over them."""
    result = Result(to_table(Response, []))
    _count(result, model or larger(1), sequences)
    return result


def put(
    results: Path,
    place: str,
    record: type,
    rows: Sequence[Sequence[object]],
    costs: Sequence[Result],
    wall_s: float = 1.0,
    gpus: float = 0.0,
) -> None:
    """Write a folder of shards with their costs.

    Args:
        place: the folder below the results, say ``responses/weak``.
        rows: of each shard.
        costs: of each shard; one without a model has no sizes.
    """
    for folder in (results / place, results / LEDGER / place):
        for path in folder.glob("part-*.parquet"):
            path.unlink()
    kind, what = place.split("/")[:2]
    stage = next(stage for stage in StageKind if stage.folder == kind)
    for index, (of_shard, cost) in enumerate(zip(rows, costs, strict=True)):
        write_shard(shard_path(results / place, index), to_table(record, of_shard), "key", cost.meta)
        tokens = cost.prompt_tokens, cost.completion_tokens, 0
        row = LedgerRow(stage, what, "", cost.device, *tokens, cost.flops, wall_s, 0.0, gpus)
        write_shard(shard_path(results / LEDGER / place, index), to_table(LedgerRow, [row]), "key")


def counted_folder(folder: Path) -> Path:
    """Lets transformers sample the responses of a folder of ``results_folder``: "strong" with four times the layers.

    The tokens of its responses are 10 and more, of its prompts 5. A pass over them was made by "base", a model of
    their own have all reward models that read no pass.
    """
    for times, generator in ((1, "weak"), (4, "strong")):
        shards = [to_records(Response, read_shard(p)) for p in sorted((folder / "responses" / generator).iterdir())]
        shards = [[replace(r, n_prompt_tokens=5, n_tokens=10 + r.sample) for r in shard] for shard in shards]
        read = [[(r.problem_id, 5, r.n_tokens) for r in shard] for shard in shards]
        put(folder, f"responses/{generator}", Response, shards, [counted(rows, larger(times)) for rows in read])
        passes = [
            [TokenLogprobs(r.problem_id, generator, r.sample, (-1.0,) * r.n_tokens, (0,) * r.n_tokens, 5) for r in rows]
            for rows in shards
        ]
        put(folder, f"token-passes/base/{generator}", TokenLogprobs, passes, [counted(rows) for rows in read], 0.5)
    return folder


def scored_by_own_model(folder: Path, reward_model: str, generator: str, model: ModelFacts | None) -> None:
    """Let a model of its own make a reward model's scores; None for one of which nothing is known."""
    place = f"scores/{reward_model}/{generator}"
    shards = [to_records(StepScores, read_shard(path)) for path in sorted((folder / place).iterdir())]
    read = [[(r.problem_id, 5, r.n_tokens) for r in shard] for shard in shards]
    nothing = Result(to_table(StepScores, []))
    put(folder, place, StepScores, shards, [counted(rows, model) if model else nothing for rows in read], 0.25)


def drop_a_ledger(folder: Path, place: str) -> None:
    """Lose the costs of a folder's last shard."""
    path = sorted((folder / LEDGER / place).iterdir())[-1]
    assert len(read_ledger(path)) == 1
    path.unlink()
