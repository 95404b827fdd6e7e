"""Reads a completion, or chat completion, as servers really write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.server.failures import Unusable
from harness.core.server.replies import status_in, whole_characters, words_in

#: How servers call the end of a response, beside "stop" and "length".
_STOP = {"stop", "eos", "eos_token", "stop_sequence", "stop_token", "end_turn", "complete", "completed", "done"}
_LENGTH = {"length", "max_tokens", "max_length", "max_new_tokens", "model_length", "max_output_tokens"}
_GAVE_UP = {"abort", "aborted", "error", "cancelled", "canceled", "timeout", "failed", "interrupted"}
_CALLS = {"tool_calls", "function_call", "tool_use", "tool_call"}
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # of a message
_THINKING_PARTS = {"thinking", "reasoning", "reasoning_text", "reasoning_content"}


@dataclass(frozen=True, slots=True)
class Completion:
    """One response of a server: its text, its counted tokens, and how it ended ("" where that is not known)."""

    text: str
    n_prompt_tokens: int
    n_tokens: int
    finish_reason: str
    token_ids: tuple[int, ...] | None = None


def read_completion(
    answer: Mapping[str, Any], asked: Mapping[str, Any], keep_reasoning: bool = True, keep_token_ids: bool = False
) -> Completion:
    """The response in the JSON that a server answered to the request ``asked``.

    Raises:
        Unusable: for an answer without text, or without its tokens counted.
        ValueError, LookupError, TypeError, AttributeError: for an answer that is not one of the protocol.
    """
    choice = _only_choice(answer)
    if failure := choice.get("error"):
        raise Unusable(f"the response ends with an error: {words_in(failure)}", passes=status_in(failure) >= 429)
    ended = choice.get("finish_reason")
    reason = str(ended or "").lower().rpartition(".")[2]  # FinishReason.STOP
    written = whole_characters(_text(choice, True, is_cut=reason in _LENGTH))
    text = written if keep_reasoning else whole_characters(_text(choice, False, is_cut=False))
    n_prompt, n_tokens = _counts(answer)
    if reason in _GAVE_UP or (not reason and not written):
        raise Unusable(f"the server gave up on a response half-way (finish_reason: {ended})", passes=True)
    if not written or reason in _CALLS:
        _check_empty(choice, reason, n_tokens, asked)
    ids = choice.get("token_ids")
    if keep_token_ids and not isinstance(ids, list):
        raise Unusable("the server returns no token ids: remove keep_token_ids")
    return Completion(
        text=text,
        n_prompt_tokens=n_prompt,
        n_tokens=n_tokens,
        finish_reason=_finish_reason(reason, n_tokens, asked),
        token_ids=tuple(_count(i, "token_ids") for i in ids) if keep_token_ids and ids is not None else None,
    )


def prompt_tokens(answer: Mapping[str, Any]) -> int:
    """How many tokens the prompt of an answered request has; 0 where the server does not say."""
    usage = answer.get("usage")
    return _count((usage if isinstance(usage, dict) else {}).get("prompt_tokens") or 0, "prompt_tokens")


def _only_choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = answer["choices"]
    if not isinstance(choices, list) or not choices:
        raise Unusable("the answer has no response in it (choices is empty)", passes=True)
    if len(choices) > 1:  # their tokens are counted together
        raise Unusable(f"{len(choices)} responses are answered where one was asked for")
    choice: dict[str, Any] = choices[0]
    return choice


def _text(choice: Mapping[str, Any], keep_reasoning: bool, is_cut: bool) -> str:
    """What the model wrote, its thoughts included where they are kept. Thoughts that were cut off are not closed."""
    message = choice.get("message") or choice.get("delta")
    if message is None:  # of a completion; some servers answer so to a chat, too
        message = {"content": choice["text"]}
    thoughts, content = _parts(message.get("content"))
    thoughts = thoughts or next(filter(None, (_parts(message.get(name))[1] for name in _THOUGHTS)), "")
    content = content or _parts(message.get("refusal"))[1]
    if not keep_reasoning or not thoughts.strip() or content.lstrip().startswith("<think>"):
        return content
    opened = thoughts if thoughts.lstrip().startswith("<think>") else f"<think>{thoughts}"
    closed = opened if (is_cut and not content) or opened.rstrip().endswith("</think>") else f"{opened}</think>"
    return closed + content


def _parts(content: Any) -> tuple[str, str]:
    """The thoughts and the answer in a content: a text, or a list of parts."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return "", content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise TypeError(content)
    thoughts, texts = list[str](), list[str]()
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else "text"
        text = part if isinstance(part, str) else _text_of_part(part)
        (thoughts if kind in _THINKING_PARTS else texts).append(text)
    return "".join(thoughts), "".join(texts)


def _text_of_part(part: Mapping[str, Any]) -> str:
    """The text of a part, which may itself have parts (Mistral's thoughts)."""
    for name in ("text", "thinking", "reasoning", "refusal", "content"):
        value = part.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "".join(value_ if isinstance(value_, str) else _text_of_part(value_) for value_ in value)
    return ""


def _counts(answer: Mapping[str, Any]) -> tuple[int, int]:
    usage = answer.get("usage")
    if not isinstance(usage, dict) or usage.get("completion_tokens") is None:
        raise Unusable("the server does not say how many tokens a response took (`usage`)")
    return prompt_tokens(answer), _count(usage["completion_tokens"], "completion_tokens")


def _count(value: Any, name: str) -> int:
    """A number of tokens, which some servers write as text."""
    number = float(value) if isinstance(value, str) and len(value) < 20 else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    if not is_number or number != int(number) or not 0 <= number < 2**63:
        raise Unusable(f"{name} is no number of tokens")
    return int(number)


def _check_empty(choice: Mapping[str, Any], reason: str, n_tokens: int, asked: Mapping[str, Any]) -> None:
    """Refuse the calls of tools, and words that are withheld.

    A response without text may be one: the model ended its turn, or wrote a stop string, at once. A response that was
    cut off may have gone in thoughts that the server keeps to itself.

    Raises:
        Unusable: for a response whose tokens are counted, and whose text is withheld.
    """
    message = choice.get("message") or {}
    calls = reason in _CALLS or message.get("tool_calls") or message.get("function_call")
    if calls and not _text(choice, False, is_cut=False):
        raise Unusable("the model calls a tool instead of answering")
    if reason == "content_filter":
        raise Unusable("the server's content filter withholds the response")
    stops = asked.get("stop") or ()
    stops = [stops] if isinstance(stops, str) else stops
    at_once = 1 + max((len(str(stop).encode()) for stop in stops), default=0)
    if not calls and reason not in _LENGTH and n_tokens > at_once:
        raise Unusable(f"a response has no text, and {n_tokens} tokens are counted")


def _finish_reason(reason: str, n_tokens: int, asked: Mapping[str, Any]) -> str:
    if reason in _STOP:
        return "stop"
    most = asked.get("max_completion_tokens") or asked.get("max_tokens")
    is_full = not reason and isinstance(most, int) and n_tokens >= most
    return "length" if reason in _LENGTH or is_full else ""
