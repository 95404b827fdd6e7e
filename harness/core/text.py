"""What is text, and what only looks like it.

JSON can spell half of a surrogate pair (``"\\ud83d"``), and Python's strings can hold it: what a model wrote when it
was cut off in the middle of a character, or a file that somebody else cut. It has no bytes, so no tokenizer and no
table takes it. Whatever comes in has such halves replaced by U+FFFD, as decoders replace bytes that are no text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

R = TypeVar("R")


def is_text(value: str) -> bool:
    """Whether a string has a form in bytes."""
    if value.isascii():  # known without a look
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def mended(value: str) -> str:
    """The string with every half of a surrogate pair replaced by U+FFFD. Two halves that stand together are joined.

    >>> mended("cut \\ud83d"), mended("\\ud83d\\ude00") == "\\U0001f600"
    ('cut \\ufffd', True)
    """
    return value if is_text(value) else value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended_everywhere(value: Any) -> Any:
    """What a JSON or YAML document holds, with every string in it :func:`mended`, keys too."""
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, list):
        return [mended_everywhere(part) for part in value]
    if isinstance(value, dict):
        return {mended_everywhere(key): mended_everywhere(part) for key, part in value.items()}
    return value


def joined(value: Any, at: str = "") -> Any:
    """What a document holds, with halves that stand together joined in every string; ``at`` is the path of the keys.

    Raises:
        ValueError: for a half that stands alone; the message names the key.
    """
    if isinstance(value, str) and not is_text(value):
        try:
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise ValueError(f"{at or 'the text'} has half a character (one of a surrogate pair)") from None
    if isinstance(value, list):
        return [joined(part, f"{at}[{i}]") for i, part in enumerate(value)]
    if isinstance(value, dict):
        return {joined(key, at): joined(part, f"{at}.{key}".lstrip(".")) for key, part in value.items()}
    return value


def mended_records(records: Sequence[R]) -> tuple[list[R], list[R]]:
    """Records with every string in them :func:`mended`, and those of them that had to be."""
    whole, changed = [], []
    for record in records:
        fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}  # type: ignore[arg-type]
        broken = {name: mended(v) for name, v in fields.items() if isinstance(v, str) and not is_text(v)}
        one = dataclasses.replace(record, **broken) if broken else record  # type: ignore[type-var]
        whole.append(one)
        changed += [one] if broken else []
    return whole, changed
