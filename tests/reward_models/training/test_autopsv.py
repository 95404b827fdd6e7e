"""AutoPSV: labels from a verifier's confidence, and one real training of both verifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import make_model
from training_data import curve, graded_sums
from transformers import AutoModelForTokenClassification

from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
from bonbench.reward_models.lm import causal_lm
from bonbench.reward_models.training import confidence as confidences
from bonbench.reward_models.training.autopsv import AutoPSVTrainer, labels_from_confidence
from bonbench.reward_models.training.by_shards import Place, batches
from bonbench.reward_models.training.confidence import confidence
from bonbench.reward_models.training.data import Prepared
from bonbench.reward_models.training.labelled_steps import build_tokens
from bonbench.reward_models.training.params import AutoPSVTrainerParams
from bonbench.reward_models.training.targets import EveryReadTargets
from harness.core.records import Solution
from harness.core.rollouts import shards_of
from harness.core.trainer import TrainingFacts
from harness.engine.local_executor import in_this_process


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.9, 0.8, 0.7], [1, 1, 1]),
        ([0.9, 0.4, 0.9], [1, 0, 0]),  # falls by 56 %, and a recovery changes nothing
        ([0.8, 0.4, 0.3], [1, 1, 1]),  # by half, and not more
        ([0.1, 0.2, 0.09], [1, 1, 0]),  # relative, not absolute
        ([1e-6, 0.9], [0, 0]),  # no confidence from the start
        ([0.5, 1e-6, 0.5], [1, 0, 0]),
        ([0.3, -0.1, 0.9], [1, 0, 0]),  # a value below 0 is no confidence
        ([-0.2], [0]),
        ([0.01], [1]),
    ],
)
def test_labels_from_confidence(values: list[float], labels: list[int]) -> None:
    assert labels_from_confidence(values, 0.5) == labels


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), st.floats(0.1, 1))
def test_labels_by_the_formula(values: list[float], drop: float) -> None:
    errors = [t for t in range(1, len(values)) if (values[t] - values[t - 1]) / values[t - 1] < -drop]
    first = min(errors, default=len(values))
    assert labels_from_confidence(values, drop) == [int(t < first) for t in range(len(values))]


def test_training(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    base, data = make_model(tmp_path / "base", width=64), graded_sums(None)
    params = AutoPSVTrainerParams(
        base=base, lr=2e-3, epochs=4, batch_size=16, max_batch_tokens=700, responses=4, drop=0.5
    )
    rollouts, *_ = build_tokens(data, params)
    sequences = rollouts.sequences
    for i in range(len(data)):
        first, *_, last = sequences.reads[sequences.read_starts[i] : sequences.read_starts[i + 1]]
        assert 0 < first < last == sequences.lengths[i] - 1
    assert isinstance(rollouts.targets, EveryReadTargets)
    for members in (np.array([5, 0]), np.arange(len(data))):
        targets = rollouts.targets.batch(members, sequences)["targets"]
        assert targets.tolist() == [float(data[m].correct) for m in members for _ in range(sequences.n_reads[m])]

    output = tmp_path / "psv"
    output.mkdir()
    facts = AutoPSVTrainer(params, "psv").train(data, output, lambda *_: None, in_this_process)
    assert facts.extra["outcome"]["reward_accuracy"] > 0.7  # half of the tokens come before anything shows
    assert facts.extra["reward_accuracy"] > 0.8
    assert facts.extra["n_steps"] == 2 * len(data)
    assert 0 < facts.extra["n_good_steps"] < facts.extra["n_steps"]
    assert facts.train_tokens == 2 * 4 * sequences.lengths.sum()
    assert facts.forward_tokens == sequences.lengths.sum()
    assert sorted(p.name for p in output.iterdir() if p.is_dir()) == []
    assert AutoModelForTokenClassification.from_pretrained(output).config.num_labels == 1
    scored = HeadPRM(HeadPRMParams(model=str(output)), "psv").score([d.solution for d in data])
    lowest = np.array([min(s.step_rewards) for s in scored])
    correct = np.array([d.correct for d in data])
    assert np.mean(lowest[correct]) > np.mean(lowest[~correct])


def test_each_verifier_has_its_own_epochs(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    base, data = make_model(tmp_path / "base", width=64), graded_sums(None, problems=8)

    def facts(reads: float, **epochs: int | None) -> TrainingFacts:
        params = AutoPSVTrainerParams(base=base, lr=2e-3, batch_size=16, responses=4, **epochs)
        assert AutoPSVTrainer.reads_per_rollout(params) == pytest.approx(reads + 1 / 3)
        output = tmp_path / "-".join(map(str, epochs.values()))
        output.mkdir()
        return AutoPSVTrainer(params, "psv").train(data, output, lambda *_: None, in_this_process)

    tokens = facts(4, epochs=2, step_epochs=None).train_tokens
    assert facts(3, epochs=2, step_epochs=1).train_tokens == tokens * 3 / 4
    assert len(curve(tmp_path / "2-1")) * 2 == len(curve(tmp_path / "2-None")) > 0


def test_workers_read_shards_of_whole_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, one after the other. A worker that is called again reads nothing twice."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    verifier = make_model(tmp_path / "verifier", width=64)
    AutoModelForTokenClassification.from_pretrained(verifier, num_labels=1).save_pretrained(verifier)
    params = AutoPSVTrainerParams(base=verifier, max_batch_tokens=700, responses=4)
    _, prepared, _ = build_tokens(graded_sums(None), params)
    solutions = solutions_of(prepared)
    together = HeadPRM(HeadPRMParams(model=verifier)).score(solutions)
    monkeypatch.setattr(confidences, "_AT_ONCE", 5)
    shards = batches([shard for batch in prepared.batches for shard in batch.shards], 5)
    assert [i for shard in shards for i in range(shard.start, shard.stop)] == list(range(len(solutions)))
    ids = [set(shard.problem_ids) for shard in shards]
    assert len(ids) == 12 and sum(map(len, ids)) == len(set().union(*ids)), "a problem lies in two shards"
    read: list[int] = []

    def counted(model: Any, encoded: Any, value: Any, max_batch_tokens: int) -> Any:
        def checked(hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
            assert value(hidden, following).shape == hidden.shape[:1], "more than a number per step is kept"
            return value(hidden, following)  # type: ignore[no-any-return]

        read.append(len(encoded))
        return plain(model, encoded, checked, max_batch_tokens)

    def gathered(mistakes: list[Any], mistake: Any) -> None:
        mistakes[:] = [None, mistake]

    plain = causal_lm.read
    monkeypatch.setattr(causal_lm, "read", counted)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gathered)
    launched: list[int] = []

    def launch(work: Any, job: Any, *_: Any) -> Any:
        for rank in (0, 1, 0):
            launched.append(rank)
            monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
            mistake = work(job, lambda *_: None)
        return mistake

    place = Place(tmp_path / "encoded", lambda *_: None, launch)
    values = confidence(verifier, prepared, params, place)
    assert len(read) == len(shards) and sum(read) == len(solutions)
    assert confidence(verifier, prepared, params, place) == values and len(launched) == 3
    for one, other in zip(values, together, strict=True):
        np.testing.assert_allclose(one, other.step_rewards, rtol=1e-4, atol=1e-6)


def solutions_of(prepared: Prepared) -> list[Solution]:
    every = [item.solution for batch in prepared.batches for item in batch.load()]
    return [every[row] for row in prepared.rows]


def test_a_kill_while_labels_are_read_costs_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    base, data = make_model(tmp_path / "base", width=64), graded_sums(None, problems=8)
    params = AutoPSVTrainerParams(base=base, lr=2e-3, batch_size=16, responses=4)
    monkeypatch.setattr(confidences, "_AT_ONCE", 5)

    def train(name: str) -> bytes:
        output = tmp_path / name
        output.mkdir(exist_ok=True)
        AutoPSVTrainer(params, "psv").train(data, output, lambda *_: None, in_this_process)
        return (output / "model.safetensors").read_bytes()

    whole = train("whole")
    read, plain = [], causal_lm.read

    def killed(model: Any, encoded: Any, value: Any, max_batch_tokens: int) -> Any:
        read.append(len(encoded))
        if len(read) == 3:
            raise KeyboardInterrupt
        return plain(model, encoded, value, max_batch_tokens)

    monkeypatch.setattr(causal_lm, "read", killed)
    with pytest.raises(KeyboardInterrupt):
        train("killed")
    folder = tmp_path / "killed"
    assert (folder / "outcome" / "facts.json").exists() and len(list((folder / "encoded" / "values").iterdir())) == 2
    assert train("killed") == whole
    assert len(read) == 1 + len(batches(shards_of(data), 5))  # the one that was cut off, again
