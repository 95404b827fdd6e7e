"""A training as its workers are given it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bonbench.reward_models.training.params import TrainingParams

if TYPE_CHECKING:  # it imports `transformers`
    from bonbench.reward_models.training.data import Rollouts

#: Where the first worker saves the state from which a killed training goes on, in the output folder.
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class Job:
    """What the workers are to do: train ``model`` on ``rollouts`` by a ``loss`` (of ``training.model_losses``).

    ``name`` is what the training is called where its curves are sent.
    """

    loss: str
    params: TrainingParams
    rollouts: Rollouts
    model: str
    output: Path
    name: str = ""


def absolute(model: str) -> str:
    """A model folder's absolute path: workers run in a folder of their own. A hub id is left as it is."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model
