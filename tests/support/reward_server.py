"""A reward server on loopback that misbehaves where it is told to, and keeps what it is asked."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any

from json_server import JSONHandler


class RewardServer(ThreadingHTTPServer):
    """POST of ``{"prompt", "response"}`` to any path answers ``{"score"}``: the length of the response.

    ``faults[response]`` are what its next tries are answered with instead: a status, or bytes. ``about`` is what GET of
    /about answers, None for 404.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults: dict[str, list[int | bytes]] = defaultdict(list)
        self.about: Any = None
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []  # path, body, headers
        self.lock = threading.Lock()

    def __enter__(self) -> RewardServer:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def times(self) -> Counter[str]:
        """How often it was asked about each response."""
        return Counter(str(body["response"]) for _, body, _ in self.asked)

    def looked(self, path: str) -> Any:
        """What GET of a path answers, as JSON; None for 404."""
        return self.about if path == "/about" else None

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        """What is answered, as JSON."""
        if "responses" in body:
            return {"rewards": [len(text) for text in body["responses"]]}
        if "steps" in body:
            return {"rewards": [len(step) for step in body["steps"]]}
        return {"score": len(body["response"])}


class _Handler(JSONHandler):
    server: RewardServer

    def do_GET(self) -> None:
        told = self.server.looked(self.path)
        self._reply(404 if told is None else 200, {"detail": "Not Found"} if told is None else told)

    def do_POST(self) -> None:
        body = self.body()
        with self.server.lock:
            self.server.asked.append((self.path, body, dict(self.headers)))
            faults = self.server.faults.get(str(body.get("response")))
            fault = faults.pop(0) if faults else None
        match fault:
            case int():
                self._reply(fault, {"error": f"no {fault}, {self.headers.get('X-Key')}"})
            case bytes():
                self.send(200, fault)
            case None:
                self._reply(200, self.server.answer(self.path, body))

    def _reply(self, status: int, answer: Any) -> None:
        self.send(status, json.dumps(answer).encode())
