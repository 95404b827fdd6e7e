"""Training of implicit reward models: their data, their curves, and one real training under Ray Train."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from on_ray import launcher
from tensorboardX.proto import event_pb2
from tiny_models import make_model
from training_data import curve, graded_sums, trained
from transformers import AutoModelForCausalLM, AutoTokenizer

from bonbench.reward_models.implicit import ImplicitPRM
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.training import model_losses
from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.pairs import pair_up
from bonbench.reward_models.training.params import ImplicitTrainerParams
from bonbench.reward_models.training.responses import build_rollouts
from bonbench.reward_models.training.subsets import near_duplicates
from harness.core.errors import UserError
from harness.core.records import GradedSolution, Problem, Response, Solution
from harness.engine.local_executor import in_this_process


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def data(base: str) -> list[GradedSolution]:
    return graded_sums(base)


def test_data_subsets_and_dropping(base: str, data: list[GradedSolution]) -> None:
    whole, _ = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce"))
    two, _ = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce", responses=2))
    assert (len(whole.examples), len(two.examples)) == (96, 48)
    nested = [row for row, item in enumerate(data) if item.solution.response.sample < 2]
    np.testing.assert_array_equal(two.targets.reference, whole.targets.reference[nested])
    half, facts = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce", instructions=0.5))
    assert (len(half.examples), facts["n_problems"]) == (48, 12)
    assert whole.targets.reference[5] == pytest.approx(sum(data[5].solution.logprobs["reference"].logprobs))
    tokenizer = AutoTokenizer.from_pretrained(base)
    problem, response = data[5].solution.problem.problem, data[5].solution.response.text
    text = f"<|bos|><|user|>{problem}<|end|><|assistant|>{response}<|end|>"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert whole.sequences.ids[whole.sequences.starts[5] : whole.sequences.starts[6]].tolist() == ids
    longest = int(np.sort(whole.sequences.lengths)[-10])
    short, facts = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce", max_length=longest))
    assert facts["dropped"] == {"longer than max_length": int((whole.sequences.lengths > longest).sum())}
    assert short.sequences.lengths.max() == longest
    pairs, facts = build_rollouts(data, ImplicitTrainerParams(base=base, responses=2))
    mixed = [p for p in range(24) if data[4 * p].correct != data[4 * p + 1].correct]
    assert (len(pairs.examples), facts["dropped"]) == (len(mixed), {"all right or all wrong": 48 - 2 * len(mixed)})


def test_what_the_reference_cannot_read_is_left_out_and_counted(base: str, data: list[GradedSolution]) -> None:
    """The third rollout is longer than the reference's 512 positions, the fourth is longer than max_length too."""
    long = [
        Solution(s.problem, dataclasses.replace(s.response, text=s.response.text + "1 " * n))
        for s, n in zip([data[2].solution, data[3].solution], (600, 2400), strict=True)
    ]
    passes = CausalLMScorer(CausalLMParams(model=base)).logprobs(long)
    assert not any(tokens.was_read for tokens in passes)
    unread = [
        dataclasses.replace(item, solution=dataclasses.replace(solution, logprobs={"reference": tokens}))
        for item, solution, tokens in zip(data[2:4], long, passes, strict=True)
    ]
    for level in ("response", "step"):
        params = ImplicitTrainerParams(base=base, objective="ce", level=level, max_length=1000)
        rollouts, facts = build_rollouts([*data[:2], *unread, *data[4:]], params)
        assert facts["dropped"] == {"longer than the reference reads": 1, "longer than max_length": 1}
        without, _ = build_rollouts([*data[:2], *data[4:]], params)
        np.testing.assert_array_equal(rollouts.targets.reference, without.targets.reference)
        np.testing.assert_array_equal(rollouts.sequences.ids, without.sequences.ids)


def test_mismatched_responses_end_where_the_model_ends(base: str) -> None:
    """Two rollouts, each of which fits 512 positions: the prompt of the one with the response of the other does not."""
    short, long = "What is 2 + 3?", "What is 2 + 3? " * 40
    solutions = [
        Solution(Problem("a", long, "5"), Response("a", "g", 0, "5", finish_reason="stop")),
        Solution(Problem("b", short, "5"), Response("b", "g", 0, "7 " * 200, finish_reason="stop")),
    ]
    data = [GradedSolution(solution, right) for solution, right in zip(solutions, (True, False), strict=True)]
    rollouts, facts = build_rollouts(data, ImplicitTrainerParams(base=base, objective="kto", reference=None))
    assert facts["dropped"] == {} and rollouts.mismatched is not None
    alone, crossed = rollouts.sequences.lengths, rollouts.mismatched.sequences.lengths
    assert alone.max() <= 512 < alone.sum() and crossed.max() == 512


def test_nothing_to_learn_from(base: str, data: list[GradedSolution]) -> None:
    right = [item for item in data if item.correct]
    with pytest.raises(UserError, match=r"no pair to train on: none of the \d+ problems has both"):
        build_rollouts(right, ImplicitTrainerParams(base=base))
    with pytest.raises(UserError, match=r"all \d+ responses to train on are right"):
        build_rollouts(right, ImplicitTrainerParams(base=base, objective="ce"))
    with pytest.raises(UserError, match="at least 2 responses"):
        ImplicitTrainer.check(ImplicitTrainerParams(base=base, responses=1))
    with pytest.raises(UserError, match="pairs, which are balanced"):
        ImplicitTrainer.check(ImplicitTrainerParams(base=base, balance="dataset"))


def test_what_was_left_out(base: str, data: list[GradedSolution]) -> None:
    problems, correct = [i // 4 for i in range(96)], [item.correct for item in data]
    one, facts = build_rollouts(data, ImplicitTrainerParams(base=base, pairs="one"))
    mixed = [p for p in range(24) if len(set(correct[4 * p : 4 * p + 4])) == 2]
    unused = 4 * len(mixed) - len(np.unique(one.examples))
    assert facts["dropped"] == {"all right or all wrong": 96 - 4 * len(mixed), "no one's counterpart": unused}
    assert facts["n_responses"] + sum(facts["dropped"].values()) == 96
    _, facts = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce", balance="instruction"))
    assert facts["n_correct"] == sum(min(correct[4 * p : 4 * p + 4].count(k) for k in (True, False)) for p in mixed)
    assert facts["dropped"] == {"balance": 96 - 2 * facts["n_correct"]}
    _, facts = build_rollouts(data, ImplicitTrainerParams(base=base, objective="ce", dedup=0.5))
    repeats = near_duplicates([str(p) for p in problems], [item.solution.response.text for item in data], 0.5)
    assert 0 < facts["dropped"]["near-duplicate"] == sum(repeats)


def params(base: str, objective: str, **more: object) -> ImplicitTrainerParams:
    settings = {"beta": 0.5, "lr": 2e-3, "batch_size": 16, "max_batch_tokens": 700, "responses": 4, **more}
    return ImplicitTrainerParams(base=base, objective=objective, **settings)


@pytest.mark.parametrize("objective", ["nca", "kto", "ce"])
def test_objectives_learn(base: str, data: list[GradedSolution], tmp_path: Path, objective: str) -> None:
    asked = params(base, objective, epochs=4, lr=1e-4 if objective == "nca" else 2e-3)
    rollouts, _ = build_rollouts(data, asked)
    facts, steps = trained(Job("implicit", asked, rollouts, base, tmp_path / "out"))
    # The policy is its reference still: z is 0 of everything, and so is KTO's z0.
    start = {"nca": 2 * math.log(2), "kto": 0.5, "ce": math.log(2)}[objective]
    assert steps[0]["loss"] == pytest.approx(start, abs=1e-5)
    assert [row["step"] for row in steps] == list(range(1, facts.extra["steps"] + 1))
    assert facts.extra["reward_accuracy"] > 0.9
    assert facts.extra["margin"] > 0.5
    # nca cannot fall below where sigmoid(z_w) = 2/3 and sigmoid(z_l) = 0: 0.69 of the start.
    assert facts.extra["loss"] < 0.75 * start
    last = [row for row in steps if row["step"] > facts.extra["steps"] - facts.extra["steps"] // 4]
    assert facts.extra["loss"] == pytest.approx(
        np.average([r["loss"] for r in last], weights=[r["terms"] for r in last])
    )


def test_kto_estimates_the_kl_of_the_policy(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """z0 is what scoring prompts with their partners' responses gives, under a policy that has moved."""
    asked = params(base, "kto")
    rollouts, _ = build_rollouts(data, asked)
    assert rollouts.mismatched is not None
    prompts, responses = [], []
    tokenizer = AutoTokenizer.from_pretrained(base)
    for i in range(len(rollouts.mismatched.sequences)):
        start, end = rollouts.mismatched.sequences.starts[i : i + 2]
        text = tokenizer.decode(rollouts.mismatched.sequences.ids[start:end])
        prompt, response = text.split("<|assistant|>")
        prompts.append(prompt.removeprefix("<|bos|><|user|>").removesuffix("<|end|>"))
        responses.append(response.removesuffix("<|end|>"))
    assert prompts == [item.solution.problem.problem for item in data]
    texts = {item.solution.response.text: item.solution.problem.problem for item in data}
    assert all(texts[response] != prompt for prompt, response in zip(prompts, responses, strict=True))

    moved = make_model(tmp_path / "moved", seed=1, width=64)
    crossed = [
        Solution(item.solution.problem, dataclasses.replace(item.solution.response, text=response))
        for item, response in zip(data, responses, strict=True)
    ]
    policy, reference = (
        np.array([sum(t.logprobs) for t in CausalLMScorer(CausalLMParams(model=m)).logprobs(crossed)])
        for m in (moved, base)
    )
    kl = np.mean(policy - reference)
    zs = np.array([0.5 * (_sum(moved, item.solution) - rollouts.targets.reference[i]) for i, item in enumerate(data)])
    assert kl < 0  # of other signs there is the other test below
    # One batch of everything, from a policy that is not the reference: the first step's loss is the formula's.
    for sign in (1, -1):
        beta = 0.01
        first, other = (moved, base) if sign == 1 else (base, moved)
        asked = params(first, "kto", beta=beta, batch_size=200, reference=other)
        swapped = [
            dataclasses.replace(item, solution=dataclasses.replace(item.solution, logprobs={"reference": logprobs}))
            for item, logprobs in zip(
                data, CausalLMScorer(CausalLMParams(model=other)).logprobs([d.solution for d in data]), strict=True
            )
        ]
        rollouts, _ = build_rollouts(swapped, asked)
        _, steps = trained(Job("implicit", asked, rollouts, first, tmp_path / f"out{sign}"))
        z0 = max(0.0, beta * sign * kl)
        z = sign * zs * beta / 0.5
        correct = np.array([item.correct for item in data])
        expected = np.where(correct, 1 - 1 / (1 + np.exp(z0 - z)), 1 - 1 / (1 + np.exp(z - z0)))
        assert steps[0]["loss"] == pytest.approx(expected.mean(), abs=1e-5)
        assert len(steps) == 1


def _sum(model: str, solution: Solution) -> float:
    return sum(CausalLMScorer(CausalLMParams(model=model)).logprobs([solution])[0].logprobs)


def test_without_reference(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    asked = params(base, "ce", beta=0.01, batch_size=200, reference=None)
    assert ImplicitTrainer.token_passes(asked) == {}
    bare = [dataclasses.replace(d, solution=dataclasses.replace(d.solution, logprobs={})) for d in data]
    rollouts, _ = build_rollouts(bare, asked)
    _, steps = trained(Job("implicit", asked, rollouts, base, tmp_path / "out"))
    z = 0.01 * np.array([sum(d.solution.logprobs["reference"].logprobs) for d in data])  # base's own
    expected = np.log1p(np.exp(np.where([d.correct for d in data], -z, z)))
    assert steps[0]["loss"] == pytest.approx(expected.mean(), abs=1e-5)
    assert ImplicitPRM.with_trained({}, "trained", base, asked)["reference"] is None
    assert ImplicitTrainer.token_passes(params(base, "ce")) == {"reference": base}


def test_logits_in_blocks_give_the_same_gradients(
    base: str, data: list[GradedSolution], monkeypatch: pytest.MonkeyPatch
) -> None:
    rollouts, _ = build_rollouts(data, params(base, "ce"))
    loss = model_losses.ImplicitLoss(params(base, "ce"))
    batch = {k: torch.from_numpy(v) for k, v in rollouts.sequences.batch(np.arange(8)).items()}
    found = []
    for block in (2**26, 2000):  # all at once, 6 tokens at a time
        monkeypatch.setattr(model_losses, "LOGITS_BLOCK", block)
        model = loss.load(base)
        logprobs = loss.forward(model, **batch)
        model_losses.row_sums(logprobs, batch).sum().backward()
        found.append([logprobs.detach(), *(p.grad for p in model.parameters())])
    for whole, blocks in zip(*found, strict=True):
        torch.testing.assert_close(whole, blocks)


@pytest.mark.parametrize("objective", ["kto", "dpo"])
def test_curves_and_costs_do_not_depend_on_the_split(
    base: str, data: list[GradedSolution], tmp_path: Path, objective: str
) -> None:
    facts, curves = [], []
    for tokens in (200, 10_000):
        asked = params(base, objective, max_batch_tokens=tokens, epochs=2)
        rollouts, _ = build_rollouts(data, asked)
        found, steps = trained(Job("implicit", asked, rollouts, base, tmp_path / str(tokens)))
        facts.append((found.train_tokens, found.train_positions, found.forward_tokens))
        curves.append(steps)
    for row in (curves[0][0], curves[1][0]):
        del row["reward_accuracy"]  # z is 0 but for rounding
    for one, other in zip(*curves, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    assert facts[0] == facts[1]


def test_bfloat16_and_gradient_checkpointing(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """What memory is saved with changes numbers a little, and what is learnt not at all; the model stays bfloat16."""
    stored = AutoModelForCausalLM.from_pretrained(base).bfloat16()
    half = tmp_path / "half"
    stored.save_pretrained(half)
    AutoTokenizer.from_pretrained(base).save_pretrained(half)
    curves = []
    torch.backends.cuda.enable_cudnn_sdp(True)
    for saving in ({}, {"gradient_checkpointing": True}, {"precision": "bfloat16", "gradient_checkpointing": True}):
        asked = params(str(half), "kto", epochs=4, reference=base, **saving)
        rollouts, _ = build_rollouts(data, asked)
        facts, steps = trained(Job("implicit", asked, rollouts, str(half), tmp_path / str(len(curves))))
        curves.append([row["loss"] for row in steps])
        assert facts.extra["reward_accuracy"] > 0.9
    assert not torch.backends.cuda.cudnn_sdp_enabled(), "it would build a plan for every shape"
    assert curves[1] == pytest.approx(curves[0], abs=1e-4)
    assert curves[2][:2] == pytest.approx(curves[0][:2], abs=0.02)
    assert curves[2] != pytest.approx(curves[0], abs=1e-6)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "2", dtype="auto").dtype == torch.bfloat16


def test_tensorboard(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """The event file says what the curve does."""
    asked = params(base, "ce", report_to="tensorboard")
    rollouts, _ = build_rollouts(data, asked)
    _, steps = trained(Job("implicit", asked, rollouts, base, tmp_path))
    (file,) = (tmp_path / "tensorboard").iterdir()
    content, found = file.read_bytes(), {}
    while content:  # records of: length, checksum, event, checksum
        size = int.from_bytes(content[:8], "little")
        event = event_pb2.Event.FromString(content[12 : 12 + size])
        content = content[16 + size :]
        found |= {(event.step, v.tag): v.simple_value for v in event.summary.value if v.HasField("simple_value")}
    for key in ("loss", "reward_accuracy", "margin"):
        values = {row["step"]: row[key] for row in steps if key in row}
        assert {step: v for (step, tag), v in found.items() if tag == f"train/{key}"} == pytest.approx(values)


@pytest.fixture(scope="module")
def ray_started() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.thorough
@pytest.mark.ray
def test_two_workers_learn_like_one(ray_started: None, base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """Two gloo workers, and one with twice the micro-batches, have one curve; KTO's z0 goes over the workers too."""
    curves = []
    for workers, launch in ((1, in_this_process), (2, launcher())):
        asked = params(base, "kto", epochs=2, workers=workers, max_batch_tokens=300)
        folder = tmp_path / str(workers)
        folder.mkdir()
        ImplicitTrainer(asked, "kto").train(data, folder, lambda *_: None, launch)
        curves.append(curve(folder))
        assert not (folder / "workers").exists()
    for one, two in zip(*curves, strict=True):
        assert one == pytest.approx(two, abs=1e-4)
    weights = [AutoModelForCausalLM.from_pretrained(tmp_path / str(workers)).state_dict() for workers in (1, 2)]
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=0)


def test_training(base: str, data: list[GradedSolution], tmp_path: Path) -> None:
    """Deterministic, loads anywhere, and tells right from wrong."""
    asked = params(base, "dpo", epochs=4)
    digests, seen = [], []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        facts = ImplicitTrainer(asked, "dpo").train(
            data, tmp_path / run, lambda *state: seen.append(state), in_this_process
        )
        digests.append(hashlib.sha256((tmp_path / run / "model.safetensors").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    rollouts, _ = build_rollouts(data, asked)
    assert facts.extra["n_pairs"] == facts.extra["n_examples"] == len(rollouts.examples)
    assert facts.extra["steps"] == 4 * math.ceil(len(rollouts.examples) / 16)
    assert seen[-1][:2] == (facts.extra["steps"], facts.extra["steps"])
    # Every rollout of a batch passes once, however many pairs it is in; a problem's pairs may be cut into two batches.
    once = int(rollouts.sequences.lengths[np.unique(rollouts.examples)].sum())
    assert 4 * once <= facts.train_tokens < 1.3 * 4 * once
    assert facts.extra["loss"] < math.log(2) / 2
    assert facts.extra["reward_accuracy"] > 0.9

    folder = str(tmp_path / "first")
    trained, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert trained.generation_config.eos_token_id == tokenizer.eos_token_id
    solutions = [item.solution for item in data]
    policy = CausalLMScorer(CausalLMParams(model=folder)).logprobs(solutions)
    entry = ImplicitPRM.with_trained({}, folder, base, asked)
    model = ImplicitPRM(ImplicitPRM.Params.model_validate(entry), "rm")
    scored = model.score(
        [Solution(s.problem, s.response, {**s.logprobs, "policy": p}) for s, p in zip(solutions, policy, strict=True)]
    )
    z = np.array([sum(record.step_rewards) for record in scored])
    correct = np.array([item.correct for item in data])
    assert z[correct].mean() - z[~correct].mean() > 1
    ranked = [z[right] > z[wrong] for right, wrong in pair_up([i // 4 for i in range(96)], correct.tolist(), "all", 0)]
    assert np.mean(ranked) > 0.95
