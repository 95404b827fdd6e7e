"""A hub on this machine: what the hub's library asks of its server, for models in a folder."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve ``folder``, which has models as ``owner/name/file``.

    Yields the address, and the list of the files that were fetched (it grows).
    """
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0].strip("/")
            if path.startswith("api/models/"):
                repo = "/".join(path.split("/")[2:4])
                files = sorted(p for p in (folder / repo).rglob("*") if p.is_file())
                names = [str(file.relative_to(folder / repo)) for file in files]
                if not names:
                    self.send_error(404)
                elif "/tree/" in path:
                    rows = [
                        {"type": "file", "path": n, "size": f.stat().st_size, "oid": _etag(f)}
                        for n, f in zip(names, files, strict=True)
                    ]
                    self._send(json.dumps(rows).encode(), with_body)
                else:
                    siblings = [{"rfilename": name} for name in names]
                    self._send(json.dumps({"id": repo, "sha": _COMMIT, "siblings": siblings}).encode(), with_body)
                return
            owner, name, _, _, *rest = path.split("/")
            file = folder / owner / name / "/".join(rest)
            if not file.is_file():
                self.send_error(404)
                return
            if with_body:
                fetched.append(str(file.relative_to(folder)))
            self._send(file.read_bytes(), with_body, {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": _COMMIT})

        def _send(self, body: bytes, with_body: bool, headers: dict[str, str] | None = None) -> None:
            self.send_response(200)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        server.server_close()


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
