"""Answers that come as a stream of events, which some servers send without being asked for it."""

from __future__ import annotations

import json
import re
from typing import Any

from harness.core.server.failures import Unusable
from harness.core.server.replies import decoded

_LINE = re.compile("\r\n|\n|\r")  # and no other end of a line, which a text in JSON may hold
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal", "text")


def is_streamed(data: bytes) -> bool:
    """Whether an answer is a stream of server-sent events. JSON begins with none of their fields."""
    return data.lstrip(b"\xef\xbb\xbf\r\n ").startswith((b"data:", b"event:", b": ", b":\n", b"id:", b"retry:"))


def joined(data: bytes) -> dict[str, Any]:
    """The events of a completion as the one answer that was asked for. An event with an ``error`` is the answer.

    Raises:
        Unusable: for a stream that breaks off.
    """
    choices: dict[Any, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    is_over = False
    for event in _events(decoded(data)):
        if event == "[DONE]":
            is_over = True
            break
        chunk = _chunk(event)
        if chunk.get("error"):
            return chunk
        answer |= {name: value for name, value in chunk.items() if value is not None and name != "choices"}
        for choice in chunk.get("choices") or ():
            _add(choices.setdefault(choice.get("index", 0), {"index": choice.get("index", 0)}), choice)
    if not is_over and not any(choice.get("finish_reason") for choice in choices.values()):
        raise Unusable("the answer comes as a stream of events and breaks off", passes=True)
    return {**answer, "choices": list(choices.values())}


def _events(text: str) -> list[str]:
    """What the events say: lines of ``data:``, several of which may make an event."""
    events: list[str] = []
    lines: list[str] = []
    for line in [*_LINE.split(text), ""]:
        if line.startswith("data:"):
            lines.append(line.removeprefix("data:").strip())
        elif not line.strip() and lines:
            whole = "\n".join(lines)
            events += [whole] if _is_json(whole) or len(lines) == 1 else lines
            lines = []
    return [event for event in events if event]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _chunk(event: str) -> dict[str, Any]:
    try:
        chunk = json.loads(event)
    except (ValueError, RecursionError):
        chunk = None
    if not isinstance(chunk, dict):
        raise Unusable("the answer comes as a stream of events, of which one is not JSON", passes=True)
    return chunk


def _add(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    """Add a piece of a choice to what there is of it."""
    for name, value in piece.items():
        if name in ("delta", "message") and isinstance(value, dict):
            _add(whole.setdefault("message", {}), value)
        elif name in _TEXTS and isinstance(value, str) and isinstance(whole.get(name), str):
            whole[name] += value
        elif isinstance(value, list) and isinstance(whole.get(name), list):
            whole[name] = [*whole[name], *value]  # token ids, parts of contents
        elif value is not None:
            whole[name] = value
