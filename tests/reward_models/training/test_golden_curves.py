"""The losses of the first twelve steps of every kind of training, as they were when they were last looked at.

All other tests compare a training with itself, or with an inequality. These notice a library, or a change here, that
moves every training. ``python tests/reward_models/training/test_golden_curves.py`` writes them anew: a change of theirs
wants a reason.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path += [str(Path(__file__).parents[3]), str(Path(__file__).parents[2] / "support")]

import torch
from tiny_models import make_model
from training_data import curve, graded_sums

from bonbench.reward_models.training.autopsv import AutoPSVTrainer
from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.outcome import OutcomeTrainer
from bonbench.reward_models.training.step_token import StepTokenTrainer
from harness.core.records import GradedSolution
from harness.core.trainer import Trainer
from harness.engine.local_executor import in_this_process

FILE = Path(__file__).with_name("golden_curves.json")
STEPS = 12
COMMON = {"lr": 2e-4, "batch_size": 16, "epochs": 2, "responses": 4}
TRAININGS: dict[str, tuple[type[Trainer[Any]], dict[str, Any]]] = {
    "dpo": (ImplicitTrainer, {"objective": "dpo", "beta": 0.1, "batch_size": 8}),
    "nca": (ImplicitTrainer, {"objective": "nca", "beta": 0.1, "batch_size": 8}),
    "kto": (ImplicitTrainer, {"objective": "kto", "beta": 0.1}),
    "ce": (ImplicitTrainer, {"objective": "ce", "beta": 0.1}),
    "ce, steps": (ImplicitTrainer, {"objective": "ce", "beta": 0.1, "level": "step"}),
    "bce": (OutcomeTrainer, {"objective": "bce"}),
    "bradley-terry": (OutcomeTrainer, {"objective": "bradley-terry", "batch_size": 8}),
    "step-token": (StepTokenTrainer, {}),
    "autopsv": (AutoPSVTrainer, {}),
}


def losses(name: str, base: str, data: list[GradedSolution], output: Path) -> list[float]:
    """The first losses of a training, four digits each."""
    kind, params = TRAININGS[name]
    output.mkdir()
    torch.set_num_threads(1)
    trainer = kind(kind.Params.model_validate({"base": base, **COMMON, **params}), name)
    trainer.train(data, output, lambda *_: None, in_this_process)
    return [float(f"{row['loss']:.4g}") for row in curve(output)[:STEPS]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def data(base: str) -> list[GradedSolution]:
    return graded_sums(base)


@pytest.mark.parametrize("name", TRAININGS)
def test_losses_are_what_they_were(base: str, data: list[GradedSolution], tmp_path: Path, name: str) -> None:
    golden = json.loads(FILE.read_text())[name]
    assert len(golden) == STEPS
    # Rounding differs between processors, and Adam carries it on: a digit more than that is a change.
    np.testing.assert_allclose(losses(name, base, data, tmp_path / "out"), golden, rtol=2e-3, atol=1e-4)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "base", width=64)
        sums = graded_sums(model)
        curves = {name: losses(name, model, sums, Path(folder) / str(i)) for i, name in enumerate(TRAININGS)}
    FILE.write_text("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in curves.items()) + "\n}\n")
