"""What the servers of the tests have in common: JSON in and out on loopback, and no word about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any


class JSONHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)

    def send(self, status: int, data: bytes, headers: Mapping[str, str] = {}, cut: int = 0) -> None:
        """All but the last ``cut`` bytes of an answer; where some are cut off, the connection is closed."""
        self.begin(status, {**headers, "Content-Length": str(len(data))})
        self.end_headers()
        self.wfile.write(data[: len(data) - cut])
        if cut:
            self.close_connection = True
