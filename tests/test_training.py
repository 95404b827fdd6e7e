"""Training of implicit reward models: objectives, pairs, batches, and one real training under Ray Train."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import make_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.records import GradedSolution, Problem, Response, Solution
from harness.registry import UserError
from reward_models.implicit import ImplicitPRM
from reward_models.token_logprobs import CausalLMParams, CausalLMScorer
from reward_models.training import objectives
from reward_models.training.batches import accumulation_steps, epoch_batches, padded_tokens, split
from reward_models.training.data import build_rollouts
from reward_models.training.pairs import pair_up
from reward_models.training.trainer import ImplicitTrainer, ImplicitTrainerParams


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_objectives_by_hand() -> None:
    z_w, z_l = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.1, 0.5, -2.0])
    expected = [-math.log(sigmoid(right - wrong)) for right, wrong in zip(z_w.tolist(), z_l.tolist(), strict=True)]
    torch.testing.assert_close(objectives.dpo(z_w, z_l), torch.tensor(expected))
    correct = torch.tensor([1, 0, 1])
    expected = [-math.log(sigmoid(0.3)), -math.log(1 - sigmoid(-1.0)), -math.log(sigmoid(2.0))]
    torch.testing.assert_close(objectives.ce(z_w, correct), torch.tensor(expected))


def test_objective_gradients_by_finite_differences() -> None:
    z = torch.tensor([0.4, -0.9, 3.0], dtype=torch.float64)
    other = torch.tensor([1.0, -2.0, 2.9], dtype=torch.float64)
    correct = torch.tensor([True, False, False])
    h = 1e-6
    for function in (
        lambda x: objectives.dpo(x, other),
        lambda x: objectives.dpo(other, x),
        lambda x: objectives.ce(x, correct),
    ):
        leaf = z.clone().requires_grad_()
        function(leaf).sum().backward()
        numeric = (function(z + h) - function(z - h)) / (2 * h)
        torch.testing.assert_close(leaf.grad, numeric, atol=1e-7, rtol=1e-6)


def test_objectives_at_extremes() -> None:
    z = torch.tensor([1e4, -1e4], requires_grad=True)
    for losses in (objectives.dpo(z, torch.zeros(2)), objectives.ce(z, torch.ones(2))):
        assert losses.tolist() == [0.0, 1e4]
        assert torch.autograd.grad(losses.sum(), z)[0].tolist() == [0.0, -1.0]
    assert objectives.ce(z, torch.zeros(2)).tolist() == [1e4, 0.0]


def test_pairs() -> None:
    problems = [7, 7, 7, 3, 3, 7, 5, 5]
    correct = [True, False, True, True, False, False, True, True]
    brute = {
        (i, j) for i, j in product(range(8), repeat=2) if problems[i] == problems[j] and correct[i] and not correct[j]
    }
    pairs = pair_up(problems, correct, "all", 0)
    assert set(map(tuple, pairs.tolist())) == brute
    assert len(pairs) == len(brute)
    one = pair_up(problems, correct, "one", 0)
    assert one[:, 0].tolist() == [0, 2, 3]
    assert {tuple(pair) for pair in one.tolist()} <= brute
    assert len(set(one[:2, 1].tolist())) == 2  # two wrongs serve two rights: each once
    assert pair_up([1, 1], [True, True], "all", 0).shape == (0, 2)
    drawn = {tuple(pair_up([0] * 9, [True] + [False] * 8, "one", seed)[0].tolist()) for seed in range(40)}
    assert len(drawn) > 4
    assert pair_up(problems, correct, "one", 3).tolist() == pair_up(problems, correct, "one", 3).tolist()


def test_batches_hold_every_example_once() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 90, size=300)
    problems = np.repeat(np.arange(60), 5)
    examples = pair_up(problems.tolist(), (rng.random(300) < 0.5).tolist(), "all", 0)
    units = problems[examples[:, 0]]
    batches = epoch_batches(examples, units, lengths, 16, np.random.default_rng(1))
    assert Counter(np.concatenate(batches).tolist()) == Counter(range(len(examples)))
    assert all(len(batch) == 16 for batch in batches[:-1])
    assert 0 < len(batches[-1]) <= 16
    again = epoch_batches(examples, units, lengths, 16, np.random.default_rng(1))
    assert [b.tolist() for b in again] == [b.tolist() for b in batches]
    other = epoch_batches(examples, units, lengths, 16, np.random.default_rng(2))
    assert [b.tolist() for b in other] != [b.tolist() for b in batches]


@pytest.mark.parametrize("parts", [1, 3, 8])
def test_micro_batches_add_up_to_the_mean_of_the_batch(parts: int) -> None:
    rng = np.random.default_rng(0)
    examples = np.array([[0, 1], [0, 2], [3, 1], [3, 2], [4, 5]])
    losses = rng.random((6, 6))
    batch = np.arange(5)
    total = 0.0
    pieces = split(batch, examples, parts)
    assert len(pieces) == parts
    for piece in pieces:
        assert len(set(piece.rollouts.tolist())) == len(piece.rollouts)
        pairs = piece.rollouts[piece.examples]
        # What a worker's backward sees, averaged over parts as accumulation and workers do.
        total += sum(losses[i, j] for i, j in pairs) * piece.weight / parts
    assert total == pytest.approx(np.mean([losses[i, j] for i, j in examples]))


def test_accumulation_keeps_to_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(10, 50, size=40)
    examples = np.arange(40)[:, None]
    epochs = [epoch_batches(examples, np.arange(40), lengths, 16, np.random.default_rng(0))]
    for workers, budget in product((1, 2), (60, 200, 10_000)):
        steps = accumulation_steps(epochs, examples, lengths, workers, budget)
        pieces = [p for batch in epochs[0] for p in split(batch, examples, steps * workers)]
        assert all(padded_tokens(piece, lengths) <= budget for piece in pieces)
        if steps > 1:
            fewer = [p for batch in epochs[0] for p in split(batch, examples, (steps - 1) * workers)]
            assert any(padded_tokens(piece, lengths) > budget for piece in fewer)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def data(base: str) -> list[GradedSolution]:
    """Right and wrong solutions to sums; which is which shows in the text."""
    rng = np.random.default_rng(0)
    solutions, correct = [], []
    for p in range(24):
        problem = Problem(f"p{p}", f"What is {p} + 4?", str(p + 4))
        for j in range(4):
            right = bool(rng.random() < 0.5)
            text = f"Step 1: {p} + 4 = {p + 4 if right else p + 5}\nStep 2: {'Answer' if right else 'apples'} "
            text += "1 " * int(rng.integers(1, 9))
            solutions.append(Solution(problem, Response(f"p{p}", "g", j, text, finish_reason="stop")))
            correct.append(right)
    passes = CausalLMScorer(CausalLMParams(model=base)).logprobs(solutions)
    return [
        GradedSolution(Solution(s.problem, s.response, {"reference": reference}), right)
        for s, reference, right in zip(solutions, passes, correct, strict=True)
    ]


def test_data_subsets_and_dropping(base: str, data: list[GradedSolution]) -> None:
    whole, _ = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce"))
    two, _ = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce", responses=2))
    assert (len(whole.examples), len(two.examples)) == (96, 48)
    nested = [row for row, item in enumerate(data) if item.solution.response.sample < 2]
    np.testing.assert_array_equal(two.reference, whole.reference[nested])
    assert whole.reference[5] == pytest.approx(sum(data[5].solution.logprobs["reference"].logprobs))
    tokenizer = AutoTokenizer.from_pretrained(base)
    problem, response = data[5].solution.problem.problem, data[5].solution.response.text
    text = f"<|bos|><|user|>{problem}<|end|><|assistant|>{response}<|end|>"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert whole.ids[whole.starts[5] : whole.starts[6]].tolist() == ids
    longest = int(np.sort(whole.lengths)[-10])
    short, dropped = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce", max_length=longest))
    assert dropped == {"longer than max_length": int((whole.lengths > longest).sum())}
    assert short.lengths.max() == longest
    pairs, dropped = build_rollouts(data, ImplicitTrainerParams(base=base, responses=2))
    mixed = [p for p in range(24) if data[4 * p].correct != data[4 * p + 1].correct]
    assert (len(pairs.examples), dropped) == (len(mixed), {"all right or all wrong": 48 - 2 * len(mixed)})


def test_nothing_to_learn_from(base: str, data: list[GradedSolution]) -> None:
    right = [item for item in data if item.correct]
    with pytest.raises(UserError, match=r"no pair to train on: none of the \d+ problems has both"):
        build_rollouts(right, ImplicitTrainerParams(base=base))
    with pytest.raises(UserError, match=r"all \d+ responses to train on are right"):
        build_rollouts(right, ImplicitTrainerParams(base=base, objective="ce"))
    with pytest.raises(UserError, match="at least 2 responses"):
        ImplicitTrainer.check(ImplicitTrainerParams(base=base, responses=1))


@pytest.fixture(scope="module")
def ray_started() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_training(ray_started: None, base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """The slow one: deterministic, loads anywhere, and tells right from wrong."""
    params = ImplicitTrainerParams(
        base=base, objective="dpo", beta=0.5, lr=2e-3, epochs=4, responses=4, batch_size=16, max_batch_tokens=700
    )
    digests, seen = [], []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        facts = ImplicitTrainer(params, "dpo").train(data, tmp_path / run, lambda *state: seen.append(state))
        digests.append(hashlib.sha256((tmp_path / run / "model.safetensors").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    assert not (tmp_path / "first" / "ray").exists()
    rollouts, _ = build_rollouts(data, params)
    assert facts["n_pairs"] == facts["n_examples"] == len(rollouts.examples)
    assert facts["steps"] == 4 * math.ceil(len(rollouts.examples) / 16)
    assert seen[-1][:2] == (facts["steps"], facts["steps"])
    # Every rollout in a pair passes at least once per epoch, none more often than it has pairs.
    once = int(rollouts.lengths[np.unique(rollouts.examples)].sum())
    assert 4 * once <= facts["train_tokens"] <= 4 * int(rollouts.lengths[rollouts.examples].sum())
    assert facts["loss"] < math.log(2) / 2
    assert facts["reward_accuracy"] > 0.9

    folder = str(tmp_path / "first")
    trained, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert trained.generation_config.eos_token_id == tokenizer.eos_token_id
    solutions = [item.solution for item in data]
    policy = CausalLMScorer(CausalLMParams(model=folder)).logprobs(solutions)
    entry = ImplicitPRM.with_trained({}, folder, base, params)
    model = ImplicitPRM(ImplicitPRM.Params.model_validate(entry), "rm")
    scored = model.score(
        [Solution(s.problem, s.response, {**s.logprobs, "policy": p}) for s, p in zip(solutions, policy, strict=True)]
    )
    z = np.array([sum(record.step_rewards) for record in scored])
    correct = np.array([item.correct for item in data])
    assert z[correct].mean() - z[~correct].mean() > 1
    ranked = [z[right] > z[wrong] for right, wrong in pair_up([i // 4 for i in range(96)], correct.tolist(), "all", 0)]
    assert np.mean(ranked) > 0.95
