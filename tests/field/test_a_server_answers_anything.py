"""Whatever a server answers is a response, or one line: no traceback, no endless wait, nothing that no file takes.

generative-computing/mellea#1060, MicrosoftDocs/azure-docs#109589, openai/openai-openapi#20 are single cases of it.
"""

from __future__ import annotations

import gzip
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import harness.core.server.client
from bonbench.generators.openai import OpenAIGenerator
from bonbench.generators.openai_params import OpenAIParams
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.records import Problem, Response, Sampling
from harness.storage.arrow import to_table

KEY = "sk-very-secret-0123"
TIMEOUT_S, TRIES = 0.3, 2


class AnyServer(socketserver.ThreadingTCPServer):
    """Sends bytes, whatever it is asked, and hangs up, or goes on with a byte at a time."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _AnyHandler)
        self.sends: Callable[[], tuple[bytes, str]] = lambda: (b"", "close")

    def handle_error(self, *_: object) -> None:
        pass


class _AnyHandler(socketserver.BaseRequestHandler):
    server: AnyServer

    def handle(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := self.request.recv(65536)):
                return
            data += more
        if data.startswith(b"GET"):
            self.request.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        sent, then = self.server.sends()
        self.request.sendall(sent)
        end = time.monotonic() + 2 * TIMEOUT_S
        while then != "close" and time.monotonic() < end:
            time.sleep(TIMEOUT_S / 5)
            if then == "drip":
                self.request.sendall(b" ")


@pytest.fixture(scope="module")
def server() -> Iterator[AnyServer]:
    with AnyServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness.core.server.client, "_PAUSE_S", 0.0)
        patch.setattr("harness.core.server.replies.LONGEST_WAIT_S", 0.01)
        patch.setenv("SERVERS_KEY", KEY)
        yield


# -- what a server may send


def mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Seven times of ten the usual."""
    return st.integers(0, 9).flatmap(lambda i: usual if i < 7 else other)


texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=12),  # halves of surrogate pairs too
    st.sampled_from(["", "4", "<think>", "</think>", "stop", "length", "[DONE]", KEY, "\u2028", "NaN", "1e400"]),
)
numbers = st.one_of(st.integers(-3, 20), st.integers(), st.floats(), st.booleans())
scalars = st.one_of(st.none(), texts, numbers)
fields = st.one_of(
    texts,
    st.sampled_from(["choices", "message", "content", "text", "type", "usage", "completion_tokens", "prompt_tokens"]),
    st.sampled_from(["error", "code", "reasoning", "reasoning_content", "thinking", "finish_reason", "index", "delta"]),
    st.sampled_from(["refusal", "tool_calls"]),
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=4), max_leaves=8
)


@st.composite
def almost_completions(draw: st.DrawFn) -> Any:
    """A good answer, some places of which are something else."""
    contents = mostly(texts, st.none() | st.lists(documents, max_size=2))
    message = {"role": "assistant", "content": draw(contents)}
    if draw(st.integers(0, 2)) == 0:
        message[draw(st.sampled_from(["reasoning", "reasoning_content", "refusal", "tool_calls"]))] = draw(documents)
    reason = draw(
        st.one_of(st.sampled_from(["stop", "length", "content_filter", "tool_calls", "abort", None]), scalars)
    )
    answer: dict[str, Any] = {
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 9, "completion_tokens": draw(st.integers(0, 4))},
    }
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        place: Any = answer
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or draw(st.booleans()):
                place[key] = draw(documents)
                break
            place = place[key]
    return answer


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Server-sent events, of which some are good chunks."""
    events = []
    for _ in range(draw(st.integers(0, 4))):
        delta = {"content": draw(texts)}
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": draw(st.sampled_from([None, "stop"]))}]}
        events.append(json.dumps(draw(st.one_of(st.just(chunk), almost_completions(), documents))))
    if draw(st.booleans()):
        events.append("[DONE]")
    end = draw(st.sampled_from(["\n\n", "\r\n\r\n", "\n"]))
    return "".join(f"data: {event}{end}" for event in events).encode()


completions = almost_completions().map(lambda answer: json.dumps(answer).encode())
bodies = mostly(
    completions,
    st.one_of(
        documents.map(lambda answer: json.dumps(answer).encode()),
        streams(),
        streams(),
        st.binary(max_size=40),
        st.sampled_from([b"", b"<html><title>502 Bad Gateway</title>", b"[" * 5000, b'{"a":' * 3000, b"9" * 5000]),
    ),
)
headers = st.dictionaries(
    st.sampled_from(["Content-Type", "Content-Encoding", "Retry-After", "Location", "Transfer-Encoding", "X-A"]),
    st.sampled_from(
        ["application/json", "text/html; charset=utf-16", "gzip", "br", "chunked", "0", "-1", "nan", "1e999"]
    )
    | st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Foo 99999", "http://[", "//x", "/v1", "zstd", "é"]),
    max_size=3,
)
statuses = mostly(st.just(200), st.sampled_from([400, 401, 404, 408, 422, 429, 500, 503]) | st.integers(100, 999))


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, str]:
    """The bytes of a reply, and whether the server then hangs up, is silent, or drips."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60)), "close"
    body = draw(bodies)
    if draw(st.integers(0, 9)) == 0:
        body = gzip.compress(body)
    head = f"HTTP/1.1 {draw(statuses)} Said\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in draw(mostly(st.just({}), headers)).items())
    length = draw(st.sampled_from([len(body)] * 16 + [len(body) + 5, max(len(body) - 1, 0), -1, None]))
    head += "" if length is None else f"Content-Length: {length}\r\n"
    return head.encode() + b"\r\n" + body, draw(st.sampled_from(["close"] * 30 + ["silent", "drip"]))


def check(server: AnyServer, sent: list[tuple[bytes, str]], params: dict[str, Any]) -> None:
    """Ask for two responses to a problem of a server that sends these replies, in turn."""
    left = iter(sent)
    lock = threading.Lock()

    def sends() -> tuple[bytes, str]:
        with lock:
            return next(left, sent[-1])

    server.sends = sends
    values = {"model": "m", "base_url": f"http://127.0.0.1:{server.server_address[1]}/v1", "api_key_env": "SERVERS_KEY"}
    model = OpenAIGenerator(OpenAIParams.model_validate({**values, "timeout_s": TIMEOUT_S, "tries": TRIES, **params}))
    began = time.monotonic()
    made: list[Response]
    try:
        made = model.generate([Problem("p", "1 + 1?", "2")], Sampling(n=2, max_tokens=20), {"p": [5, 6]})
    except UserError as error:
        said = str(error)
        assert said.strip() and said.isprintable() and len(said) < 2000 and KEY not in said, said
        made = error.made if isinstance(error, Incomplete) else []
    assert time.monotonic() - began < 30
    to_table(Response, made)
    for response in made:
        is_empty = not response.text and response.n_tokens > 2 and response.finish_reason != "length"
        assert not is_empty or params.get("reasoning") == "drop", response


@pytest.mark.thorough
@settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(replies(), min_size=1, max_size=3),
    st.sampled_from([{}, {"reasoning": "drop"}, {"template": "{problem}"}, {"keep_token_ids": True}, {"stop": ["\n"]}]),
)
def test_any_answer_is_a_response_or_one_line(
    server: AnyServer, sent: list[tuple[bytes, str]], params: dict[str, Any]
) -> None:
    check(server, sent, params)
