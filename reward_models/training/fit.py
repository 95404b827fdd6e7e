"""Runs a training: its job goes to the workers that a launcher starts."""

from __future__ import annotations

import shutil

from bonbench.reward_models.training.job import CHECKPOINTS, Job
from harness.core.errors import UserError, one_line
from harness.core.memory import is_short
from harness.core.trainer import TrainingFacts
from harness.core.workers import Launcher, Progress


def fit(job: Job, progress: Progress, launch: Launcher) -> TrainingFacts:
    """Train, and write model, tokenizer and ``history.jsonl`` to ``job.output``.

    A job that was killed goes on from its last checkpoint when it is run again with the same output folder: to the same
    weights on CPUs, and with the same data in the same order on GPUs.

    Returns:
        The facts, with ``steps`` in ``extra``, and ``loss``, ``reward_accuracy``, ``margin`` of the last quarter of the
        steps. ``reward_accuracy`` is the share of pairs ranked rightly, or of responses or steps classified rightly,
        and ``margin`` the mean value of right ones less that of wrong ones.
    """
    facts = launch(_train, job, job.params.in_workers(), job.output / "workers", progress)
    shutil.rmtree(job.output / CHECKPOINTS, ignore_errors=True)
    return facts


def _train(job: Job, progress: Progress) -> TrainingFacts:
    from bonbench.reward_models.training.loop import train_worker

    try:
        return train_worker(job, progress)
    except Exception as error:
        if not is_short(error):
            raise
        # Halved here it would give other last bits than its key stands for.
        raise UserError(
            f"a worker has too little memory to train with max_batch_tokens: {job.params.max_batch_tokens}. Lower it, "
            f"or set gradient_checkpointing or fsdp ({one_line(error)})"
        ) from error
