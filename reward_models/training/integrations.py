"""Services that curves are sent to, by the integrations of `transformers`: wandb, mlflow, tensorboard and others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserError, one_line

if TYPE_CHECKING:
    from transformers import Trainer


def check_integrations(names: Sequence[str]) -> None:
    """Refuse an integration that `transformers` does not know, or whose package is not there.

    Raises:
        UserError: for the first such name.
    """
    if not names:
        return
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    known = INTEGRATION_TO_CALLBACK
    for name in names:
        if name not in known:
            raise UserError(f"report_to: {name!r} is none of {', '.join(sorted(known))}")
        try:
            known[name]()
        except (ImportError, RuntimeError) as error:  # it says what to install
            raise UserError(f"report_to: {name}: {one_line(error)}") from None


def write_here(trainer: Trainer, output: Path) -> None:
    """Have event files of TensorBoard written to ``output``, where they are asked for (by tensorboardX, say)."""
    from transformers.integrations import TensorBoardCallback

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):
            callback.logging_dir = str(output / "tensorboard")
