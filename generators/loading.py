"""Loads a model with `transformers`, whole or not at all. Samplers, reward models and trainers load with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils import find_adapter_config_file
from transformers.utils import logging as transformers_logging

from harness.core.devices import check_fits
from harness.core.errors import UserError, cannot_load
from harness.core.hub_models import pretrained
from harness.core.memory import is_short
from harness.core.weight_files import check_weights, refuse_adapter

#: Weights of a checkpoint's body that no model needs: what is computed from the config, and the other senses of a
#: multimodal model whose language model alone is loaded.
_NEEDLESS = re.compile(
    r"inv_freq$|rotary_emb|masked_bias$|(attn|attention)\.bias$|position_ids$|num_batches_tracked$|(^|\.)mtp\."
    r"|vision|visual|image|audio|speech|multi_modal|mm_projector|projector"
)
#: Heads that PPO puts beside the head of the policy itself.
_VALUE_HEAD = re.compile(r"^(v_head|value_head)\.")


def load_model(kind: Any, model: str, new_head: str | None = None, **options: Any) -> PreTrainedModel:
    """A model of a `transformers` class, or auto class.

    `transformers` makes up the weights that a checkpoint lacks, and leaves out those that the class does not have. Here
    a checkpoint must have what the class has, and must not have more of its body.

    Args:
        new_head: a layer that need not be in the checkpoint: it is trained from nothing.
        options: of ``from_pretrained``: where the model goes, in what precision, and values of its config.

    Raises:
        UserError: when there is no such model, it is none of this kind, or its weights are not those of the kind.
    """
    transformers_logging.disable_progress_bar()
    folder = Path(model)
    try:
        if folder.is_dir():
            refuse_adapter(folder)
            check_weights(folder)
        elif find_adapter_config_file(**_found(model)):
            raise UserError(f"{model} is a PEFT adapter, which is nothing without its base: name a whole model")
        loaded, info = kind.from_pretrained(
            **pretrained(model),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    except UserError:
        raise
    except Exception as error:  # a wrong value in a config.json raises whatever the model's code meets first
        if is_short(error):
            raise
        raise cannot_load(model, error) from error
    check_complete(loaded, info, model, new_head)
    check_fits(loaded, model)
    return loaded  # type: ignore[no-any-return]


def check_numbers(logits: torch.Tensor, model: str) -> None:
    """Refuse logits of a model that are no numbers; -inf is one: of a token that the model rules out.

    Args:
        logits: [..., vocabulary], of any text.

    Raises:
        UserError: for NaN and infinity.
    """
    if not (logits < torch.inf).all():  # NaN is not, either
        raise UserError(
            f"{model} gives logits that are NaN or infinite: look for such numbers in its weights, and for 16-bit ones "
            "that overflow (dtype: float32)"
        )


def check_complete(loaded: PreTrainedModel, info: dict[str, Any], model: str, new_head: str | None = None) -> None:
    """Refuse a model some of whose weights are made up, or left out.

    Args:
        info: what ``from_pretrained`` tells of the loading.

    Raises:
        UserError: naming the weights.
    """
    name = type(loaded).__name__
    missing = {key for key in info["missing_keys"] if new_head is None or not key.startswith(f"{new_head}.")}
    if missing:
        raise UserError(f"{model} lacks weights of {name}: {_some(missing)}")
    if mismatched := {key for key, *_ in info["mismatched_keys"]}:
        raise UserError(f"{model} has weights of another shape than {name}: {_some(mismatched)}")
    if left_out := {key for key in info["unexpected_keys"] if not _may_be_left_out(key, loaded)}:
        raise UserError(
            f"{model} has weights that {name} leaves out, so it is another model, or its config.json is of another: "
            f"{_some(left_out)}"
        )


def check_tokens(model: PreTrainedModel, largest: int, name: str) -> None:
    """Refuse a token that a model does not have: a GPU would stop all of its process at it.

    Raises:
        UserError: naming the token.
    """
    n = model.get_input_embeddings().weight.shape[0]
    if largest >= n:
        raise UserError(f"{name}: its tokenizer makes token {largest}, and the model has {n}: it is another model's")


def _may_be_left_out(key: str, loaded: PreTrainedModel) -> bool:
    if _NEEDLESS.search(key):
        return True
    if loaded.base_model_prefix and key.startswith(f"{loaded.base_model_prefix}."):
        return hasattr(loaded.config, "quantization_config")  # scales and the like, by whatever name
    # Not the body's: another head. What replaces the head of a language model leaves that out.
    return loaded.get_output_embeddings() is None or bool(_VALUE_HEAD.match(key))


def _found(model: str) -> dict[str, Any]:
    which = pretrained(model)
    return {"model_id": which["pretrained_model_name_or_path"], "revision": which.get("revision")}


def _some(keys: set[str]) -> str:
    first = sorted(keys)[:4]
    return ", ".join(first) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")


def avoid_cudnn_attention() -> None:
    """Have attention computed by other kernels than cuDNN's, in this process from now on.

    cuDNN builds a plan for every new shape, which takes longer than the attention; trees, batches and tokens seldom
    have the same shape twice.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
