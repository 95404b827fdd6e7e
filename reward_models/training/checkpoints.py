"""Checkpoints that can be trusted after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_COMPLETE = "complete"


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint once every worker has written its part. The last step, after which nothing is left to do, has
    none: the trained folder is written next."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == state.max_steps:
            control.should_save = False

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if dist.is_initialized():
            dist.barrier()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint in a `transformers` output folder."""
    complete = [marker.parent for marker in folder.glob(f"checkpoint-*/{_COMPLETE}")]
    return max(complete, key=steps_done, default=None)


def steps_done(checkpoint: Path | None) -> int:
    """Optimizer steps behind a checkpoint; 0 without one."""
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
