"""Special tokens that somebody spells out in a text: they are text, and the format's own alone are special.

`split_special_tokens` switches special tokens off for the format too. So a copy of the tokenizer has its special tokens
renamed to strings that nobody can have written, and the format is written with the new names.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The texts of a tokenizer's special tokens."""
    return {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}


def special_pattern(tokenizer: PreTrainedTokenizerBase, markers: Iterable[str] = ()) -> re.Pattern[str]:
    """Matches the texts of a tokenizer's special tokens, and ``markers``."""
    texts = sorted(special_tokens(tokenizer) | set(markers), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def renamed(tokenizer: Tokenizer, specials: set[str]) -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer like this one, its special tokens renamed to unguessable texts; and old -> new."""
    from tokenizers import Tokenizer

    salt = secrets.token_hex(16)
    names = {content: f"\uf8ff{salt}:{i}\uf8ff" for i, content in enumerate(sorted(specials))}
    state = json.loads(tokenizer.to_str()) | {"padding": None, "truncation": None, "post_processor": None}
    for token in state["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = state["model"]
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {names.get(token, token): id_ for token, id_ in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(token, token), score] for token, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    return Tokenizer.from_str(json.dumps(state)), names
