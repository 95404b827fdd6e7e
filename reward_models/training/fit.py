"""Runs a training under Ray Train, from the driver's side."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonbench.reward_models.training.params import TrainingParams
from harness.core.components import TrainingFacts

if TYPE_CHECKING:
    from bonbench.reward_models.training.data import Rollouts

#: Where the first worker says how far it is, in the output folder.
PROGRESS_FILE = "progress.json"
#: Where it saves the state from which a killed training goes on.
CHECKPOINTS = "checkpoints"
#: How often the workers are started again, from the last checkpoint, when one of them dies.
_RESTARTS = 2
#: Ray Train looks after workers every 2 s and counts its own seconds; most trainings here take few.
#: It also gives up on workers that wait a minute for their CPUs, which other stages may hold for hours.
_RAY_TRAIN_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "864000",
}
#: Seconds between looks at how far the workers are.
_POLL_S = 0.5

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What the workers are to do: train ``model`` by ``task`` (of ``reward_models.training.tasks``) on ``rollouts``."""

    task: str
    params: TrainingParams
    rollouts: Rollouts
    model: str
    output: Path


def fit(job: Job, progress: Progress) -> TrainingFacts:
    """Train, and write model, tokenizer and ``history.jsonl`` to ``job.output``.

    A job that was killed goes on from its last checkpoint when it is run again with the same output folder, to the same
    weights.

    Returns:
        The facts, with ``steps`` in ``extra``, and ``loss``, ``reward_accuracy``, ``margin`` of the last quarter of the
        steps. ``reward_accuracy`` is the share of pairs ranked rightly, or of responses or steps classified rightly,
        and ``margin`` the mean value of right ones less that of wrong ones.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.config import LoggingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    params, output = job.params, job.output
    # A lone worker needs no process group; without one, Ray's controller and this process start without torch.
    kind = DataParallelTrainer
    if params.workers > 1:
        from ray.train.torch import TorchTrainer

        kind = TorchTrainer
    for variable, value in _RAY_TRAIN_SETTINGS.items():
        os.environ.setdefault(variable, value)
    scratch = output / "ray"
    shutil.rmtree(scratch, ignore_errors=True)
    trainer = kind(
        _train_worker,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=params.workers,
            use_gpu=params.gpus_per_worker > 0,
            resources_per_worker={"CPU": params.cpus_per_worker, "GPU": params.gpus_per_worker},
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(scratch),
            failure_config=FailureConfig(max_failures=_RESTARTS),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(trainer.fit())
        except Exception as error:
            done.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_S)
            state = _read(output / PROGRESS_FILE)
            if state:
                progress(state["done"], state["total"], state["note"])
    finally:
        (output / PROGRESS_FILE).unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
    if isinstance(done[0], Exception):
        failures = getattr(done[0], "worker_failures", {}) or {0: done[0]}
        raise RuntimeError(f"training failed: {next(iter(failures.values()))}") from done[0]
    shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)
    return done[0].return_value  # type: ignore[no-any-return]


def absolute(model: str) -> str:
    """A model folder's absolute path: workers run in a folder of their own. A hub id is left as it is."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _train_worker(config: dict[str, Any]) -> TrainingFacts:
    from bonbench.reward_models.training.loop import train_worker

    return train_worker(config["job"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
