"""``bonbench export --to``: an exported folder goes to a hub, or stays where it is with a line on why."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, constants
from json_server import JSONHandler
from results_folder import write_results
from runs import bonbench

from harness.export import hub


class _Hub(JSONHandler):
    """What the hub's library asks for an upload: a repository, how to send each file, and the commit."""

    repositories: list[dict[str, Any]]
    files: dict[str, bytes]
    allowed: bool

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
        answer: dict[str, Any] = {}
        if not self.allowed:
            self.send(401, b'{"error": "Invalid username or password."}')
            return
        if self.path == "/api/repos/create":
            self.repositories.append(json.loads(lines[0]))
            answer = {"url": f"http://{self.headers['Host']}/datasets/team/candidates"}
        elif self.path == "/api/datasets/team/candidates/preupload/main":
            sent = json.loads(lines[0])["files"]
            answer = {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in sent]}
        elif self.path == "/api/datasets/team/candidates/commit/main":
            rows = [json.loads(line) for line in lines]
            self.files.update(
                {r["value"]["path"]: base64.b64decode(r["value"]["content"]) for r in rows if r["key"] == "file"}
            )
            answer = {
                "commitUrl": f"http://{self.headers['Host']}/datasets/team/candidates/commit/0123",
                "commitOid": "0123",
            }
        self.send(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        self.send(404, b"{}")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results", {}, n=8)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    handler = type("Hub", (_Hub,), {"repositories": [], "files": {}, "allowed": True})
    serving = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True).start()
    _ask(monkeypatch, serving.server_port)
    yield handler
    close_session()
    serving.shutdown()
    serving.server_close()


def _ask(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    close_session()


def test_the_folder_is_uploaded_as_it_is(results: Path, server: type[_Hub], tmp_path: Path) -> None:
    done = bonbench("export", results, "-o", tmp_path / "out", "--to", "hub:team/candidates")
    assert done.code == 0, done.err
    (made,) = server.repositories
    assert (made["organization"], made["name"], made["type"]) == ("team", "candidates", "dataset")
    assert made.get("private") is True or made.get("visibility") == "private"
    there = {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert server.files == there and "README.md" in there
    assert "/datasets/team/candidates" in done.out


def test_a_hub_that_refuses_is_one_line_and_the_folder_stays(results: Path, server: type[_Hub], tmp_path: Path) -> None:
    server.allowed = False
    done = bonbench("export", results, "-o", tmp_path / "out", "--to", "hub:team/candidates")
    line = done.err.splitlines()[-1]
    assert done.code == 2 and "not uploaded: " in line and "401" in line
    assert f"`hf upload team/candidates {tmp_path / 'out'} --repo-type dataset`" in line
    assert (tmp_path / "out" / "README.md").is_file()


def test_a_hub_that_is_silent_or_nowhere_is_one_line(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_SILENT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _ask(monkeypatch, silent.getsockname()[1])
        done = bonbench("export", results, "-o", tmp_path / "one", "--to", "hub:team/candidates")
    assert done.code == 2 and "not uploaded: " in done.err.splitlines()[-1]
    done = bonbench("export", results, "-o", tmp_path / "two", "--to", "hub:team/candidates")  # nobody listens
    assert done.code == 2 and "not uploaded: " in done.err.splitlines()[-1]
    close_session()
