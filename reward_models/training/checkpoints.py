"""Checkpoints by the clock, that can be trusted after a kill."""

from __future__ import annotations

import shutil
from pathlib import Path
from time import monotonic
from typing import Any

import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bonbench.reward_models.training.history import StepSums

_COMPLETE = "complete"


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Has the state saved every so many minutes, and keeps the last one that all workers have written.

    The last step, after which nothing is left to do, has no checkpoint: the trained folder is written next.

    Args:
        minutes: between two of them, and before the first.
        sums: those of the step under way. With them the other workers hear what the first one's clock says.
    """

    def __init__(self, minutes: float, sums: StepSums) -> None:
        self._seconds, self._sums = 60 * minutes, sums
        self._last = monotonic()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and monotonic() - self._last >= self._seconds:
            self._sums.notice = 1.0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_save = self._sums.noticed > 0 and state.global_step < state.max_steps

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if dist.is_initialized():
            dist.barrier()
        self._last = monotonic()
        if not state.is_world_process_zero:
            return
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (saved / _COMPLETE).touch()
        # Only now: until here the one before was the last that was complete.
        for other in saved.parent.glob("checkpoint-*"):
            if other != saved:
                shutil.rmtree(other, ignore_errors=True)


def last_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint in a `transformers` output folder."""
    complete = [marker.parent for marker in folder.glob(f"checkpoint-*/{_COMPLETE}")]
    return max(complete, key=steps_done, default=None)


def steps_done(checkpoint: Path | None) -> int:
    """Optimizer steps behind a checkpoint; 0 without one."""
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
