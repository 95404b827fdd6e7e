"""Training of implicit reward models on step labels: what a step's reward is, its loss, and what is learnt by it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model
from training_data import graded_sums, trained

from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.mismatched import partners
from bonbench.reward_models.training.model_losses import step_sums
from bonbench.reward_models.training.params import ImplicitTrainerParams, StepTokenTrainerParams
from bonbench.reward_models.training.responses import build_rollouts
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.step_token import StepTokenTrainer
from bonbench.reward_models.training.targets import StepTargets
from harness.core.errors import UserError
from harness.core.records import GradedSolution, Solution
from harness.core.steps import step_ends

BETA = 0.02


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    torch.set_num_threads(1)
    return tuple(make_model(tmp_path_factory.mktemp("model"), seed=seed, width=64) for seed in (0, 1))


def log_ratios(policy: str, reference: str, solutions: list[Solution]) -> list[tuple[float, ...]]:
    """The steps' rewards as they are scored, beta 1."""
    passes = [CausalLMScorer(CausalLMParams(model=model)).logprobs(solutions) for model in (policy, reference)]
    scored = ImplicitPRM(ImplicitParams(policy="policy", reference="reference", beta=1.0)).score(
        [
            dataclasses.replace(s, logprobs={"policy": p, "reference": r})
            for s, p, r in zip(solutions, *passes, strict=True)
        ]
    )
    return [scores.step_rewards for scores in scored]


def mean_of_mismatched(policy: str, reference: str, solutions: list[Solution]) -> float:
    """The mean reward of a step, beta 1, where prompts have their partners' responses."""
    others = partners([i // 4 for i in range(len(solutions))], seed=0)
    crossed = [
        dataclasses.replace(s, response=dataclasses.replace(s.response, text=solutions[k].response.text))
        for s, k in zip(solutions, others, strict=True)
    ]
    return float(np.mean([r for steps in log_ratios(policy, reference, crossed) for r in steps]))


def relabelled(data: list[GradedSolution], labels: str) -> list[GradedSolution]:
    if labels == "hard":
        return [dataclasses.replace(d, steps=(0.125, float(d.correct))) for d in data]
    return [dataclasses.replace(d, steps=(0.75, 0.25 * d.correct)) for d in data]


@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize(("policy", "reference"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("objective", ["kto", "ce"])
def test_first_losses_by_hand(
    models: tuple[str, str], tmp_path: Path, objective: str, policy: int, reference: int, labels: str
) -> None:
    """One batch of everything, from a policy that is not its reference: the loss is the formula's on scored steps."""
    base, other = models[policy], models[reference]
    data = relabelled(graded_sums(other), labels)
    params = ImplicitTrainerParams(
        base=base, reference=other, objective=objective, level="step", labels=labels, beta=BETA, batch_size=200
    )
    rollouts, facts = build_rollouts(data, params)
    solutions = [d.solution for d in data]
    z = BETA * np.array([r for steps in log_ratios(base, other, solutions) for r in steps])
    y = np.array([label for d in data for label in d.steps])
    y = (y > 0).astype(float) if labels == "hard" else y
    assert (facts["n_steps"], facts["n_good_steps"]) == (2 * len(data), pytest.approx(y.sum()))
    _, (only,) = trained(Job("implicit", params, rollouts, base, tmp_path))

    zero = 0.0
    if objective == "kto":
        zero = max(0.0, BETA * mean_of_mismatched(base, other, solutions))
        assert (zero > 0) == (policy == 0), "of these two models one is above the other on average"
        losses = y * (1 - 1 / (1 + np.exp(zero - z))) + (1 - y) * (1 - 1 / (1 + np.exp(z - zero)))
    else:
        losses = y * np.log1p(np.exp(-z)) + (1 - y) * np.log1p(np.exp(z))
    assert only["loss"] == pytest.approx(losses.mean(), abs=1e-5)
    assert only["terms"] == 2 * len(data)
    assert only["reward_accuracy"] == pytest.approx(np.mean((z > zero) == (y >= 0.5)))


@pytest.mark.parametrize("objective", ["kto", "ce"])
def test_each_step_learns_its_own_label(models: tuple[str, str], tmp_path: Path, objective: str) -> None:
    """The first step of a wrong solution differs from a right one's and is labelled good all the same."""
    base, data = models[0], graded_sums(models[0])
    settings: dict[str, Any] = {"beta": 0.5, "lr": 2e-3, "batch_size": 16, "responses": 4, "epochs": 4}
    curves = []
    for tokens in (500, 10_000):
        params = ImplicitTrainerParams(
            base=base, objective=objective, level="step", max_batch_tokens=tokens, **settings
        )
        rollouts, _ = build_rollouts(data, params)
        facts, curve = trained(Job("implicit", params, rollouts, base, tmp_path / str(tokens)))
        curves.append([row["loss"] for row in curve])
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    assert facts.extra["reward_accuracy"] > 0.9
    policy, solutions = str(tmp_path / "10000"), [d.solution for d in data]
    rewards = np.array(log_ratios(policy, base, solutions))
    if objective == "kto":  # a reward is good or bad beside those of mismatched responses
        rewards -= mean_of_mismatched(policy, base, solutions)
    wrong = ~np.array([d.correct for d in data])
    assert (rewards[wrong, 0] > 0).mean() > 0.9
    assert (rewards[wrong, 1] < 0).mean() > 0.9
    assert (rewards[~wrong] > 0).mean() > 0.9


def test_sums_over_steps() -> None:
    """Against plain loops, in batches of any order, with a step that has no token."""
    rng = np.random.default_rng(0)
    steps = [[0, 0, 1, 3], [0], [0, 1, 1], [0, 0, 0, 0, 2]]  # of each read
    n_steps = [4, 1, 2, 3]
    reads = [sorted(rng.choice(9, size=len(own), replace=False).tolist()) for own in steps]
    sequences = Sequences.of([[1] * 10] * 4, reads)
    starts = np.cumsum([0, *n_steps])
    n_reads = np.array([own.count(step) for own, n in zip(steps, n_steps, strict=True) for step in range(n)])
    every = StepTargets(starts, n_reads, np.arange(10, dtype=np.float32), np.arange(10) * 2.0)
    values = [rng.normal(size=len(own)) for own in steps]
    for members in ([2, 0, 3], [1], [3, 2, 1, 0]):
        arrays = {**sequences.batch(np.array(members)), **every.batch(np.array(members), sequences)}
        batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
        sums = step_sums(torch.tensor(np.concatenate([values[m] for m in members])), batch)
        expected = [
            sum(v for v, k in zip(values[m], steps[m], strict=True) if k == step)
            for m in members
            for step in range(n_steps[m])
        ]
        assert sums.tolist() == pytest.approx(expected)
        assert batch["targets"].tolist() == [k for m in members for k in range(starts[m], starts[m + 1])]
        assert batch["reference"].tolist() == [2.0 * k for m in members for k in range(starts[m], starts[m + 1])]


def test_a_reference_with_other_tokens(models: tuple[str, str]) -> None:
    """It agrees on steps: its own tokens are summed, and a last step has what comes after the text."""
    data = relabelled(graded_sums(models[0]), "hard")
    params = ImplicitTrainerParams(base=models[1], reference=models[0], objective="ce", level="step")
    item = data[0]
    text = item.solution.response.text
    first, whole = step_ends(text)
    tokens = dataclasses.replace(
        item.solution.logprobs["reference"], logprobs=(-1.0, -2.0, -4.0, -8.0), token_ends=(1, first, whole, whole)
    )
    solution = dataclasses.replace(item.solution, logprobs={"reference": tokens})
    rollouts, _ = build_rollouts([dataclasses.replace(item, solution=solution), *data[1:]], params)
    assert isinstance(rollouts.targets, StepTargets)
    assert rollouts.targets.reference[:2].tolist() == [-3.0, -12.0]


def test_mistakes(models: tuple[str, str]) -> None:
    def check(**settings: Any) -> None:
        ImplicitTrainer.check(ImplicitTrainerParams(base="m", **settings))

    check(objective="kto", level="step", stop_when_decided=True)
    with pytest.raises(UserError, match="level: step needs the objective kto or ce; dpo learns from pairs"):
        check(objective="dpo", level="step")
    with pytest.raises(UserError, match="balance: it drops whole responses"):
        check(objective="ce", level="step", balance="dataset")
    with pytest.raises(UserError, match="completions: only level: step learns from step labels"):
        check(objective="kto", completions=4)
    with pytest.raises(UserError, match="label_share: only level: step learns from step labels"):
        check(objective="ce", label_share=0.5)
    with pytest.raises(UserError, match="stop_when_decided: soft labels need all completions"):
        check(objective="kto", level="step", labels="soft", stop_when_decided=True)
    with pytest.raises(UserError, match="stop_when_decided: soft labels"):
        StepTokenTrainer.check(StepTokenTrainerParams(base="m", labels="soft", stop_when_decided=True))
    data = [dataclasses.replace(d, steps=(1.0, 0.5)) for d in graded_sums(models[0])]
    with pytest.raises(UserError, match="steps to train on all have the same label"):
        build_rollouts(data, ImplicitTrainerParams(base=models[0], objective="kto", level="step"))


def test_how_completions_come() -> None:
    def rounds(n: int, early: bool) -> tuple[int, ...]:
        return tuple(
            StepTokenTrainer.completions(StepTokenTrainerParams(base="m", completions=n, stop_when_decided=early))
        )

    assert [rounds(n, False) for n in (1, 8)] == [(1,), (8,)]
    assert [rounds(n, True) for n in (1, 2, 8, 16)] == [(1,), (1, 1), (2, 6), (4, 12)]
    assert all(sum(rounds(n, True)) == n for n in range(1, 40))
    assert ImplicitTrainer.completions(ImplicitTrainerParams(base="m", objective="kto")) == ()
    steps = ImplicitTrainerParams(base="m", objective="kto", level="step", stop_when_decided=True)
    assert ImplicitTrainer.completions(steps) == (2, 6)
    named = [
        StepTokenTrainer.method(StepTokenTrainerParams(base="m", **more))
        for more in ({}, {"labels": "soft"}, {"stop_when_decided": True})
    ]
    assert named == ["Math-Shepherd", "Math-Shepherd, soft labels", "Math-Shepherd, decided early"]
    assert ImplicitTrainer.method(steps) == "step KTO, decided early"
