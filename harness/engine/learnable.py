"""Whether there is anything to learn from the rollouts of a training, as soon as they are graded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.core.errors import UserError
from harness.core.stages import StageKind
from harness.engine.graph import Node, Shard, Stage, Training
from harness.storage.shards import read_shard

#: What models make of rollouts for trainings alone: hours, where there are many.
_FOR_TRAININGS = (StageKind.ROLLOUT_PASS, StageKind.COMPLETE)


def readers(stage: Stage, nodes: Iterable[Node]) -> list[Training]:
    """The trainings that a stage works for, where it works for nothing else and on their rollouts; else none."""
    if stage.kind not in _FOR_TRAININGS:
        return []
    made = {id(shard) for shard in stage.shards}
    return [node for node in nodes if isinstance(node, Training) and made & {id(shard) for shard in _read(node)}]


def check_grades(training: Training, results: Path) -> None:
    """Look at the grades of a training's rollouts, which are stored.

    Raises:
        UserError: naming the entry, where there is nothing to learn from.
    """
    ids = training.problem_ids
    correct: dict[str, list[bool]] = {id_: [] for id_ in ids.values()}
    for shard in training.grades:
        named = {p.problem_id: ids[p.problem_id, p.problem] for p in shard.problems}
        table = read_shard(shard.path(results), ["problem_id", "sample", "correct"])
        for problem_id, sample, is_right in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if sample < training.used:
                correct[named[problem_id]].append(is_right)
    try:
        training.spec.cls.check_grades(training.spec.params, correct)
    except UserError as error:
        raise UserError(f"{training.spec.where}: {error}") from None


def _read(training: Training) -> list[Shard]:
    passes = [shard for shards in training.passes.values() for shard in shards]
    return [*passes, *training.completions]
