"""Training curves: what each step's examples looked like to the model, over all workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bonbench.reward_models.training.model_losses import Judgement
from bonbench.reward_models.training.step import summed
from harness.core.errors import UserError
from harness.core.workers import Progress

_PROGRESS_EVERY_S = 0.5
#: A row's columns in history.jsonl, by what they are called in the log. `transformers` shows what begins with "eval_"
#: as curves of their own. What a clock says is in the log alone: history.jsonl is the same when a training is repeated.
_COLUMNS = {
    **{name: name for name in ("terms", "loss", "reward_accuracy", "margin", "learning_rate", "gradient_norm")},
    **{f"eval_{name}": f"validation_{name}" for name in ("loss", "reward_accuracy", "margin")},
    "step": "step",
}

Row = dict[str, float]


class StepSums:
    """Sums over this worker's micro-batches of one step.

    ``notice`` is a number that a worker may set before they are taken, and ``noticed`` then the sum over all workers:
    so they agree on something without a message of its own. ``gradient_norm`` is that of the step's gradients over all
    workers, before they are clipped.
    """

    def __init__(self) -> None:
        self._judged: list[torch.Tensor] = []
        self.notice = self.noticed = 0.0
        self.gradient_norm: torch.Tensor | float = 0.0

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


def history(state: TrainerState) -> list[Row]:
    """The rows logged so far, those before a resumption included: their columns in one order.

    There is one for each step, with the ``terms`` that it learnt from, and one for each look at problems kept apart,
    whose ``step`` is how many steps the model had behind it.
    """
    rows = [{name: row[key] for key, name in _COLUMNS.items() if key in row} for row in state.log_history]
    return [row for row in rows if "terms" in row or "validation_loss" in row]


def summary(rows: list[Row]) -> dict[str, Any]:
    """Loss and accuracy over the terms of the last quarter of the steps, and the mean of the steps' margins.

    ``validation`` is what was seen of problems kept apart, where there are any, before the first step and after the
    last.
    """
    steps = [row for row in rows if "terms" in row]
    tail = steps[-max(1, len(steps) // 4) :]
    terms = sum(row["terms"] for row in tail)
    means = {key: sum(row[key] * row["terms"] for row in tail) / terms for key in ("loss", "reward_accuracy")}
    margins = [row["margin"] for row in tail if "margin" in row]
    found: dict[str, Any] = means | ({"margin": sum(margins) / len(margins)} if margins else {})
    looks = [_without_prefix(row) for row in rows if "validation_loss" in row]
    return found | ({"validation": {"before": looks[0], "after": looks[-1]}} if looks else {})


def _without_prefix(row: Row) -> Row:
    return {name.removeprefix("validation_"): value for name, value in row.items() if name != "step"}


def diverged(what: str, args: TrainingArguments) -> UserError:
    """What ends a training whose numbers are not finite any more: nothing that it goes on to learn is worth saving."""
    return UserError(
        f"{what}: the training is stopped and its model is not saved. Lower lr (it is {args.learning_rate:g}), or look "
        "for such numbers in the weights of its base"
    )


class Curves(TrainerCallback):  # type: ignore[misc]
    """Logs every step, and says now and then how far the training is. The first loss or gradient that is not finite
    ends it.

    Args:
        sums: those of the step under way; they are taken at its end.
        log: the `transformers` Trainer's.
        tokens: how many each step learns from, over all workers.
    """

    def __init__(self, sums: StepSums, log: Callable[[Row], None], progress: Progress, tokens: Sequence[int]) -> None:
        self._sums, self._log = sums, log
        self._progress, self._tokens = progress, tokens
        self._said = self._began = self._learning_rate = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._began = time.perf_counter()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._learning_rate = kwargs["lr_scheduler"].get_last_lr()[0]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Log the step.

        Raises:
            UserError: at every worker, where its loss or its gradient is not finite.
        """
        row = self._sums.take(args.device)
        row |= {"learning_rate": self._learning_rate, "gradient_norm": float(self._sums.gradient_norm)}
        for what in ("loss", "gradient_norm"):
            if not math.isfinite(row[what]):
                raise diverged(f"the {what.replace('_', ' ')} of step {state.global_step} is {row[what]}", args)
        speed = self._tokens[state.global_step - 1] / (time.perf_counter() - self._began)
        self._log(row | {"tokens_per_second": speed})
        now = time.monotonic()
        last = state.global_step == state.max_steps
        if not state.is_world_process_zero or (now - self._said < _PROGRESS_EVERY_S and not last):
            return
        self._said = now
        recent = summary(history(state)[-40:])
        note = f"loss {recent['loss']:.3f}, accuracy {recent['reward_accuracy']:.2f}, {speed:,.0f} tokens/s"
        self._progress(state.global_step, state.max_steps, note)
