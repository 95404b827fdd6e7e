"""What a server's reply says: its JSON, its words where something is wrong, and how long it asks to wait."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from harness.core.errors import shortened
from harness.core.server.failures import Unusable

LONGEST_WAIT_S = 600.0  # that a server may ask for
#: Status codes of failures that may pass, as those from 500 do, and of those which every request would meet.
_PASSING = {408, 409, 425, 429}
_OF_SERVER = {401, 402, 404, 405, 407, 410, 426, 501, 505, 511}
#: What servers write of failures that waiting does not mend, where the status says otherwise, or says nothing.
_NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|billing_not_active|exceeded your current quota", re.I)
_FOR_GOOD = re.compile(r"invalid_request|bad_?request|content_(?:filter|policy)|moderation|context_length", re.I)
_OF_ACCOUNT = re.compile(r"authentication|invalid_api_key|permission_denied|model_not_found|not_found_error", re.I)
#: What servers answer where prompt and response are longer than the model reads: hosted models and vLLM's server (whose
#: words change with its version), llama.cpp's.
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|longer than the maximum model length"
    r"|cannot be greater than max_model_len|exceed_context_size_error|exceeds the available context size",
    re.IGNORECASE,
)
_HALF = re.compile("[\ud800-\udfff]")
_MARKUP = re.compile(r"<(script|style)\b.{0,2000}?</\1>|<[^<>]{1,500}>", re.DOTALL | re.IGNORECASE)
_SAYS = ("error", "message", "detail", "msg", "errors", "title", "reason")
_DEEPEST = 6


def is_too_long(said: str) -> bool:
    """Whether a server says of a request that it is longer than the model reads."""
    return _TOO_LONG.search(said) is not None


def whole_characters(text: str) -> str:
    """A text with U+FFFD for every half of a surrogate pair, which JSON can spell and no file can store."""
    return _HALF.sub("\ufffd", text)


def parsed(data: bytes) -> Any:
    """The JSON of a reply.

    Raises:
        Unusable: where it is none, with its beginning.
    """
    text = decoded(data)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        shown = f"it begins with {shortened(_plain(text), 200)!r}" if text.strip() else "it is empty"
        raise Unusable(f"an answer is expected in JSON, and {shown}", passes=True) from None


def decoded(data: bytes) -> str:
    """Bytes as text. What is not UTF-8 becomes U+FFFD."""
    return data.decode("utf-8-sig", "replace")


def failure_in(answer: Any) -> Any:
    """The ``error`` of an answer that has the status of a success; None where there is none."""
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return (answer.get("error") or None) if isinstance(answer, dict) else None


def words_of(data: bytes) -> str:
    """What a reply says is wrong, in one line; "" where it says nothing."""
    text = decoded(data)
    with suppress(ValueError, RecursionError):
        text = _said(json.loads(text)) or text
    return shortened(whole_characters(_plain(text)))


def words_in(failure: Any) -> str:
    """What the ``error`` of an answer says, in one line."""
    try:
        whole = failure if isinstance(failure, str) else json.dumps(failure)
    except (ValueError, RecursionError):
        whole = ""
    return shortened(whole_characters(_said(failure) or whole))


def status_in(failure: Any) -> int:
    """The status that the ``error`` of an answer would have had; 500 where it does not tell."""
    facts = failure if isinstance(failure, dict) else {}
    for name in ("code", "status", "status_code"):
        value = facts.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:4])
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    kinds = " ".join(str(facts.get(name)) for name in ("type", "code", "status") if isinstance(facts.get(name), str))
    if _OF_ACCOUNT.search(kinds):
        return 401
    return 400 if _FOR_GOOD.search(kinds) else 500


def may_pass(status: int, said: str) -> bool:
    """Whether the same request may succeed later. A hosted account without credit answers 429 for ever."""
    passing = status in _PASSING or (status >= 500 and status not in _OF_SERVER)
    return passing and not _NO_CREDIT.search(said)


def is_of_server(status: int, said: str) -> bool:
    """Whether a refusal is of all requests, whatever they ask for: a wrong key, address or model, no credit."""
    return status in _OF_SERVER or status < 400 or _NO_CREDIT.search(said) is not None


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait: a number, or a date."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_S)


def _said(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(one, depth + 1) for one in value[:3])))
    if isinstance(value, dict):
        said = next(filter(None, (_said(value.get(name), depth + 1) for name in _SAYS)), "")
        where = value.get("loc")  # of FastAPI's
        return f"{'.'.join(map(str, where))}: {said}" if said and isinstance(where, list) else said
    return ""


def _plain(text: str) -> str:
    """The words of a page without its markup."""
    text = text[:4000]
    return _MARKUP.sub(" ", text) if text.lstrip()[:1] == "<" else text
