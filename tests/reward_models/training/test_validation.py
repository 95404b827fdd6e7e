"""Problems that are kept apart: which they are, that nothing is learnt from them, and what is seen of them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model
from training_data import Stopped, graded_sums, stopping, trained
from transformers import PretrainedConfig

from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.integrations import check_integrations
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.labelled_steps import build_steps
from bonbench.reward_models.training.params import (
    ImplicitTrainerParams,
    OutcomeTrainerParams,
    StepTokenTrainerParams,
)
from bonbench.reward_models.training.responses import build_outcomes, build_rollouts
from bonbench.reward_models.training.validation import looks
from harness.core.errors import UserError
from harness.core.records import GradedSolution


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=32)


@pytest.fixture(scope="module")
def data(base: str) -> list[GradedSolution]:
    return graded_sums(base, problems=12)


def implicit(base: str, **more: Any) -> ImplicitTrainerParams:
    settings = {"beta": 0.5, "lr": 2e-3, "batch_size": 8, "responses": 4, "validation": 0.25}
    return ImplicitTrainerParams.model_validate({"base": base, "objective": "ce", **settings, **more})


def test_shares_are_nested_and_the_same_whatever_is_learnt_from() -> None:
    ids = [f"p{i}" for i in range(400)]
    tenth, half = (implicit("b", validation=share).kept_apart(ids) for share in (0.1, 0.5))
    assert len(tenth) == 40 and len(half) == 200 and tenth < half
    assert implicit("b", validation=0.1, seed=7).kept_apart(ids) == tenth
    assert implicit("b", validation=0.0).kept_apart(ids) == set()
    # Of a share of the problems about as large a share is kept apart: one choice tells nothing of the other.
    quarter = implicit("b", instructions=0.25).learnt_from(ids)
    assert 30 < len(quarter & half) < 70


@pytest.mark.parametrize("objective", ["dpo", "ce", "kto", "steps", "bce", "step-token"])
def test_every_kind_keeps_the_same_problems_apart(base: str, data: list[GradedSolution], objective: str) -> None:
    common = {"base": base, "responses": 4, "validation": 0.25}
    if objective == "bce":
        rollouts, facts = build_outcomes(data, OutcomeTrainerParams.model_validate(common))
    elif objective == "step-token":
        rollouts, facts = build_steps(data, StepTokenTrainerParams.model_validate(common))
    else:
        level = {"objective": "ce", "level": "step"} if objective == "steps" else {"objective": objective}
        rollouts, facts = build_rollouts(data, implicit(base, **level))
    assert rollouts.apart is not None and rollouts.held_out is not None
    ids = [item.solution.problem.problem_id for item in data]
    apart = {ids[i] for i in rollouts.apart.rows.ravel()}
    kept = implicit(base).kept_apart(ids)
    assert len(kept) == 3 and apart <= kept and not kept & {ids[i] for i in rollouts.examples.ravel()}
    assert facts["kept_apart"]["n_problems"] == len(apart)
    assert facts["n_problems"] <= 9 and facts["n_responses"] == len(np.unique(rollouts.examples))
    assert len(rollouts.held_out.n_terms) == facts["kept_apart"]["n_examples"]
    if "n_steps" in facts:
        assert facts["n_steps"] == 2 * 4 * 9
        learnt = [item for item in data if item.solution.problem.problem_id not in kept]
        assert facts["n_good_steps"] == sum(sum(item.steps) for item in learnt)


def test_nothing_is_learnt_from_them(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """The weights are those of a training that never had them, wherever they are looked at."""
    params = implicit(base)
    kept = params.kept_apart(item.solution.problem.problem_id for item in data)
    others = [item for item in data if item.solution.problem.problem_id not in kept]
    found = []
    for name, asked, of in (("apart", params, data), ("never", implicit(base, validation=0.0), others)):
        rollouts, _ = build_rollouts(of, asked)
        facts, rows = trained(Job("implicit", asked, rollouts, base, tmp_path / name))
        steps = [row for row in rows if "terms" in row]
        found.append(((tmp_path / name / "model.safetensors").read_bytes(), steps, facts.train_tokens))
    assert found[0] == found[1]
    assert all(row.keys() >= {"learning_rate", "gradient_norm"} for row in found[0][1])
    assert found[0][1][0]["learning_rate"] == params.lr > found[0][1][-1]["learning_rate"]


def test_what_is_seen_is_what_the_model_says(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """Before and after, by a plain pass of the models. The reading is counted. A stopped training sees the same."""
    params = implicit(base, max_batch_tokens=150, checkpoint_minutes=0, epochs=2)
    rollouts, _ = build_rollouts(data, params)
    job = Job("implicit", params, rollouts, base, tmp_path / "out")
    facts, rows = trained(job)
    seen = [row for row in rows if "validation_loss" in row]
    assert [row["step"] for row in seen] == looks(facts.extra["steps"]) == [*range(11)]

    kept = params.kept_apart(item.solution.problem.problem_id for item in data)
    held = [item for item in data if item.solution.problem.problem_id in kept]
    right = np.array([item.correct for item in held])
    for name, row in (("before", seen[0]), ("after", seen[-1])):
        passes = CausalLMScorer(CausalLMParams(model=base if name == "before" else str(job.output))).logprobs(
            [item.solution for item in held]
        )
        z = 0.5 * np.array(
            [
                sum(p.logprobs) - sum(d.solution.logprobs["reference"].logprobs)
                for p, d in zip(passes, held, strict=True)
            ]
        )
        loss = np.log1p(np.exp(np.where(right, -z, z))).mean()
        assert row["validation_loss"] == pytest.approx(loss, abs=1e-4)
        assert row["validation_margin"] == pytest.approx(z[right].mean() - z[~right].mean(), abs=1e-3)
        assert facts.extra["validation"][name]["loss"] == row["validation_loss"]
    assert seen[0]["validation_loss"] == pytest.approx(math.log(2), abs=1e-5) and seen[-1]["validation_loss"] < 0.5
    members = np.unique(rollouts.apart.rows)
    assert facts.forward_tokens == len(seen) * rollouts.sequences.lengths[members].sum()

    again = dataclasses.replace(job, output=tmp_path / "again")
    with pytest.raises(Stopped):
        trained(stopping(again, 45))
    assert trained(again) == (facts, rows)


def test_pairs_in_several_micro_batches(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    seen = []
    for tokens in (100, 10_000):
        params = implicit(base, objective="dpo", max_batch_tokens=tokens, reference=None, beta=0.05, pairs="one")
        rollouts, _ = build_rollouts(data, params)
        _, rows = trained(Job("implicit", params, rollouts, base, tmp_path / str(tokens)))
        seen.append(rows[0])
    assert seen[0] == pytest.approx(seen[1], abs=1e-4)
    apart = rollouts.apart.rows
    sums = [sum(item.solution.logprobs["reference"].logprobs) for item in data]
    z = 0.05 * np.array([[sums[a], sums[b]] for a, b in apart])
    assert seen[0]["validation_loss"] == pytest.approx(np.log1p(np.exp(z[:, 1] - z[:, 0])).mean(), abs=1e-4)
    assert seen[0]["validation_reward_accuracy"] == np.mean(z[:, 0] > z[:, 1])


def test_shares_that_leave_nothing(base: str, data: list[GradedSolution]) -> None:
    with pytest.raises(UserError, match=r"validation: none of the \d+ examples .*: raise it"):
        build_rollouts(data, implicit(base, validation=0.05, instructions=0.25))
    with pytest.raises(UserError, match=r"validation: all of the \d+ examples .*: lower it"):
        build_rollouts(data, implicit(base, validation=0.999))


def test_what_a_plan_expects(base: str) -> None:
    """A pass beside frozen weights costs two forwards of three; problems that are kept apart are read eleven times."""
    plain = ImplicitTrainer.reads_per_rollout(implicit(base, epochs=2, validation=0.0))
    assert plain == 2
    assert ImplicitTrainer.reads_per_rollout(implicit(base, epochs=2)) == pytest.approx(1.5 + 0.25 * 11 / 3)
    lora = implicit(base, epochs=3, validation=0.0, lora={})
    assert ImplicitTrainer.reads_per_rollout(lora) == pytest.approx(2)


def test_where_curves_cannot_go() -> None:
    assert implicit("b", report_to="tensorboard").report_to == ("tensorboard",)
    check_integrations(("tensorboard",))
    with pytest.raises(UserError, match=r"report_to: 'paper' is none of .*wandb"):
        ImplicitTrainer.check(implicit("b", report_to=["paper"]))
    with pytest.raises(UserError, match=r"report_to: wandb: .*wandb"):
        check_integrations(("wandb",))


def test_the_config_is_the_models_own(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    params = implicit(base, lora={"rank": 2}, objective="kto", batch_size=36)
    rollouts, _ = build_rollouts(data, params)
    facts, rows = trained(Job("implicit", params, rollouts, base, tmp_path))
    config = PretrainedConfig.get_config_dict(str(tmp_path))[0]
    assert config["architectures"] == ["LlamaForCausalLM"] == facts.config["architectures"]
    crossed = rollouts.mismatched.sequences.lengths
    learnt, apart = np.arange(len(rollouts.sequences))[:, None], np.unique(rollouts.apart.rows)
    learnt = np.setdiff1d(learnt, apart)
    looked = sum("validation_loss" in row for row in rows)
    read = looked * (rollouts.sequences.lengths[apart].sum() + crossed[apart].sum())
    assert facts.forward_tokens == read + crossed[learnt].sum() + crossed.sum()
