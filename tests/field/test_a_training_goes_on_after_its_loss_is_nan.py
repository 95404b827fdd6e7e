"""The loss is NaN after a few steps; the training goes through all of its steps and saves weights of NaN without a word
(Nerogar/OneTrainer#1147, modelscope/ms-swift#5418)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import make_model
from training_data import graded_sums, trained

from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.params import ImplicitTrainerParams
from bonbench.reward_models.training.responses import build_rollouts
from harness.core.errors import UserError
from harness.core.records import GradedSolution


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=16, layers=1)


@pytest.fixture(scope="module")
def data(base: str) -> list[GradedSolution]:
    return graded_sums(base, problems=6)


def train(folder: Path, base: str, data: list[GradedSolution], **more: object) -> None:
    settings = {"base": base, "objective": "dpo", "responses": 4, "warmup": 0.0, "min_lr": 1.0, **more}
    params = ImplicitTrainerParams.model_validate(settings)
    rollouts, _ = build_rollouts(data, params)
    trained(Job("implicit", params, rollouts, base, folder / "model"))


def test_a_rollout_that_the_reference_holds_impossible_is_left_out(base: str, data: list[GradedSolution]) -> None:
    """Its log-ratio would be infinite, and the loss after it."""
    record = data[1].solution.logprobs["reference"]
    impossible = replace(record, logprobs=(-math.inf, *record.logprobs[1:]))
    one = replace(data[1], solution=replace(data[1].solution, logprobs={"reference": impossible}))
    params = ImplicitTrainerParams.model_validate({"base": base, "objective": "ce", "responses": 4})
    _, facts = build_rollouts([data[0], one, *data[2:]], params)
    assert facts["dropped"]["impossible for the reference"] == 1


def test_it_stops_at_the_first_loss_that_is_no_number(tmp_path: Path, base: str, data: list[GradedSolution]) -> None:
    with pytest.raises(
        UserError, match=r"^the (loss|gradient norm) of step 2 is (nan|inf): .* Lower lr \(it is 1e\+30\)"
    ):
        train(tmp_path, base, data, lr=1e30, batch_size=4)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_nothing_looks_at_the_weights_of_the_last_step_but_it(
    tmp_path: Path, base: str, data: list[GradedSolution]
) -> None:
    with pytest.raises(UserError, match=r"^the trained weights are not all finite in float32: "):
        train(tmp_path, base, data, lr=3e38, batch_size=1000)
    assert not list(tmp_path.rglob("*.safetensors"))
