"""One optimizer step: forward and backward of a worker's micro-batches, with losses that are those of the whole batch.

Losses of single rollouts, steps or tokens add up, wherever these are. A loss of a pair needs the rewards z of both
rollouts, which may be in different micro-batches, or at different workers. But it needs nothing else of them: so the
rewards of all rollouts are brought together (a number each), every worker computes the losses of all pairs and their
derivatives dL/dz, and goes backward from each of its own z by its derivative. That is the gradient of the mean over all
pairs, and each rollout is read once.

With several micro-batches at a worker, z of all of them must be known before the first goes backward. The activations
of as many as fit into memory are held; the others are read without gradient first, and again with it after (Gao et al.
2021, arXiv 2101.06983). This second forward is like the recomputation of gradient checkpointing: it depends on the
memory there is, not on what is learnt, and the ledger does not count it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from bonbench.reward_models.training.model_losses import Batch, Judgement, ModelLoss, Summed


def summed(values: torch.Tensor) -> torch.Tensor:
    """The sum of ``values`` [any shape] over the workers; they are on the device of the workers' group."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


@dataclass(frozen=True, slots=True)
class Passes:
    """How a worker goes forward and backward.

    Attributes:
        call: a batch's outputs [reads, ...].
        backward: adds to the gradients, which are averaged over the workers, those of a scalar.
        alone: the context of a forward and its backward after which the workers do not yet average.
        workers: how many there are.
        rank: which of them this is.
        summed: a tensor's sum over them.
    """

    call: Callable[[Batch], torch.Tensor]
    backward: Callable[[torch.Tensor], None]
    alone: Callable[[], AbstractContextManager[Any]] = nullcontext
    workers: int = 1
    rank: int = 0
    summed: Summed = summed


def go(loss: ModelLoss[Any], step: Batch, passes: Passes, judged: Callable[[Judgement], None]) -> None:
    """Add to the gradients that of the mean of a batch's losses.

    Args:
        step: what a worker has of a batch: ``micro``, its micro-batches, each with ``places`` [rows] of its rollouts
            among the ``n_rollouts`` of the batch, and whether it ``counts``; ``examples`` [examples, 2 or 1], in such
            places; ``n_terms``, the batch's losses; ``held``, how many micro-batches fit into memory together.
        judged: is told, over all workers, of each loss of the batch once.
    """
    loss.before_step(passes.call, step, passes.summed)
    (_paired if loss.paired else _single)(loss, step, passes, judged)


def _single(loss: ModelLoss[Any], step: Batch, passes: Passes, judged: Callable[[Judgement], None]) -> None:
    *earlier, last = step["micro"]
    for batch in (*earlier, last):
        with nullcontext() if batch is last else passes.alone():
            judgement = loss.judge(passes.call(batch), batch)
            weight = passes.workers / step["n_terms"] if batch["counts"] else 0.0
            passes.backward(judgement.losses.sum() * weight)
        if batch["counts"]:
            judged(judgement)


def _paired(loss: ModelLoss[Any], step: Batch, passes: Passes, judged: Callable[[Judgement], None]) -> None:
    def rewards(batch: Batch) -> torch.Tensor:
        return loss.rewards(passes.call(batch), batch)

    pieces = step["micro"]
    again, once = pieces[: -step["held"]], pieces[-step["held"] :]
    # What is dropped out in the first reading is dropped out in the second.
    with _same_random_numbers(once[0]["places"].device) if again else nullcontext():
        with torch.no_grad():
            known = [rewards(batch) for batch in again]
        held = []
        for i, batch in enumerate(once, 1):
            with passes.alone() if again or i < len(once) else nullcontext():
                held.append(rewards(batch))
    z = together(step, [*known, *held], passes.summed).requires_grad_()
    judgement = loss.compare(z, step["examples"])
    (slopes,) = torch.autograd.grad(judgement.losses.mean() * passes.workers, z)
    if passes.rank == 0:
        judged(judgement)

    def pulled(batch: Batch, own: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = (own * slopes[batch["places"]]).sum() * batch["counts"]
        return total

    with passes.alone() if again else nullcontext():
        passes.backward(torch.stack([pulled(batch, own) for batch, own in zip(once, held, strict=True)]).sum())
    del held
    for i, batch in enumerate(again, 1):
        with passes.alone() if i < len(again) else nullcontext():
            passes.backward(pulled(batch, rewards(batch)))


def together(step: Batch, rewards: Sequence[torch.Tensor], summed: Summed) -> torch.Tensor:
    """z of all rollouts of a batch [rollouts], from what each of this worker's micro-batches says of its own [rows]."""
    z: torch.Tensor = rewards[0].new_zeros(step["n_rollouts"])
    for batch, values in zip(step["micro"], rewards, strict=True):
        if batch["counts"]:
            z[batch["places"]] = values.detach()
    return summed(z)


def _same_random_numbers(device: torch.device) -> AbstractContextManager[Any]:
    """What is drawn inside is drawn again after."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    return torch.random.fork_rng(devices)
