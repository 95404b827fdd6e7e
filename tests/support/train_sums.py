"""A program that trains, to be killed: ``train_sums.py BASE OUTPUT`` prints ``step DONE TOTAL`` as it goes."""

from __future__ import annotations

import sys
from pathlib import Path

from training_data import graded_sums

from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.params import ImplicitTrainerParams
from harness.engine.ray_training import launch_on_ray


def parameters(base: str) -> ImplicitTrainerParams:
    return ImplicitTrainerParams(
        base=base, objective="kto", beta=0.5, lr=1e-3, epochs=30, batch_size=8, checkpoint_steps=7, responses=4
    )


if __name__ == "__main__":
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    base, output = sys.argv[1:]
    ImplicitTrainer(parameters(base)).train(
        graded_sums(base), Path(output), lambda done, total, note: print("step", done, total, flush=True), launch_on_ray
    )
