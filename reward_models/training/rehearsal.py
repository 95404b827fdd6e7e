"""What could refuse a training at its end, or at its beginning hours from now, tried before the hours are spent.

There are two rehearsals. One comes before anything is computed for the training, where its base is on this machine: it
reads no weights, only their names and shapes. The other one comes when the workers have loaded the base, before the
first step: what is not a weight is saved as it will be at the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils import logging as transformers_logging

from bonbench.reward_models.training.chosen import Encoder
from bonbench.reward_models.training.lora import with_adapters
from bonbench.reward_models.training.model_losses import MODEL_LOSSES, ModelLoss, savable
from bonbench.reward_models.training.params import TrainingParams
from harness.core.errors import UserError, cannot_load, one_line
from harness.core.hub_models import config_file, pretrained
from harness.core.records import Problem, Response, Solution

#: Where the second rehearsal saves, in the output folder.
_FOLDER = "rehearsal"
_SOLUTION = Solution(
    Problem("rehearsal", "What is 1 + 1?", "2"), Response("rehearsal", "", 0, "1 + 1 = 2.", finish_reason="stop")
)


def rehearse(loss: str, params: TrainingParams, encoder: Encoder) -> None:
    """Try what a training by a ``loss`` (of ``training.model_losses``) does with its base, without the base's weights.

    A base that is not on this machine is not looked for, and a model file that is still to be converted is not read.

    Raises:
        UserError: for a base that cannot be loaded for this training, lacks weights, gives texts that cannot be
            encoded, has no layer of the adapters' names, or could not be saved.
    """
    config = config_file(params.base)
    if config is None or not config.is_file():
        return
    with _quietly():
        try:
            tokenizer = AutoTokenizer.from_pretrained(**pretrained(params.base))
        except Exception as error:
            raise cannot_load(f"the tokenizer of {params.base}", error) from error
        encoder(params)([_SOLUTION])
        objective = MODEL_LOSSES[loss](params)
        model = _without_weights(objective, params.base, config.parent)
        if params.lora is not None:
            with_adapters(model, params.lora, objective.head)
            model = _without_weights(objective, params.base, config.parent)  # what is saved has no adapters
        _check_saving(model, tokenizer)


def rehearse_saving(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, output: Path, dtype: torch.dtype
) -> None:
    """Save all but the weights of a loaded base, which will be saved in ``dtype``, and see that there is room for them.

    Raises:
        UserError: where that fails: the trained model could not be saved either.
    """
    folder = output / _FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _save(model, tokenizer, folder)
        free = shutil.disk_usage(output).free
    except OSError as error:
        raise UserError(f"{output}: the trained model could not be saved there: {one_line(error)}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    needed = sum(weights.numel() for weights in model.parameters()) * dtype.itemsize
    if needed > free:
        sizes = f"{needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free"
        raise UserError(f"{output}: the trained model takes {sizes}: make room")


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save all of a model but its weights.

    Raises:
        UserError: where `transformers` refuses to.
        OSError: where the folder cannot be written.
    """
    with _quietly():
        try:
            model.save_pretrained(folder, state_dict={})
            tokenizer.save_pretrained(folder)
        except OSError:
            raise
        except Exception as error:  # whatever a config's own check raises
            name = model.config.name_or_path or type(model).__name__
            raise UserError(f"{name}: a model trained from it could not be saved: {one_line(error)}") from error


def _check_saving(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="bonbench-") as folder:
        _save(savable(model), tokenizer, Path(folder))


def _without_weights(loss: ModelLoss[Any], base: str, folder: Path) -> PreTrainedModel:
    """The model of a training, with weights that have a shape and no content.

    Raises:
        UserError: where it cannot be made, or its files lack weights.
    """
    try:
        config = AutoConfig.from_pretrained(**pretrained(base), **loss.config)
        with torch.device("meta"):
            model: PreTrainedModel = loss.kind.from_config(config)
        shapes = _shapes(folder)
    except Exception as error:  # a wrong value in a config.json raises whatever the model's code meets first
        raise cannot_load(base, error) from error
    if shapes is not None and (info := _found(type(model), config, shapes)) is not None:
        _check_complete(base, type(model), info, loss.head)
    if model.can_generate() and (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(str(folder), trust_remote_code=False)
    return model


def _found(kind: type[PreTrainedModel], config: Any, shapes: dict[str, torch.Tensor]) -> dict[str, Any] | None:
    """What `transformers` says of weights of these names and shapes; None where it wants to see what is in them."""
    try:
        _, info = kind.from_pretrained(
            None,
            config=config,
            state_dict=shapes,
            device_map={"": "meta"},
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except Exception:  # a conversion of its own: the workers will say what is wrong, if anything is
        return None
    return dict(info)


def _check_complete(base: str, kind: type[PreTrainedModel], info: dict[str, Any], head: str | None) -> None:
    """Raise :class:`UserError` for weights that are not there, or of another shape; the new head is never there."""
    new = () if head is None else (f"{head}.",)
    if missing := sorted(key for key in info["missing_keys"] if not key.startswith(new)):
        raise UserError(f"{base} lacks weights of {kind.__name__}: {', '.join(missing[:4])}")
    if mismatched := sorted(key for key, *_ in info["mismatched_keys"] if not key.startswith(new)):
        raise UserError(f"{base} has weights of another shape than {kind.__name__}: {', '.join(mismatched[:4])}")


def _shapes(folder: Path) -> dict[str, torch.Tensor] | None:
    """The weights of safetensors files by name, without content; None where the weights are in another format."""
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if (folder / SAFE_WEIGHTS_NAME).is_file():
        files = {SAFE_WEIGHTS_NAME}
    elif index.is_file():
        files = set(json.loads(index.read_text())["weight_map"].values())
    else:
        return None
    shapes = {}
    for name in sorted(files):
        with safe_open(folder / name, "pt") as file:
            for key in file.keys():  # noqa: SIM118  it is no mapping
                shapes[key] = torch.empty(file.get_slice(key).get_shape(), device="meta")
    return shapes


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the progress bars and warnings of `transformers`."""
    verbosity = transformers_logging.get_verbosity()
    shows = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shows:
            transformers_logging.enable_progress_bar()
