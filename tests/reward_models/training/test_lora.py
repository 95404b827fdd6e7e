"""Trainings of low-rank adapters: what they learn, what is left of them in the trained folder, and what they cost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import make_model
from training_data import Stopped, graded_sums, stopping, trained
from transformers import AutoModelForCausalLM

from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
from bonbench.reward_models.training.autopsv import AutoPSVTrainer
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.lora import adapter_params, merged, with_adapters
from bonbench.reward_models.training.model_losses import ImplicitLoss
from bonbench.reward_models.training.params import (
    AutoPSVTrainerParams,
    ImplicitTrainerParams,
    LoraParams,
    OutcomeTrainerParams,
)
from bonbench.reward_models.training.responses import build_outcomes, build_rollouts
from harness.core.errors import UserError
from harness.core.records import GradedSolution
from harness.engine.local_executor import in_this_process

SETTINGS: dict[str, Any] = {"lr": 1e-2, "batch_size": 16, "max_batch_tokens": 2000, "responses": 4, "epochs": 3}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def data(base: str) -> list[GradedSolution]:
    return graded_sums(base, problems=12)


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def implicit(base: str, **more: Any) -> ImplicitTrainerParams:
    return ImplicitTrainerParams.model_validate(
        {"base": base, "objective": "dpo", "beta": 0.5, **SETTINGS, "lora": {"rank": 4}, **more}
    )


def test_adapters_are_all_that_learns(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """Their sum with the base is what the folder has. Stopped half-way, the training comes to the same bytes; its
    checkpoint has little in it."""
    params = implicit(base, lora={"rank": 4, "dropout": 0.1}, max_batch_tokens=400, checkpoint_minutes=0)
    rollouts, _ = build_rollouts(data, params)
    job = Job("implicit", params, rollouts, base, tmp_path / "out")
    facts, rows = trained(job)
    assert facts.extra["reward_accuracy"] > 0.9
    # rank * (in + out) of seven matrices in each of two layers, of width 64, 32 (keys, values) and 128 (MLP).
    assert facts.adapter_params == 2 * 4 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
    before, after = weights(base), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, weight in after.items():
        change = weight - before[name]
        if name.endswith("proj.weight"):
            assert 0 < torch.linalg.matrix_rank(change, rtol=1e-3) <= 4
        else:
            assert not change.any()

    again = dataclasses.replace(job, output=tmp_path / "again")
    with pytest.raises(Stopped):
        trained(stopping(again, 8))
    (checkpoint,) = (again.output / CHECKPOINTS).glob("checkpoint-*")
    saved = {file.name: file.stat().st_size for file in checkpoint.iterdir()}
    assert "model.safetensors" not in saved
    assert saved["adapter_model.safetensors"] < (Path(base) / "model.safetensors").stat().st_size / 4
    assert trained(again) == (facts, rows)
    for file in ("model.safetensors", "history.jsonl"):
        assert (again.output / file).read_bytes() == (job.output / file).read_bytes()
    assert not (again.output / "adapters").exists()


def test_first_gradients_are_those_of_the_product(base: str, data: list[GradedSolution]) -> None:
    """d/dB of W + s B A is s dW A^T, with dW the gradient of the same loss in the full model. B = 0 changes nothing."""
    params = implicit(base, lora={"rank": 3, "alpha": 6})
    rollouts, _ = build_rollouts(data, params)
    loss = ImplicitLoss(params)
    batch = {name: torch.from_numpy(array) for name, array in rollouts.sequences.batch(np.arange(8)).items()}
    whole, frozen = loss.load(base), loss.load(base)
    assert params.lora is not None
    adapted = with_adapters(frozen, params.lora, None)
    found = []
    for model in (whole, frozen):
        logprobs = loss.forward(model, **batch)
        logprobs.sum().backward()
        found.append(logprobs.detach())
    assert torch.equal(*found)
    full, learning = dict(whole.named_parameters()), dict(adapted.named_parameters())
    assert {n.split(".lora_")[0] for n, p in learning.items() if p.requires_grad} == {
        f"base_model.model.{n.removesuffix('.weight')}" for n in full if n.endswith("proj.weight")
    }
    for name, weight in full.items():
        if name.endswith("proj.weight"):
            a, b = (learning[f"base_model.model.{name.replace('weight', f'lora_{m}.default.weight')}"] for m in "AB")
            torch.testing.assert_close(b.grad, 6 / 3 * weight.grad @ a.T, rtol=1e-3, atol=1e-4)
            assert not a.grad.any()  # B is 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging(base: str, tmp_path: Path, dtype: torch.dtype) -> None:
    """One rounding of W + s B A; B = 0 gives the base's bits; the merged model says what the adapted one said."""
    stored = AutoModelForCausalLM.from_pretrained(base).to(dtype)
    loss = ImplicitLoss(implicit(base))
    stored.save_pretrained(tmp_path / "base")
    adapted = with_adapters(loss.load(str(tmp_path / "base")), LoraParams(rank=2, alpha=3, targets=("q_proj",)), None)
    adapted.save_pretrained(tmp_path / "zero")
    same = merged(loss.load(str(tmp_path / "base")), tmp_path / "zero")
    assert all(torch.equal(weight, same.state_dict()[name]) for name, weight in stored.state_dict().items())

    for layer in adapted.get_base_model().model.layers:
        torch.nn.init.normal_(layer.self_attn.q_proj.lora_B["default"].weight)
    adapted.save_pretrained(tmp_path / "learnt")
    sums = merged(loss.load(str(tmp_path / "base")), tmp_path / "learnt")
    for i, layer in enumerate(adapted.get_base_model().model.layers):
        a, b = (m["default"].weight for m in (layer.self_attn.q_proj.lora_A, layer.self_attn.q_proj.lora_B))
        assert a.dtype == b.dtype == torch.float32
        exact = stored.model.layers[i].self_attn.q_proj.weight.double() + 1.5 * b.double() @ a.double()
        weight = sums.model.layers[i].self_attn.q_proj.weight
        assert weight.dtype == dtype
        torch.testing.assert_close(weight.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-5)
    ids = torch.arange(20)[None]
    if dtype == torch.float32:
        with torch.inference_mode():
            torch.testing.assert_close(sums(ids).logits, adapted.get_base_model()(ids).logits, rtol=1e-4, atol=1e-4)


def test_bfloat16_base(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """Frozen weights are bfloat16 under autocast, adapters are not; with checkpointing the same is learnt; a stored
    float32 base is added to as it is."""
    losses = []
    for saving in ({}, {"gradient_checkpointing": True}):
        params = implicit(base, precision="bfloat16", objective="ce", epochs=2, **saving)
        rollouts, _ = build_rollouts(data, params)
        folder = tmp_path / str(len(losses))
        _, rows = trained(Job("implicit", params, rollouts, base, folder))
        losses.append([row["loss"] for row in rows])
    assert losses[0] == pytest.approx(losses[1], abs=0.02) and losses[0][-1] < 0.3 < 0.6 < losses[0][0]
    before, after = weights(base), weights(folder)
    assert torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    assert after["lm_head.weight"].dtype == torch.float32


def test_heads_learn_as_a_whole(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    outcome = OutcomeTrainerParams.model_validate(
        {"base": base, "objective": "bradley-terry", **SETTINGS, "lora": {"rank": 4}}
    )
    rollouts, _ = build_outcomes(data, outcome)
    facts, _ = trained(Job("outcome", outcome, rollouts, base, tmp_path / "outcome"))
    assert facts.extra["reward_accuracy"] > 0.9
    verifier = AutoPSVTrainerParams.model_validate(
        {"base": base, **SETTINGS, "epochs": 1, "lora": {}, "validation": 0.2}
    )
    (tmp_path / "psv").mkdir()
    facts = AutoPSVTrainer(verifier, "psv").train(data, tmp_path / "psv", lambda *_: None, in_this_process)
    names = {file.name for file in (tmp_path / "psv").iterdir()}
    assert not names & {"outcome", "adapters", "adapter_config.json"} and "model.safetensors" in names
    body = {n: w for n, w in weights(base).items() if not n.startswith("lm_head")}
    after = weights(tmp_path / "psv")
    assert after.keys() - body.keys() == {"score.weight", "score.bias"} & after.keys()
    scored = HeadPRM(HeadPRMParams(model=str(tmp_path / "psv")), "psv").score([d.solution for d in data])
    assert all(len(of.step_rewards) == 2 for of in scored)
    assert facts.extra["outcome"]["validation"]["after"] != facts.extra["validation"]["after"]


def test_what_adapters_cannot_be_in(base: str) -> None:
    loss = ImplicitLoss(implicit(base))
    with pytest.raises(UserError, match=r"lora: targets: .*nothing"):
        with_adapters(loss.load(base), LoraParams(targets=("nothing",)), None)
    with pytest.raises(UserError, match="the output head cannot have an adapter"):
        with_adapters(loss.load(base), LoraParams(targets=("lm_head",)), None)
    model = with_adapters(loss.load(base), LoraParams(rank=2, targets=("k_proj",)), None)
    assert adapter_params(model) == 2 * 2 * (64 + 32)
