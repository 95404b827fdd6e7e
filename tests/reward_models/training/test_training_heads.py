"""Trainings of outcome reward models and of step-token models: what they learn, and that the scoring side reads it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import make_model
from training_data import graded_sums, trained
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from bonbench.reward_models.sequence_classifier import SequenceClassifier, SequenceClassifierParams
from bonbench.reward_models.step_token import StepTokenParams, StepTokenPRM
from bonbench.reward_models.training.autopsv import AutoPSVTrainer
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.labelled_steps import build_steps
from bonbench.reward_models.training.outcome import OutcomeTrainer
from bonbench.reward_models.training.params import (
    AutoPSVTrainerParams,
    ImplicitTrainerParams,
    OutcomeTrainerParams,
    StepTokenTrainerParams,
)
from bonbench.reward_models.training.responses import build_outcomes, build_rollouts
from bonbench.reward_models.training.step_token import StepTokenTrainer
from bonbench.reward_models.training.targets import ReadTargets
from harness.core.errors import UserError
from harness.core.records import GradedSolution
from harness.engine.local_executor import in_this_process


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def data() -> list[GradedSolution]:
    return graded_sums(None)


SETTINGS = {"lr": 2e-3, "batch_size": 16, "max_batch_tokens": 700, "responses": 4, "epochs": 4}


@pytest.mark.parametrize("objective", ["bce", "bradley-terry"])
def test_outcome_reward_models(base: str, data: list[GradedSolution], tmp_path: Path, objective: str) -> None:
    params = OutcomeTrainerParams(base=base, objective=objective, **SETTINGS)
    rollouts, facts = build_outcomes(data, params)
    tokenizer = AutoTokenizer.from_pretrained(base)
    texts = [
        f"<|bos|><|user|>{d.solution.problem.problem}<|end|><|assistant|>{d.solution.response.text}<|end|>"
        for d in data
    ]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert [
        rollouts.sequences.ids[a:b].tolist() for a, b in zip(*_spans(rollouts.sequences.starts), strict=True)
    ] == ids
    assert rollouts.sequences.reads.tolist() == [len(row) - 1 for row in ids]
    assert facts["n_pairs"] == (len(rollouts.examples) if objective == "bradley-terry" else 0)

    trained_facts, steps = trained(Job("outcome", params, rollouts, base, tmp_path))
    assert trained_facts.extra["reward_accuracy"] > 0.9
    assert trained_facts.extra["loss"] < math.log(2) / 2
    assert trained_facts.output_head is OutcomeTrainer.output_head is False
    scored = SequenceClassifier(SequenceClassifierParams(model=str(tmp_path)), "orm").score([d.solution for d in data])
    rewards = np.array([s.step_rewards[0] for s in scored])
    correct = np.array([d.correct for d in data])
    assert np.mean(rewards[correct][:, None] > rewards[~correct]) > 0.9
    # The curve's last row is of weights before the last step: the trained ones are close to it.
    assert steps[-1]["loss"] < math.log(2) / 2
    # Plain `transformers`, a padded batch: the same numbers.
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert model.config.num_labels == 1
    padded = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    with torch.inference_mode():
        plain = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits[:, 0]
    np.testing.assert_allclose(plain.numpy(), rewards, atol=1e-4)


def _spans(starts: np.ndarray) -> tuple[list[int], list[int]]:
    return starts[:-1].tolist(), starts[1:].tolist()


def test_first_losses_by_hand(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """One batch of everything: its loss is the formula's on what the untrained model says."""
    everything = {**SETTINGS, "batch_size": 200, "epochs": 1}
    soft = [dataclasses.replace(d, steps=(0.75, 0.25 * d.correct)) for d in data]
    params = StepTokenTrainerParams(base=base, labels="soft", **everything)
    rollouts, facts = build_steps(soft, params)
    assert facts["n_steps"] == 2 * len(data)
    assert facts["n_good_steps"] == pytest.approx(sum(map(sum, (d.steps for d in soft))))
    _, steps = trained(Job("step-token", params, rollouts, base, tmp_path / "soft"))
    scored = StepTokenPRM(StepTokenParams(model=base), "prm").score([d.solution for d in soft])
    p = np.array([reward for s in scored for reward in s.step_rewards])
    y = np.array([label for d in soft for label in d.steps])
    assert steps[0]["loss"] == pytest.approx(np.mean(-y * np.log(p) - (1 - y) * np.log(1 - p)), abs=1e-5)
    assert steps[0]["reward_accuracy"] == pytest.approx(np.mean((p >= 0.5) == (y >= 0.5)))


def test_step_token_models(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    params = StepTokenTrainerParams(base=base, **SETTINGS)
    rollouts, _ = build_steps(data, params)
    facts, _ = trained(Job("step-token", params, rollouts, base, tmp_path))
    assert facts.extra["reward_accuracy"] > 0.9
    assert facts.output_head is StepTokenTrainer.output_head is True
    AutoModelForCausalLM.from_pretrained(tmp_path)
    scored = StepTokenPRM(StepTokenParams(model=str(tmp_path)), "prm").score([d.solution for d in data])
    first, second = np.array([s.step_rewards for s in scored]).T
    correct = np.array([d.correct for d in data])
    assert first.mean() > 0.9
    assert second[correct].mean() > 0.9 > 0.1 > second[~correct].mean()


def test_labels(base: str, data: list[GradedSolution]) -> None:
    params = StepTokenTrainerParams(base=base)
    shares = [dataclasses.replace(d, steps=(0.125, 0.0)) for d in data]
    rollouts, facts = build_steps(shares, params)
    assert isinstance(rollouts.targets, ReadTargets)
    assert rollouts.targets.values.tolist() == [1.0, 0.0] * len(data)
    assert facts["n_good_steps"] == len(data)
    with pytest.raises(UserError, match="steps to train on all have the same label"):
        build_steps([dataclasses.replace(d, steps=(1.0, 0.5)) for d in data], params)
    with pytest.raises(UserError, match="no step labels: sample 0 of problem 'p0' has none"):
        build_steps([dataclasses.replace(d, steps=None) for d in data], params)
    with pytest.raises(UserError, match="at least 2 responses"):
        OutcomeTrainer.check(OutcomeTrainerParams(base=base, objective="bradley-terry", responses=1))


def test_what_the_model_cannot_read_is_left_out_and_counted(
    base: str, data: list[GradedSolution], tmp_path: Path
) -> None:
    """The third rollout is longer than the model's 512 positions, and shorter than ``max_length``."""
    solution = data[2].solution
    response = dataclasses.replace(solution.response, text=solution.response.text + "1 " * 600)
    longer = dataclasses.replace(data[2], solution=dataclasses.replace(solution, response=response))
    rollouts = [*data[:2], longer, *data[3:]]
    outcomes = OutcomeTrainerParams(base=base, objective="bce", responses=4)
    steps = StepTokenTrainerParams(base=base, responses=4)
    implicit = ImplicitTrainerParams(base=base, objective="ce", reference=None, responses=4)
    for made, facts in (
        build_outcomes(rollouts, outcomes),
        build_steps(rollouts, steps),
        build_rollouts(rollouts, implicit),
    ):
        assert facts["dropped"] == {"longer than the model reads": 1}
        assert len(made.sequences) == len(data) - 1 and made.sequences.lengths.max() <= 512
    verifier = AutoPSVTrainerParams(base=base, responses=4)
    trained_facts = AutoPSVTrainer(verifier, "psv").train(rollouts, tmp_path, lambda *_: None, in_this_process)
    assert trained_facts.extra["dropped"] == {"longer than the model reads": 1}
    assert trained_facts.extra["n_responses"] == len(data) - 1
