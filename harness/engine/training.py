"""One training: its rollouts from the store, the trainer, the trained folder, and what it cost to develop."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from harness.core.errors import UserError
from harness.core.files import put_in_place
from harness.core.records import LedgerRow, Response
from harness.core.stages import DevelopmentItem
from harness.core.trainer import TrainingFacts
from harness.core.workers import Launcher, Progress
from harness.cost_model.shape import ModelShape
from harness.data.documents import read_json
from harness.engine.graph import Shard, Training
from harness.engine.prefixes import prefixes
from harness.engine.stored_rollouts import stored_rollouts
from harness.engine.timed_launcher import TimedLauncher
from harness.experiment.model_files import loadable
from harness.storage.arrow import to_records, to_table
from harness.storage.keys import digest
from harness.storage.ledger import read_ledger
from harness.storage.shards import read_shard, shard_key, shard_meta, write_shard
from harness.storage.trained import trained_facts, trained_key, write_trained_key

#: Raise it when the same training gets other rows in the ledger. Rows of an earlier revision are made again from what
#: is stored. Since revision 2, a model without an output head has no cost for the head; since revision 3, a row has the
#: GPUs that were held.
LEDGER_REVISION = 3


def rehearse(training: Training, results: Path) -> None:
    """Try what may refuse a training after hours, before anything is computed for it.

    A training whose base is still to be trained is rehearsed by its workers alone.

    Raises:
        UserError: naming the entry, where it would be refused.
    """
    if all(before.is_done(results) for before in training.trained):
        try:
            training.spec.cls.rehearse(training.spec.params)
        except UserError as error:
            raise UserError(f"{training.spec.where}: {error}") from None


def run_training(training: Training, results: Path, progress: Progress, launch: Launcher) -> LedgerRow:
    """Train, put the model at ``training.folder``, and its development costs into the ledger.

    Returns:
        What the training itself cost. Its seconds are those of the preparation in this process and of its workers'
        work: of their last attempt, where workers died.
    """
    data = stored_rollouts(training, results)
    trainer = training.spec.cls(loadable(training.spec.loads), training.who)
    temporary = training.folder.with_name(training.folder.name + ".partial")
    if trained_key(temporary) != training.key:  # else a run was killed here, and the trainer goes on from what it left
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_trained_key(temporary, training.key)
    timed = TimedLauncher(launch)
    started_at, clock = time.time(), time.perf_counter()
    facts: TrainingFacts = trainer.train(data, temporary, progress, timed)
    wall_s = time.perf_counter() - clock - timed.idle_s
    write_trained_key(temporary, training.key, _reported(facts))
    # The ledger first: a model that is there has its costs.
    cost = _write_development(training, results, facts, wall_s, started_at)
    shutil.rmtree(training.folder, ignore_errors=True)
    put_in_place(temporary, training.folder)
    return cost


def recount_development(training: Training, results: Path) -> bool:
    """Make the ledger's rows of a stored training anew, where they are of an earlier revision; whether they were.

    Nothing is trained again: tokens are as the training counted them, times as they were measured. Rows stay as they
    are where something that they were made of is no longer stored.
    """
    ledger = training.ledger(results)
    reads = [*training.rollouts, *training.grades, *training.completions, *training.labels]
    reads += [shard for shards in training.passes.values() for shard in shards]
    of_earlier = shard_key(ledger) not in (None, _ledger_key(training)) and trained_key(training.folder) == training.key
    if not of_earlier or not all(shard.stored(results) for shard in reads):
        return False
    reported, config = trained_facts(training.folder), training.folder / "config.json"
    if not config.is_file():
        return False
    sizes = ("train_tokens", "train_positions", "forward_tokens", "forward_positions", "adapter_params")
    facts = TrainingFacts(
        config=read_json(config),
        device=reported.get("device", ""),
        output_head=training.spec.cls.output_head,
        **{size: reported[size] for size in sizes if size in reported},
    )
    before = _trained(training, results)
    _write_development(training, results, facts, before.wall_s, before.started_at)
    return True


def _write_development(
    training: Training, results: Path, facts: TrainingFacts, wall_s: float, started_at: float
) -> LedgerRow:
    """Write the ledger's rows of a training: what led up to it, and the training itself, which is returned."""
    workers = training.params.in_workers()
    cost = LedgerRow(
        stage=DevelopmentItem.TRAINING.stage,
        what=training.who,
        model=training.who,
        device=facts.device,
        prompt_tokens=0,
        completion_tokens=0,
        train_tokens=facts.train_tokens,
        flops=_training_flops(facts),
        wall_s=wall_s,
        started_at=started_at,
        gpus=float(workers.count * workers.gpus),
    )
    rows = to_table(LedgerRow, [*_attributed(training, results), cost])
    write_shard(training.ledger(results), rows, _ledger_key(training))
    return cost


def _ledger_key(training: Training) -> str:
    return digest("development", LEDGER_REVISION, training.key)


def _reported(facts: TrainingFacts) -> dict[str, Any]:
    """The facts for the report, without the model's config: the config is in the model's folder."""
    reported: dict[str, Any] = {
        "device": facts.device,
        "train_tokens": facts.train_tokens,
        "train_positions": facts.train_positions,
        **facts.extra,
    }
    if facts.adapter_params is not None:
        reported["adapter_params"] = facts.adapter_params
    if facts.forward_tokens:
        reported |= {"forward_tokens": facts.forward_tokens, "forward_positions": facts.forward_positions}
    return reported


def _training_flops(facts: TrainingFacts) -> float:
    shape = ModelShape.from_config(facts.config, facts.output_head)
    read = shape.reading(facts.forward_tokens, facts.forward_positions)
    return shape.training(facts.train_tokens, facts.train_positions, facts.adapter_params) + read


def _attributed(training: Training, results: Path) -> list[LedgerRow]:
    """What a training costs besides its own computing: rollouts, labels, reference passes, and the trainings before it.

    Several trainings may share rollouts and passes. Each training is charged as if it were the only one: for the
    first ``responses`` rollouts of every problem that it learns from. Tokens and FLOPs are counted exactly. The wall
    time of a shared shard is divided in proportion to the responses. Shards whose actors held other numbers of GPUs
    have a row of their own. The data of the earlier trainings of its lineage
    are charged too. Data that two trainings of the lineage share are charged once.
    """
    readers: dict[tuple[DevelopmentItem, _Part, str], dict[Shard, list[_Data]]] = {}
    for one in training.lineage:
        items: list[tuple[DevelopmentItem, _Part, list[Shard]]] = [
            (DevelopmentItem.COLLECTION, _read, one.rollouts),
            (DevelopmentItem.LABELS, _compared, one.grades),
            *((DevelopmentItem.REFERENCE, _passed, shards) for shards in one.passes.values()),
            (DevelopmentItem.LABELS, _completed, one.completions),
        ]
        for item, part, shards in items:
            for shard in shards:
                data = _Data(one.used, one.problem_ids_in(shard))
                readers.setdefault((item, part, shard.folder), {}).setdefault(shard, []).append(data)
    rows: list[LedgerRow] = []
    for (item, part, _), shares in readers.items():
        by_gpus: dict[float | None, LedgerRow] = {}
        for shard, of in shares.items():
            (cost,) = to_records(LedgerRow, read_ledger(shard.ledger(results)))
            nothing = LedgerRow(item.stage, training.who, "", "", 0, 0, 0, 0.0, 0.0, time.time(), cost.gpus)
            row = by_gpus.get(cost.gpus, nothing)
            by_gpus[cost.gpus] = _add(row, cost, shard, *part(shard, of, results), results)
        rows += by_gpus.values()
    earlier = [_trained(one, results) for one in training.lineage[1:]]
    return [*rows, *(dataclasses.replace(row, what=training.who) for row in earlier)]


@dataclasses.dataclass(frozen=True, slots=True)
class _Data:
    """What a training learns from in a shard: the first ``responses`` rollouts to some problems."""

    responses: int
    problems: set[str]


class _Tokens(NamedTuple):
    """How many tokens a model sampled or read: those of a response, and of the prompt before it."""

    problem_id: str
    n_prompt: int
    n: int


#: (shard, whose data, results) -> what a shard's model sampled or read for any of them, and their share of the shard.
_Part = Callable[[Shard, Sequence[_Data], Path], tuple[list[_Tokens], float]]


def _read(shard: Shard, data: Sequence[_Data], results: Path) -> tuple[list[_Tokens], float]:
    used, share = _used(shard, data, results)
    return [tokens for _, tokens in used], share


def _passed(shard: Shard, data: Sequence[_Data], results: Path) -> tuple[list[_Tokens], float]:
    """The tokens are those that the model of the pass read: recorded responses may not say how long they are."""
    used, share = _used(shard, data, results)
    table = read_shard(shard.path(results), ["problem_id", "sample", "n_prompt_tokens", "logprobs"])
    lengths = pc.list_value_length(table["logprobs"])
    names = ("problem_id", "sample", "n_prompt_tokens")
    rows = zip(*(column.to_pylist() for column in (*map(table.column, names), lengths)), strict=True)
    counts = {(id_, sample): (n_prompt, n) for id_, sample, n_prompt, n in rows}
    passed = [_Tokens(id_, *counts[id_, sample]) for sample, (id_, _, _) in used]
    return [tokens for tokens in passed if tokens.n_prompt > 0 or tokens.n > 0], share


def _compared(shard: Shard, data: Sequence[_Data], results: Path) -> tuple[list[_Tokens], float]:
    """Where answers are compared no model reads them."""
    return [], _used(shard, data, results)[1]


def _completed(shard: Shard, data: Sequence[_Data], results: Path) -> tuple[list[_Tokens], float]:
    """The completions of the prefixes that their own rollouts have."""
    rollouts = _rollouts(shard, results, ["problem_id", "sample", "text"])
    texts = [Response(id_, "", sample, text) for id_, sample, text in rollouts]
    prefix_by_text = prefixes(shard.problems, texts)
    completed_ids = {p.problem.problem_id for (id_, _), p in prefix_by_text.items() if _in_any(data, id_, p.sample)}
    completions = _rows(shard.path(results), ["problem_id", "n_prompt_tokens", "n_tokens"])
    sampled = [_Tokens(*row) for row in completions if row[0] in completed_ids]
    return sampled, len(sampled) / max(len(completions), 1)


def _used(shard: Shard, data: Sequence[_Data], results: Path) -> tuple[list[tuple[int, _Tokens]], float]:
    """The rollouts that are used of those that a shard holds, or reads: sample number and tokens; and their share."""
    rollouts = _rollouts(shard, results, ["problem_id", "sample", "n_prompt_tokens", "n_tokens"])
    used = [(sample, _Tokens(id_, *n)) for id_, sample, *n in rollouts if _in_any(data, id_, sample)]
    return used, len(used) / max(len(rollouts), 1)


def _rollouts(shard: Shard, results: Path, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Columns of the rollouts to its problems that a shard holds, or reads; the first one is ``problem_id``."""
    ids = {problem.problem_id for problem in shard.problems}
    return [row for row in _rows(shard.inputs.get("responses", shard).path(results), columns) if row[0] in ids]


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Some columns alone: the texts and numbers of a shard take a hundred times the memory."""
    table = read_shard(path, columns)
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))


def _in_any(data: Sequence[_Data], problem_id: str, sample: int) -> bool:
    return any(sample < some.responses and problem_id in some.problems for some in data)


def _trained(training: Training, results: Path) -> LedgerRow:
    """The ledger's row of a training that is over."""
    rows = to_records(LedgerRow, read_ledger(training.ledger(results)))
    return next(row for row in rows if (row.stage, row.model) == (DevelopmentItem.TRAINING.stage, training.who))


def _add(
    row: LedgerRow, cost: LedgerRow, shard: Shard, responses: Sequence[_Tokens], share: float, results: Path
) -> LedgerRow:
    """``row`` with what it cost a shard's model to sample or read ``responses``: every prompt once, and a share of the
    wall time of the shard, of which ``cost`` is the ledger's row."""
    sizes = shard_meta(shard.path(results)).get("shape")
    shape = ModelShape(**sizes) if sizes else None
    prompts = {r.problem_id: r.n_prompt for r in responses}
    flops = 0.0
    if shape:
        flops += sum(shape.forward(n) for n in prompts.values())
        flops += sum(shape.forward(r.n, past=prompts[r.problem_id]) for r in responses)
    return dataclasses.replace(
        row,
        model=cost.model,
        device=cost.device,
        prompt_tokens=row.prompt_tokens + sum(prompts.values()),
        completion_tokens=row.completion_tokens + sum(r.n for r in responses),
        flops=row.flops + flops,
        wall_s=row.wall_s + cost.wall_s * share,
    )
