"""Weights stored in 16 bits cannot hold small steps: what was measured in training is not what was saved.

Nerogar/OneTrainer#146, huggingface/smol-course#61.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import make_model
from training_data import graded_sums, trained
from transformers import AutoModelForCausalLM

from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.params import ImplicitTrainerParams
from bonbench.reward_models.training.responses import build_rollouts


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    folder = make_model(tmp_path_factory.mktemp("base"), width=16, layers=1)
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def train(base: str, output: Path, **settings: Any) -> tuple[dict[str, Any], list[Any]]:
    """The facts, and what was kept apart."""
    data = graded_sums(base, problems=8)
    params = ImplicitTrainerParams.model_validate(
        {"base": base, "objective": "ce", "beta": 0.5, "responses": 4, "validation": 0.25, "batch_size": 8, **settings}
    )
    rollouts, _ = build_rollouts(data, params)
    facts, _ = trained(Job("implicit", params, rollouts, base, output))
    kept = params.kept_apart(item.solution.problem.problem_id for item in data)
    return dict(facts.extra), [item for item in data if item.solution.problem.problem_id in kept]


def test_what_is_reported_is_of_the_weights_that_are_saved(base: str, tmp_path: Path) -> None:
    facts, held = train(base, tmp_path, lr=3e-4)
    saved = CausalLMScorer(CausalLMParams(model=str(tmp_path))).logprobs([item.solution for item in held])
    z = torch.tensor(
        [
            0.5 * (sum(tokens.logprobs) - sum(item.solution.logprobs["reference"].logprobs))
            for tokens, item in zip(saved, held, strict=True)
        ]
    )
    right = torch.tensor([item.correct for item in held])
    losses = -torch.nn.functional.logsigmoid(torch.where(right, z, -z))
    assert facts["validation"]["after"]["loss"] == pytest.approx(float(losses.mean()), abs=1e-5)
    assert facts["validation"]["after"]["reward_accuracy"] == float(((z > 0) == right).float().mean())


@pytest.mark.parametrize("lora", [None, pytest.param({"rank": 2}, marks=pytest.mark.thorough)])
def test_it_is_said_where_most_weights_are_as_before(base: str, tmp_path: Path, lora: Any) -> None:
    facts, _ = train(base, tmp_path, lr=5e-7, lora=lora)
    before, after = (load_file(Path(folder) / "model.safetensors") for folder in (base, tmp_path))
    equal = sum(int((before[name] == after[name]).sum()) for name in before)
    assert facts["as_in_base"] == equal / sum(weights.numel() for weights in before.values()) > 0.5
    assert facts["note"].startswith(
        f"{facts['as_in_base']:.0%} of the weights are those of the base: stored in bfloat16"
    )
