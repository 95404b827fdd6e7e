"""Rollouts that workers encode shard by shard: the same, bit for bit, as encoded here, at once and in memory."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model
from training_data import graded_sums, trained

from bonbench.reward_models.training import data as preparation
from bonbench.reward_models.training.by_shards import Place
from bonbench.reward_models.training.data import Rollouts
from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.labelled_steps import build_steps, build_tokens, relabelled
from bonbench.reward_models.training.params import (
    AutoPSVTrainerParams,
    ImplicitTrainerParams,
    OutcomeTrainerParams,
    StepTokenTrainerParams,
    TrainingParams,
)
from bonbench.reward_models.training.responses import build_outcomes, build_rollouts
from harness.core.errors import UserError
from harness.core.records import GradedSolution
from harness.core.rollouts import InMemory, RolloutShards
from harness.engine.local_executor import in_this_process

Build = Callable[..., tuple[Rollouts, dict[str, object]]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def sets(base: str) -> tuple[list[GradedSolution], list[GradedSolution]]:
    """Two sets of rollouts; half of the second one's problems are the first one's too."""
    rollouts = graded_sums(base)
    changed = [dataclasses.replace(item, steps=(1.0, 0.5)) for item in rollouts[48:72]]
    return rollouts[:72], [*changed, *rollouts[72:]]


class Ranks:
    """Workers that work one after the other in this process, the first one last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.launched: list[int] = []

    def __call__(self, work: Any, job: Any, workers: Any, scratch: Path, progress: Any) -> Any:
        self.launched.append(workers.count)
        assert workers.gpus == 0
        if workers.count == 1:
            return work(job, progress)
        met: dict[int, Any] = {}

        def gather(everyone: list[Any], own: Any) -> None:
            met[rank] = own
            everyone[:] = [met.get(other) for other in range(workers.count)]

        with self._patch.context() as patch:
            patch.setattr(torch.distributed, "is_initialized", lambda: True)
            patch.setattr(torch.distributed, "get_world_size", lambda: workers.count)
            patch.setattr(torch.distributed, "all_gather_object", gather)
            for rank in reversed(range(workers.count)):
                patch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
                result = work(job, progress)
        return result


def same(one: Any, other: Any) -> None:
    """Compare dataclasses of arrays down to their bits."""
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    else:
        np.testing.assert_array_equal(one, other, strict=True)


def outcome_verifier(
    data: Any, params: AutoPSVTrainerParams, place: Place | None = None
) -> tuple[Rollouts, dict[str, object]]:
    rollouts, _, facts = build_tokens(data, params, place)
    return rollouts, facts


def labelled_again(
    data: Any, params: AutoPSVTrainerParams, place: Place | None = None
) -> tuple[Rollouts, dict[str, object]]:
    _, prepared, facts = build_tokens(data, params, place)
    return relabelled(prepared, params, np.arange(2 * len(prepared), dtype=np.float32), place), facts


@pytest.mark.parametrize(
    ("build", "kind", "asked"),
    [
        (build_rollouts, ImplicitTrainerParams, {"objective": "dpo", "dedup": 0.5, "instructions": 0.8}),
        (build_rollouts, ImplicitTrainerParams, {"objective": "kto", "max_length": 39, "responses": 3}),
        (build_rollouts, ImplicitTrainerParams, {"objective": "kto", "level": "step", "labels": "soft"}),
        (build_outcomes, OutcomeTrainerParams, {"dedup": 0.7}),
        (build_steps, StepTokenTrainerParams, {}),
        (outcome_verifier, AutoPSVTrainerParams, {}),
        (labelled_again, AutoPSVTrainerParams, {"dedup": 0.7}),
    ],
)
def test_the_same_examples(
    base: str,
    sets: tuple[list[GradedSolution], list[GradedSolution]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    build: Build,
    kind: type[TrainingParams],
    asked: dict[str, Any],
) -> None:
    params = kind.model_validate({"base": base, "workers": 3, "gpus_per_worker": 1, **asked})
    at_once, facts = build([*sets[0], *sets[1]], params)
    shards = [InMemory(some[i : i + 8]) for some in sets for i in range(0, len(some), 8)]
    monkeypatch.setattr(preparation, "_AT_ONCE", 10)
    said: list[str] = []
    place = Place(tmp_path / "encoded", lambda done, total, note: said.append(note), Ranks(monkeypatch))
    by_shards, same_facts = build(RolloutShards(shards), params, place)
    assert facts == same_facts
    assert facts["dropped"] or not asked or "level" in asked
    same(by_shards, at_once)
    assert said[-3:] == [f"encoded {done} of 15 shards" for done in (0, 6, 12)]  # the first worker's two shards a time
    if by_shards.mismatched is not None:
        assert place.launch.launched == [3, 3]  # type: ignore[attr-defined]

    again, _ = build(RolloutShards(shards), params, Place(place.folder, place.progress, in_this_process))
    same(again, at_once)  # and nothing was encoded: three workers are more than this launcher can start
    tokens = sum(s.ids.nbytes for s in (at_once.sequences, getattr(at_once.mismatched, "sequences", None)) if s)
    assert len(pickle.dumps(by_shards)) < len(pickle.dumps(at_once)) - tokens
    unpickled = pickle.loads(pickle.dumps(by_shards))
    same(unpickled, at_once)
    batch = unpickled.batch(np.array([5, 0, 7]))
    assert all(type(array) is np.ndarray for array in batch.values())


def test_what_was_encoded_before_a_kill_is_there(
    base: str, sets: tuple[list[GradedSolution], list[GradedSolution]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    @dataclasses.dataclass(frozen=True)
    class Counted(InMemory):
        def load(self) -> list[GradedSolution]:
            loaded.append(self.problem_ids[0])
            if len(loaded) == 4:
                raise KeyboardInterrupt
            return super().load()

    monkeypatch.setattr(preparation, "_AT_ONCE", 8)
    rollouts = RolloutShards([Counted(sets[0][i : i + 8]) for i in range(0, 72, 8)])
    params = ImplicitTrainerParams(base=base, objective="ce", beta=0.5, lr=1e-3, batch_size=16)
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        ImplicitTrainer(params, "rm").train(rollouts, output, lambda *_: None, in_this_process)
    assert loaded == ["p0", "p2", "p4", "p6"]
    ImplicitTrainer(params, "rm").train(rollouts, output, lambda *_: None, in_this_process)
    assert loaded[4:] == ["p6", "p8", "p10", "p12", "p14", "p16"]
    assert not (output / "encoded").exists()
    plain, _ = build_rollouts(sets[0], params)
    trained(Job("implicit", params, plain, base, tmp_path / "plain"))
    weights = [(folder / "model.safetensors").read_bytes() for folder in (output, tmp_path / "plain")]
    assert weights[0] == weights[1]


def test_a_mistake_that_a_worker_meets(
    base: str, sets: tuple[list[GradedSolution], list[GradedSolution]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of three workers meets it. It comes out once, as it is, and no worker raises."""
    rollouts = [*sets[0][:-1], dataclasses.replace(sets[0][-1], steps=None)]
    shards = RolloutShards([InMemory(rollouts[i : i + 24]) for i in range(0, 72, 24)])
    params = StepTokenTrainerParams(base=base, workers=3)
    monkeypatch.setattr(preparation, "_AT_ONCE", 24)
    launch = Ranks(monkeypatch)
    with pytest.raises(UserError, match=r"^no step labels: sample 3 of problem 'p17' has none$"):
        build_steps(shards, params, Place(tmp_path / "encoded", lambda *_: None, launch))
    assert launch.launched == [3]
