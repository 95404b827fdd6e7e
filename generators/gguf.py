"""GGUF files as models: converted once to a folder in `transformers` format, weights in bfloat16.

Whoever loads a model then meets folders alone: sampler, reward model or trainer. ``harness.experiment.entries`` finds
this converter by the file's suffix, through the entry points ``bonbench.model_formats``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.core.errors import UserError, shortened
from harness.core.files import cache_folder, put_in_place


def to_folder(file: Path, digest: str) -> Path:
    """The folder that ``file`` is converted to; ``digest`` identifies the file's content.

    It lies in the cache folder (:func:`harness.core.files.cache_folder`), which has one folder per content. A folder
    appears when it is complete. If several processes convert the same file at once, the first copy stays, and all
    copies are equal.

    Raises:
        UserError: for a file that is not GGUF, or holds a model that `transformers` cannot read from it.
    """
    try:
        folder = cache_folder() / "gguf" / f"{file.stem}-{digest[:16]}"
    except RuntimeError as error:
        raise UserError(f"{file} has to be converted, and there is no folder for that: set $BONBENCH_CACHE") from error
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        _convert(file, temporary)
        put_in_place(temporary, folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was first
            raise UserError(
                f"{folder} cannot be written: {error.strerror or error}; $BONBENCH_CACHE names another"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    from bonbench.generators.loading import check_complete

    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UserError(f"{file} is not a GGUF file")
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
        model, info = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            trust_remote_code=False,
        )
    except Exception as error:  # whatever a reader meets in a damaged file or an unknown architecture
        raise UserError(f"{file} cannot be converted: {shortened(str(error))}") from error
    check_complete(model, info, str(file))
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # the saved weights are plain ones
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
