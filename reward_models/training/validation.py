"""How a training does on problems that are kept apart: the same losses, without gradient, over all workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bonbench.reward_models.training.history import Row, StepSums
from bonbench.reward_models.training.model_losses import Batch, Judgement, ModelLoss
from bonbench.reward_models.training.params import VALIDATIONS
from bonbench.reward_models.training.schedule import Steps
from bonbench.reward_models.training.step import Passes, together


def looks(steps: int) -> list[int]:
    """After how many of the steps the problems are looked at: before the first, about every tenth, after the last."""
    return sorted({round(i * steps / VALIDATIONS) for i in range(VALIDATIONS + 1)})


class Validation(TrainerCallback):  # type: ignore[misc]
    """Looks at the problems and logs what it sees, as ``eval_loss``, ``eval_reward_accuracy`` and ``eval_margin``.

    Args:
        batches: what this worker has of each batch of them.
        look: tells of a batch's losses, over all workers of each one once.
        log: the `transformers` Trainer's.
    """

    def __init__(
        self,
        batches: Steps,
        look: Callable[[Batch, Callable[[Judgement], None]], None],
        log: Callable[[Row], None],
    ) -> None:
        self._batches, self._look, self._log = batches, look, log

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == 0:  # else it goes on from where it was killed
            self._see(args)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step in looks(state.max_steps):
            self._see(args)

    def _see(self, args: TrainingArguments) -> None:
        sums = StepSums()
        for number in range(len(self._batches)):
            self._look(self._batches[number], sums.add)
        self._log({f"eval_{name}": value for name, value in sums.take(args.device).items() if name != "terms"})


@torch.no_grad()
def look(loss: ModelLoss[Any], step: Batch, passes: Passes, judged: Callable[[Judgement], None]) -> None:
    """Tell what :func:`reward_models.training.step.go` tells of a batch, without going backward."""
    loss.before_step(passes.call, step, passes.summed)
    micro = step["micro"]
    if loss.paired:
        z = together(step, [loss.rewards(passes.call(batch), batch) for batch in micro], passes.summed)
        if passes.rank == 0:
            judged(loss.compare(z, step["examples"]))
        return
    for batch in micro:
        judgement = loss.judge(passes.call(batch), batch)
        if batch["counts"]:
            judged(judgement)
