"""The part of a language model below its head."""

from __future__ import annotations

from transformers import PreTrainedModel


def body(model: PreTrainedModel) -> PreTrainedModel:
    """What makes the last hidden states. Some models, such as Llama 4's text model, name no base model of their own."""
    base: PreTrainedModel = model.base_model
    if base is not model:
        return base
    return next((part for part in model.children() if isinstance(part, PreTrainedModel)), model)
