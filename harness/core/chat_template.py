"""What a tokenizer puts around texts, for samplers and for scorers: its chat template, rendered, and its BOS token."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, one_line
from harness.core.prompt import DAY

#: What a chat template asks for today's date by, and what one has that treats thoughts apart from other words.
CLOCK, THOUGHTS = "strftime_now", "think>"
#: Where `transformers` finds chat templates in a model's folder.
_FILES = ("chat_template.jinja", "tokenizer_config.json", "chat_template.json", "additional_chat_templates/*.jinja")


class Refused(UserError):
    """A chat template takes turns of these roles, but not what is said in them."""


def rendered(
    tokenizer: Any, model: str, messages: Sequence[Mapping[str, str]], ready: bool, day: datetime.date | None
) -> str:
    """What a tokenizer's chat template makes of messages, {role, content} each.

    Args:
        tokenizer: of `transformers`.
        model: its name, for the error line.
        ready: whether the assistant's turn is begun at the end.
        day: what the template is told where it asks for today's date; None: :data:`harness.core.prompt.DAY`.

    Raises:
        UserError: where there is no template, or it fails at these messages.
    """
    if tokenizer.chat_template is None:
        raise UserError(f"{model}: its tokenizer has no chat template, so there is no prompt for a response")

    def strftime_now(format_: str) -> str:
        return datetime.datetime.combine(day or DAY, datetime.time()).strftime(format_)

    try:
        return str(
            tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=ready, tokenize=False, **{CLOCK: strftime_now}
            )
        )
    except Exception as error:  # a template is a program of its own: it raises whatever its expressions do
        roles = ", ".join(message["role"] for message in messages)
        raise UserError(f"{model}: its chat template refuses turns of {roles}: {_said(error)}") from error


def _said(error: Exception) -> str:
    from jinja2 import TemplateError

    return " ".join(str(error).split()) if type(error) is TemplateError else one_line(error)


def leading_bos(tokenizer: Any) -> list[int]:
    """The BOS token that a tokenizer puts before a raw text, or nothing."""
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and tokenizer("")["input_ids"][:1] == [bos] else []


def mentions(folder: Path, word: str) -> bool:
    """Whether a chat template in a model's folder has a word."""
    files = (file for pattern in _FILES for file in folder.glob(pattern) if file.is_file())
    return any(word in file.read_text(encoding="utf-8", errors="replace") for file in files)
