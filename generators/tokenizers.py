"""The tokenizer of a model, for whoever samples from it, trains it or scores with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError, cannot_load
from harness.core.hub_models import pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenizer_of(model: str, **options: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of a model. The ``options`` are further ones of `from_pretrained`.

    Raises:
        UserError: where its files are missing or damaged. (Without the file of the vocabulary `transformers` makes some
            tokenizers all the same: they know no text, and every text has no tokens.)
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(**pretrained(model) | options)
        is_blank = not tokenizer("1 + 1 = 2", add_special_tokens=False)["input_ids"]
    except Exception as error:  # a wrong value in one of its files raises whatever the tokenizer's code meets first
        raise cannot_load(f"the tokenizer of {model}", error) from error
    if is_blank:
        raise UserError(f"the tokenizer of {model} knows no text: is tokenizer.json missing from the model's folder?")
    return tokenizer
