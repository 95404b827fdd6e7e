"""Keys of servers: where they come from, and how they stay out of what is shown and stored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from harness.core.errors import UserError, shortened

_SHORTEST = 4  # a shorter value is a word that any message may have


def key_in(variable: str) -> str:
    """The key in an environment variable; "" where there is none.

    Raises:
        UserError: for a value that cannot stand in a header. It does not repeat the value.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"the environment variable {variable} holds a character that no key has")
    return key


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """A text with *** for every secret in it."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text


def shown_url(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        parts = urlsplit(url)
        return shortened(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl(), 200)
    except ValueError:
        return "another address"
