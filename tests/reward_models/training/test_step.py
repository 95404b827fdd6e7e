"""One optimizer step: its gradient is that of a plain loop over the examples, however the rollouts are dealt."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from types import MethodType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_models import make_model
from training_data import graded_sums
from transformers import PreTrainedModel

from bonbench.reward_models.training.data import Rollouts
from bonbench.reward_models.training.dealing import Dealer
from bonbench.reward_models.training.history import StepSums
from bonbench.reward_models.training.loop import _call
from bonbench.reward_models.training.model_losses import ImplicitLoss
from bonbench.reward_models.training.params import ImplicitTrainerParams
from bonbench.reward_models.training.responses import build_rollouts
from bonbench.reward_models.training.schedule import Steps
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.step import Passes, go
from harness.core.records import GradedSolution

BETA = 0.3


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=16)


@pytest.fixture(scope="module")
def data(base: str) -> list[GradedSolution]:
    return graded_sums(base, problems=5)


def policy(loss: ImplicitLoss, base: str) -> PreTrainedModel:
    """The base's weights, moved: z is not 0."""
    model = loss.load(base)
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.05 * torch.randn_like(weights)
    return model


def gradients(model: PreTrainedModel) -> list[torch.Tensor]:
    return [weights.grad for weights in model.parameters() if weights.grad is not None]


def logprobs(model: PreTrainedModel, sequences: Sequences, i: int) -> torch.Tensor:
    """log p of each token of a response, read by itself."""
    ids = torch.from_numpy(sequences.ids[sequences.starts[i] : sequences.starts[i + 1]].astype(np.int64))
    reads = sequences.reads[sequences.read_starts[i] : sequences.read_starts[i + 1]].astype(np.int64)
    return model(input_ids=ids[None]).logits[0].log_softmax(dim=-1)[reads, ids[reads + 1]]


def brute_force(rollouts: Rollouts, params: ImplicitTrainerParams, model: PreTrainedModel, z0: float) -> torch.Tensor:
    """The mean loss, every response read by itself, as often as an example has it."""
    sequences, targets = rollouts.sequences, rollouts.targets

    def z(i: int) -> torch.Tensor:
        return BETA * (logprobs(model, sequences, i).sum() - targets.reference[i])

    if params.objective == "dpo":
        losses = [-F.logsigmoid(z(right) - z(wrong)) for right, wrong in rollouts.examples.tolist()]
    elif params.objective == "nca":
        losses = [
            -F.logsigmoid(z(right)) - F.logsigmoid(-z(right)) / 2 - F.logsigmoid(-z(wrong)) / 2
            for right, wrong in rollouts.examples.tolist()
        ]
    elif params.objective == "kto":
        losses = [torch.sigmoid(z0 - z(i) if right else z(i) - z0) for i, right in enumerate(targets.correct)]
    else:
        losses = []
        for i, (start, stop) in enumerate(pairwise(targets.starts)):
            values = logprobs(model, sequences, i)
            of_read = np.repeat(np.arange(stop - start), targets.n_reads[start:stop])
            for step in range(stop - start):
                z_step = BETA * (values[of_read == step].sum() - targets.reference[start + step])
                losses.append(-F.logsigmoid(z_step if targets.values[start + step] else -z_step))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("objective", ["dpo", "nca", "kto", "ce"])
def test_every_dealing_has_the_gradient_of_a_plain_loop(base: str, data: list[GradedSolution], objective: str) -> None:
    """One to five workers, in threads, with micro-batches of one to all rollouts; ce is of steps."""
    level = "step" if objective == "ce" else "response"
    params = ImplicitTrainerParams(base=base, objective=objective, level=level, beta=BETA)
    rollouts, _ = build_rollouts(data, params)
    loss = ImplicitLoss(params)
    model = policy(loss, base)
    crossed, z0 = None, 0.0
    if rollouts.mismatched is not None:
        with torch.no_grad():
            sums = [logprobs(model, rollouts.mismatched.sequences, i).sum().item() for i in range(len(data))]
        drift = np.random.default_rng(0).uniform(-1, 4, size=len(data))
        crossed, z0 = np.array(sums) - drift, BETA * float(drift.mean())
        assert z0 > 0.1
    expected = brute_force(rollouts, params, model, z0)
    expected.backward()
    wanted = gradients(model)
    largest = max(float(gradient.abs().max()) for gradient in wanted)
    ways = ((1, 10_000, True), (1, 10_000, False), (1, 60, False), (2, 150, False), (5, 40, True))
    for workers, limit, sharded in ways:
        dealer = Dealer(workers, limit, loss.paired, sharded)
        found, row = in_threads(loss, model, rollouts, crossed, dealer)
        for gradient, same in zip(found, wanted, strict=True):
            torch.testing.assert_close(gradient, same, rtol=0, atol=2e-6 * largest)
        assert row["loss"] == pytest.approx(expected.item(), abs=1e-6)
        assert row["terms"] == int(rollouts.n_terms.sum())


def in_threads(
    loss: ImplicitLoss,
    model: PreTrainedModel,
    rollouts: Rollouts,
    crossed: np.ndarray | None,
    dealer: Dealer,
) -> tuple[list[torch.Tensor], dict[str, float]]:
    """The gradients of a step of all examples, averaged over the workers, and its row of the curve."""
    barrier, shared = threading.Barrier(dealer.workers, timeout=60), [torch.empty(0)] * dealer.workers

    def summed(rank: int, values: torch.Tensor) -> torch.Tensor:
        shared[rank] = values
        barrier.wait()
        total = torch.stack(shared).sum(dim=0)
        barrier.wait()
        return total

    def work(rank: int) -> tuple[list[torch.Tensor], StepSums]:
        own, sums = copy.deepcopy(model), StepSums()
        own.zero_grad()
        own.forward = MethodType(loss.forward, own)
        step = Steps(rollouts, [np.arange(len(rollouts.examples))], crossed, dealer, rank)[0]
        passes = Passes(
            call=partial(_call, own),
            backward=lambda value: value.backward(),
            workers=dealer.workers,
            rank=rank,
            summed=partial(summed, rank),
        )
        go(loss, step, passes, sums.add)
        return gradients(own), sums

    with ThreadPoolExecutor(dealer.workers) as threads:
        done = list(threads.map(work, range(dealer.workers)))
    everything = done[0][1]
    everything._judged = [judged for _, sums in done for judged in sums._judged]
    averaged = [torch.stack(each).mean(dim=0) for each in zip(*(found for found, _ in done), strict=True)]
    return averaged, everything.take(torch.device("cpu"))


def test_what_is_dropped_out_in_the_first_reading_is_dropped_out_in_the_second(
    base: str, data: list[GradedSolution]
) -> None:
    params = ImplicitTrainerParams(base=base, objective="dpo", beta=BETA)
    rollouts, _ = build_rollouts(data, params)
    loss = ImplicitLoss(params)
    model = policy(loss, base)
    for layer in model.base_model.layers:
        layer.self_attn.attention_dropout = 0.5
    model.forward = MethodType(loss.forward, model.train())
    step = Steps(rollouts, [np.arange(len(rollouts.examples))], None, Dealer(1, 60, paired=True), 0)[0]
    seen: dict[int, list[torch.Tensor]] = {}

    def call(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        outputs = _call(model, batch)
        seen.setdefault(id(batch), []).append(outputs.detach())
        return outputs

    go(loss, step, Passes(call, lambda value: value.backward()), lambda _: None)
    twice = [readings for readings in seen.values() if len(readings) == 2]
    assert len(seen) > len(twice) > 0
    for first, second in twice:
        torch.testing.assert_close(first, second)
