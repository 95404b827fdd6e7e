"""Training of implicit process reward models from rollouts labelled right or wrong."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness.records import GradedSolution
from harness.registry import ComponentParams, ModelPath, Trainer, UserError

if TYPE_CHECKING:
    from reward_models.training.data import Rollouts

#: Where the first worker says how far it is, in the output folder.
PROGRESS_FILE = "progress.json"
#: Ray Train looks after workers every 2 s and counts its own seconds; most trainings here take few.
#: It also gives up on workers that wait a minute for their CPUs, which other stages may hold for hours.
_RAY_TRAIN_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "864000",
}
#: Seconds between looks at how far the workers are.
_POLL_S = 0.5


class ImplicitTrainerParams(ComponentParams):
    """Parameters of :class:`ImplicitTrainer`; the defaults are the paper's.

    ``responses`` takes the first so many rollouts of each problem. ``batch_size`` counts pairs (dpo) or
    responses (ce) per step, over all workers. ``pairs``: "all" correct x incorrect pairs of a problem (the paper's
    code), or "one" counterpart for each correct response (the paper's text). The learning rate rises over the
    first ``warmup`` (share of the steps), then falls on a cosine to ``min_lr`` (share of ``lr``). Solutions
    longer than ``max_length`` tokens with their prompt are left out. ``max_batch_tokens`` is what goes
    through a worker at once, padding included: it sets gradient accumulation. ``fsdp`` shards the model over the
    workers. Precision "auto" is bfloat16 autocast on GPUs, float32 on CPUs.
    """

    base: ModelPath
    objective: Literal["dpo", "ce"] = "dpo"
    beta: float = Field(0.05, gt=0)
    lr: float = Field(5e-7, gt=0)
    epochs: int = Field(1, ge=1)
    responses: int = Field(8, ge=1)
    pairs: Literal["all", "one"] = "all"
    batch_size: int = Field(64, ge=1)
    warmup: float = Field(0.03, ge=0, lt=1)
    min_lr: float = Field(0.1, ge=0, le=1)
    max_length: int = Field(8192, ge=2)
    max_batch_tokens: int = Field(16384, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    seed: int = 0
    workers: int = Field(1, ge=1)
    cpus_per_worker: int = Field(1, ge=1)
    gpus_per_worker: int = Field(0, ge=0, le=1)
    fsdp: bool = False


class ImplicitTrainer(Trainer[ImplicitTrainerParams]):
    """Fits z = beta * log pi/pi_ref of whole responses to their correctness, by dpo on pairs or ce on single ones.

    Runs the `transformers` Trainer under Ray Train. The reference's log-probabilities come with the data, so
    only the policy is in memory. On one kind of machine, the same data give the same weights, bit for bit.

    Raises:
        UserError: when the rollouts hold nothing to learn from.
    """

    Params = ImplicitTrainerParams

    @classmethod
    def check(cls, params: ImplicitTrainerParams) -> None:
        if params.objective == "dpo" and params.responses < 2:
            raise UserError("responses: dpo needs at least 2 responses per problem to make a pair")

    @classmethod
    def token_passes(cls, params: ImplicitTrainerParams) -> dict[str, str]:
        return {"reference": params.base}

    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Callable[[int, int, str], None]
    ) -> dict[str, Any]:
        """Train on ``data`` and write model, tokenizer and generation config to ``output``.

        Returns:
            ``config``; ``train_tokens`` and ``train_positions`` as :class:`harness.registry.Trainer` asks;
            ``n_examples``, ``n_pairs``, ``n_responses`` trained on; ``dropped`` (reason -> responses);
            ``steps``; ``loss``, ``reward_accuracy`` and ``margin``, over the last quarter of the steps as the first
            worker saw them. ``reward_accuracy`` is the share of examples ranked (dpo) or classified (ce)
            rightly, ``margin`` the mean z of right responses less that of wrong ones.
        """
        from reward_models.training.data import build_rollouts

        rollouts, dropped = build_rollouts(data, self.params)
        facts = self._fit(rollouts, output.resolve(), progress)
        return {**facts, "dropped": dropped}

    def _fit(self, rollouts: Rollouts, output: Path, progress: Callable[[int, int, str], None]) -> dict[str, Any]:
        from ray.train import RunConfig, ScalingConfig
        from ray.train.v2.api.config import LoggingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        params = self.params
        # A lone worker needs no process group; without one, Ray's controller and this process start without torch.
        kind = DataParallelTrainer
        if params.workers > 1:
            from ray.train.torch import TorchTrainer

            kind = TorchTrainer
        for variable, value in _RAY_TRAIN_SETTINGS.items():
            os.environ.setdefault(variable, value)
        # Workers run in a folder of their own, where a relative path means another file.
        base = str(Path(params.base).resolve()) if Path(params.base).is_dir() else params.base
        scratch = output / "ray"
        resources = {"CPU": params.cpus_per_worker, "GPU": params.gpus_per_worker}
        trainer = kind(
            _train_worker,
            train_loop_config={
                "params": {**params.model_dump(), "base": base},
                "rollouts": rollouts,
                "output": str(output),
            },
            scaling_config=ScalingConfig(
                num_workers=params.workers, use_gpu=params.gpus_per_worker > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(
                name="train", storage_path=str(scratch), logging_config=LoggingConfig(log_level="ERROR")
            ),
        )
        done: list[Any] = []

        def fit() -> None:
            try:
                done.append(trainer.fit())
            except Exception as error:
                done.append(error)

        thread = threading.Thread(target=fit, daemon=True)
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
        return dict(done[0].return_value)


def _train_worker(config: dict[str, Any]) -> dict[str, Any]:
    from reward_models.training.loop import train_worker

    return train_worker(config)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
