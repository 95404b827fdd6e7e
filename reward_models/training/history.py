"""Training curves: what each step's examples looked like to the model, over all workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from bonbench.reward_models.training.model_losses import Judgement
from bonbench.reward_models.training.step import summed
from harness.core.workers import Progress

_PROGRESS_EVERY_S = 0.5
_COLUMNS = ("terms", "loss", "reward_accuracy", "margin", "step")

Row = dict[str, float]


class StepSums:
    """Sums over this worker's micro-batches of one step.

    ``notice`` is a number that a worker may set before they are taken, and ``noticed`` then the sum over all workers:
    so they agree on something without a message of its own.
    """

    def __init__(self) -> None:
        self._judged: list[torch.Tensor] = []
        self.notice = self.noticed = 0.0

    def add(self, judged: Judgement) -> None:
        values = [judged.losses, judged.rightly, judged.right, judged.wrong]
        sizes = [len(judged.losses), len(judged.right), len(judged.wrong)]
        sums = torch.stack([value.detach().sum().double() for value in values])
        self._judged.append(torch.cat([sums, sums.new_tensor(sizes)]))

    def take(self, device: torch.device) -> Row:
        """The step's row, over all workers: ``terms`` (losses), their mean ``loss``, the share judged rightly
        (``reward_accuracy``), and the mean value of right ones less that of wrong ones (``margin``; none where there
        is only one kind). Begins the next step."""
        notice = torch.tensor([0.0] * 7 + [self.notice], dtype=torch.float64, device=device)
        for sums in self._judged:
            notice[:7] += sums
        loss, rightly, right, wrong, terms, n_right, n_wrong, self.noticed = summed(notice).tolist()
        self._judged, self.notice = [], 0.0
        row = {"terms": terms, "loss": loss / terms, "reward_accuracy": rightly / terms}
        if n_right and n_wrong:
            row["margin"] = right / n_right - wrong / n_wrong
        return row


def steps_of(state: TrainerState) -> list[Row]:
    """The rows logged so far, a step each, those before a resumption included: their columns in one order.

    A checkpoint has the columns sorted by name.
    """
    return [{name: row[name] for name in _COLUMNS if name in row} for row in state.log_history if "terms" in row]


def summary(history: list[Row]) -> Row:
    """Loss and accuracy over the terms of the last quarter of the steps, and the mean of the steps' margins."""
    tail = history[-max(1, len(history) // 4) :]
    terms = sum(row["terms"] for row in tail)
    means = {key: sum(row[key] * row["terms"] for row in tail) / terms for key in ("loss", "reward_accuracy")}
    margins = [row["margin"] for row in tail if "margin" in row]
    return means | ({"margin": sum(margins) / len(margins)} if margins else {})


class Curves(TrainerCallback):  # type: ignore[misc]
    """Logs every step, and says now and then how far the training is.

    Args:
        sums: those of the step under way; they are taken at its end.
        log: the `transformers` Trainer's.
    """

    def __init__(self, sums: StepSums, log: Callable[[Row], None], progress: Progress) -> None:
        self._sums, self._log = sums, log
        self._progress = progress
        self._said = 0.0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._log(self._sums.take(args.device))
        now = time.monotonic()
        last = state.global_step == state.max_steps
        if not state.is_world_process_zero or (now - self._said < _PROGRESS_EVERY_S and not last):
            return
        self._said = now
        recent = summary(state.log_history[-40:])
        note = f"loss {recent['loss']:.3f}, accuracy {recent['reward_accuracy']:.2f}"
        self._progress(state.global_step, state.max_steps, note)


def tensorboard(output: Path) -> TrainerCallback:
    """Writes the curves as TensorBoard events (by tensorboardX, which Ray Train needs anyway)."""
    callback = TensorBoardCallback()
    callback.logging_dir = str(output / "tensorboard")
    return callback
