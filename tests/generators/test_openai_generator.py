"""The openai generator against a server on loopback that misbehaves on purpose and counts what it is asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import bonbench.generators.openai
from bonbench.generators.openai import OpenAIGenerator, OpenAIParams
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts

PROBLEMS = [Problem(f"p{i}", f"What is {i} + 1?", str(i + 1)) for i in range(4)]
SEEDS = {p.problem_id: [2**62 + 100 * i + j for j in range(5)] for i, p in enumerate(PROBLEMS)}
ALL_SEEDS = [seed for p in PROBLEMS for seed in SEEDS[p.problem_id]]


class Server(ThreadingHTTPServer):
    """Answers every seed with a text of its own; ``faults[seed]`` are what its first tries meet instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: dict[int, list[str]] = {}
        self.asked: list[tuple[float, str, dict[str, Any], str | None]] = []
        self.answered: Counter[int] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def tries(self, seed: int) -> list[float]:
        return [at for at, _, body, _ in self.asked if body["seed"] == seed]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append((time.monotonic(), self.path, body, self.headers.get("Authorization")))
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
            faults = server.faults.get(body["seed"])
            fault = faults.pop(0) if faults else "none"
        time.sleep(0.01)
        with server.lock:
            server.in_flight -= 1
        self.answer(body, fault)

    def answer(self, body: dict[str, Any], fault: str) -> None:
        seed = body["seed"]
        usage = {"prompt_tokens": 11, "completion_tokens": 1 + seed % 7}
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if seed % 5 == 0 else "stop"}
        if "prompt" in body:
            choice["text"] = f"{body['prompt']} -> {seed}"
        else:
            choice["message"] = {"role": "assistant", "content": f"{body['messages'][-1]['content']} -> {seed}"}
        if body.get("return_token_ids"):
            choice["token_ids"] = list(range(usage["completion_tokens"]))
        good = {"choices": [choice], "usage": usage}
        match fault:
            case "none":
                self.server.answered[seed] += 1
                self.reply(200, good)
            case "busy":
                self.reply(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
            case "busy until":
                self.reply(429, {}, {"Retry-After": formatdate(time.time() + 2, usegmt=True)})
            case "no credit":
                self.reply(429, {"error": {"message": "You are out of credit", "code": "insufficient_quota"}})
            case "garbage":
                self.reply(200, "<html>")
            case "aborted":
                self.reply(200, {"choices": [{**choice, "finish_reason": "abort"}], "usage": usage})
            case "no usage":
                self.reply(200, {"choices": [choice]})
            case "filtered":
                self.reply(200, {"choices": [{**choice, "finish_reason": "content_filter"}], "usage": usage})
            case "drop":
                self.close_connection = True
            case "half":
                self.server.answered[seed] += 1
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"choices"')
                self.close_connection = True
            case "slow":
                time.sleep(1.5)
                self.close_connection = True
            case status:
                self.reply(int(status), {"error": {"message": f"status {status}\nat {self.path}"}})

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode() if not isinstance(body, str) else body.encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonbench.generators.openai, "_PAUSE_S", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def generator(server: Server, **params: Any) -> OpenAIGenerator:
    values = {"model": "served", "base_url": server.url, **params}
    return OpenAIGenerator(OpenAIParams.model_validate(values), "remote")


def test_one_request_per_sample_in_order(server: Server) -> None:
    sampling = Sampling(n=5, temperature=0.7, top_p=0.9, max_tokens=33)
    responses = generator(server, concurrency=3, system_prompt="Be brief.", stop=["\n\n"]).generate(
        PROBLEMS, sampling, SEEDS
    )
    assert [(r.problem_id, r.sample, r.seed) for r in responses] == [
        (p.problem_id, i, SEEDS[p.problem_id][i]) for p in PROBLEMS for i in range(5)
    ]
    for r, problem in zip(responses, [p for p in PROBLEMS for _ in range(5)], strict=True):
        assert r.seed is not None
        assert r.text == f"{problem.problem} -> {r.seed}"
        assert (r.generator, r.n_prompt_tokens, r.n_tokens) == ("remote", 11, 1 + r.seed % 7)
        assert r.finish_reason == ("length" if r.seed % 5 == 0 else "stop")
        assert r.token_ids is None
    assert Counter(body["seed"] for _, _, body, _ in server.asked) == Counter(ALL_SEEDS)
    assert 1 < server.most_in_flight <= 3
    _, path, body, key = server.asked[0]
    assert (path, key) == ("/v1/chat/completions", None)
    seed = body.pop("seed")
    problem = next(p.problem for p in PROBLEMS if seed in SEEDS[p.problem_id])
    assert body == {
        "model": "served", "temperature": 0.7, "top_p": 0.9, "max_tokens": 33, "stop": ["\n\n"],
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": problem}],
    }  # fmt: skip


def test_nothing_is_lost_or_doubled_by_a_bad_server(server: Server) -> None:
    faults = ["503", "drop", "half", "garbage", "aborted", "slow", "500", "408"]
    untroubled = generator(server).generate(PROBLEMS, Sampling(n=5), SEEDS)
    server.asked.clear()
    for i, seed in enumerate(ALL_SEEDS):
        server.faults[seed] = [faults[(i + k) % len(faults)] for k in range(i % 4)]
    expected = {seed: 1 + len(server.faults[seed]) for seed in ALL_SEEDS}
    assert generator(server, timeout_s=0.5).generate(PROBLEMS, Sampling(n=5), SEEDS) == untroubled
    assert Counter(body["seed"] for _, _, body, _ in server.asked) == Counter(expected)


def test_a_server_is_given_the_time_it_asks_for(server: Server) -> None:
    first, second = SEEDS["p0"][:2]
    server.faults = {first: ["busy"], second: ["busy until"]}
    responses = generator(server).generate(PROBLEMS[:1], Sampling(n=2), SEEDS)
    assert [r.seed for r in responses] == [first, second]
    for seed in (first, second):  # a date is cut to whole seconds: 2 s ahead is more than 1 s
        asked, again = server.tries(seed)
        assert again - asked >= 0.95


@pytest.mark.parametrize("status", ["400", "404", "422"])
def test_a_refusal_is_the_servers_own_words(server: Server, status: str) -> None:
    server.faults = {SEEDS["p2"][3]: [status]}
    with pytest.raises(UserError, match=rf"/v1/chat/completions answers {status}: status {status} at /v1/chat/compl"):
        generator(server).generate(PROBLEMS, Sampling(n=5), SEEDS)
    assert len(server.tries(SEEDS["p2"][3])) == 1


def test_refusals_that_need_a_hint(server: Server) -> None:
    server.faults = {SEEDS["p0"][0]: ["401", "no credit", "no usage"]}
    for expected in ("read from the environment variable MY_KEY", "out of credit", "does not say how many tokens"):
        with pytest.raises(UserError, match=expected):
            generator(server, api_key_env="MY_KEY").generate(PROBLEMS[:1], Sampling(n=1), SEEDS)
    assert len(server.asked) == 3


def test_patience_ends(server: Server) -> None:
    server.faults = {SEEDS["p0"][0]: ["503"] * 9}
    with pytest.raises(RuntimeError, match="answers 503"):
        generator(server, tries=4).generate(PROBLEMS[:1], Sampling(n=1), SEEDS)
    assert len(server.asked) == 4
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(UserError, match=f"no server answers at {closed}"):
            generator(server, base_url=closed, tries=2).generate(PROBLEMS[:1], Sampling(n=1), SEEDS)


def test_raw_prompts_key_and_further_fields(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    server.faults = {SEEDS["p0"][1]: ["filtered"]}
    raw = generator(
        server, template="Q: {problem}\nA:", api_key_env="MY_KEY", keep_token_ids=True,
        body={"top_k": 20, "max_tokens": None, "max_completion_tokens": 7},
    )  # fmt: skip
    whole, filtered = raw.generate(PROBLEMS[:1], Sampling(n=2), SEEDS)
    assert whole.text == f"Q: What is 0 + 1?\nA: -> {whole.seed}"
    assert whole.token_ids == tuple(range(whole.n_tokens))
    assert filtered.finish_reason == ""
    _, path, body, key = server.asked[0]
    assert (path, key) == ("/v1/completions", "Bearer secret")
    assert body["prompt"] == "Q: What is 0 + 1?\nA:"
    assert (body["top_k"], body["max_completion_tokens"]) == (20, 7)
    assert not {"messages", "max_tokens"} & set(body)


def test_where_the_server_is_does_not_identify_its_responses() -> None:
    def identity(**entry: object) -> object:
        entry = {"type": "openai", "model": "served", **entry}
        return Artifacts().identity(build("generators", "g", entry, "generators.g", {}))

    same = identity(base_url="https://b.example/v1/", concurrency=2, tries=1, timeout_s=5, api_key_env="OTHER")
    assert same == identity(base_url="http://a.example/v1")
    assert identity(model="other") != identity() != identity(body={"top_k": 5})
    with pytest.raises(UserError, match=r"generators\.g\.base_url: an address is expected"):
        identity(base_url="localhost:8000")
