"""An engine of vLLM that reads texts and samples nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bonbench.generators.vllm_engine import Engine
from bonbench.generators.vllm_start import find_vllm, on_cpu, start_engine, stored_dtype
from bonbench.reward_models.vllm.params import EngineParams
from harness.core.errors import cannot_load
from harness.core.hub_models import pretrained

_LONG = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


def model_config(model: str) -> Any:
    """The `transformers` config of a model.

    Raises:
        UserError: where there is none, or none that transformers knows.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(**pretrained(model))
    except Exception as error:  # a wrong value in a config.json raises whatever the config's code meets first
        raise cannot_load(model, error) from error


def positions(config: Any) -> int | None:
    """The tokens that a model's positions reach; None where its config does not say."""
    reach: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return reach


def start(model: str, dtype: str, params: EngineParams, **arguments: Any) -> Engine:
    """An engine for a model.

    Args:
        dtype: "auto" is as the model is stored on a GPU, and float32 on a CPU.
        arguments: of the engine, for what it is to do; None is vLLM's own value.

    Raises:
        UserError: when vLLM is not installed, rejects its arguments or cannot load the model.
    """
    find_vllm()
    if dtype == "auto":
        dtype = "float32" if on_cpu() else stored_dtype(model_config(model))
    own = {name: value for name, value in {"dtype": dtype, **arguments}.items() if value is not None}
    with _one_more_token():
        return start_engine(model, params.tensor_parallel_size, params.pipeline_parallel_size, own, params.engine)


@contextmanager
def _one_more_token() -> Iterator[None]:
    """Let an engine that starts take texts as long as its model's positions reach, and room for a token after them.

    That token is sampled and never read. Other engines of this process must not be allowed as much.
    """
    before = os.environ.get(_LONG)
    os.environ.setdefault(_LONG, "1")
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LONG]
