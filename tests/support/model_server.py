"""A server of a language model on loopback, which answers what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from json_server import JSONHandler


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends: JSON, or bytes. ``cut`` bytes of it are left out and the connection is closed; where it
    ``drips``, a byte comes every so many seconds, for ever."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    drips: float = 0.0

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


#: A request's body in JSON -> what the server sends.
Answer = Callable[[dict[str, Any]], Reply]


def completion(content: Any, n_tokens: Any = 3, finish_reason: Any = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion as servers write it."""
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": content, **message},
    }
    return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": n_tokens}}


class ModelServer(ThreadingHTTPServer):
    """Answers POST with ``answer(body)``, GET with a list of models that ``owner`` has. ``asked`` are the bodies."""

    daemon_threads = True

    def __init__(self, answer: Answer, owner: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.owner = answer, owner
        self.asked: list[dict[str, Any]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Handler(JSONHandler):
    server: ModelServer

    def do_GET(self) -> None:
        self._reply(Reply({"object": "list", "data": [{"id": "served", "owned_by": self.server.owner}]}))

    def do_POST(self) -> None:
        body = self.body()
        self.server.asked.append(body)
        self._reply(self.server.answer(body))

    def _reply(self, reply: Reply) -> None:
        if not reply.drips:
            self.send(reply.status, reply.data, reply.headers, reply.cut)
            return
        self.begin(reply.status, reply.headers)
        self.end_headers()
        while not self.server.closing.wait(reply.drips):
            self.wfile.write(b" ")
        self.close_connection = True


@contextmanager
def serving(answer: Answer, owner: str = "somebody") -> Iterator[ModelServer]:
    """A server for as long as the context is open."""
    with ModelServer(answer, owner) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
