"""The openai generator against a server on loopback that misbehaves on purpose and counts what it is asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from json_server import JSONHandler

import harness.core.server.client
from bonbench.generators.openai import OpenAIGenerator
from bonbench.generators.openai_params import OpenAIParams
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.records import Problem, Sampling
from harness.core.shard_progress import heard_by
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts

PROBLEMS = [Problem(f"p{i}", f"What is {i} + 1?", str(i + 1)) for i in range(4)]
SEEDS = {p.problem_id: [2**30 + 100 * i + j for j in range(5)] for i, p in enumerate(PROBLEMS)}
ALL_SEEDS = [seed for p in PROBLEMS for seed in SEEDS[p.problem_id]]


class Server(ThreadingHTTPServer):
    """Answers every seed with a text of its own; ``faults[seed]`` are what its first tries meet instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: dict[int, list[str]] = {}
        self.owner = "somebody"
        self.asked: list[tuple[float, str, dict[str, Any], str | None]] = []
        self.answered: Counter[int] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def tries(self, seed: int) -> list[float]:
        return [at for at, _, body, _ in self.asked if body["seed"] == seed]


class Handler(JSONHandler):
    server: Server

    def do_GET(self) -> None:
        self.reply(200, {"data": [{"id": "served", "owned_by": self.server.owner}]})

    def do_POST(self) -> None:
        body = self.body()
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
    monkeypatch.setattr(harness.core.server.client, "_PAUSE_S", 0.01)
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


def test_shards_at_a_time_share_the_requests_in_flight(server: Server) -> None:
    remote = generator(server, concurrency=3)
    heard: list[list[tuple[int, int]]] = [[] for _ in PROBLEMS]

    def shard(i: int) -> list[str]:
        with heard_by(lambda done, total: heard[i].append((done, total))):
            return [r.text for r in remote.generate([PROBLEMS[i]], Sampling(n=5), SEEDS)]

    with ThreadPoolExecutor(len(PROBLEMS)) as threads:
        texts = list(threads.map(shard, range(len(PROBLEMS))))
    assert texts == [[f"{p.problem} -> {seed}" for seed in SEEDS[p.problem_id]] for p in PROBLEMS]
    assert heard == [[(done, 5) for done in range(6)]] * len(PROBLEMS)
    assert server.most_in_flight <= 3
    assert remote.responses_in_flight() == 6


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
    with pytest.raises(Incomplete, match=r"problem 'p0': .* answers 503"):
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


#: What servers say where prompt and response do not fit: (limit, prompt, asked for) -> the answer.
REFUSALS: dict[str, Callable[[int, int, int], dict[str, Any]]] = {
    "hosted": lambda limit, prompt, asked: {
        "message": f"This model's maximum context length is {limit} tokens. However, you requested {prompt + asked} "
        f"tokens ({prompt} in the messages, {asked} in the completion).",
        "code": "context_length_exceeded",
    },
    "vllm": lambda limit, prompt, asked: {
        "message": f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context "
        f"length is {limit} tokens and your request has {prompt} input tokens ({asked} > {limit} - {prompt})."
    },
    "vllm, without a count": lambda limit, prompt, asked: {
        "message": f"This model's maximum context length is {limit} tokens. However, your prompt has too many."
    },
    "vllm, more than it reads at all": lambda limit, prompt, asked: {
        "message": f"max_tokens={asked} cannot be greater than max_model_len={limit}. Please request fewer output "
        "tokens. (parameter=max_tokens)"
        if asked > limit
        else f"This model's maximum context length is {limit} tokens. However, your prompt has too many."
    },
    "llama.cpp": lambda limit, prompt, asked: {
        "message": f"request ({prompt} tokens) exceeds the available context size ({limit} tokens), try increasing it",
        "type": "exceed_context_size_error",
    },
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_the_model_cannot_read(server: Server, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A model of 40 tokens: the prompt of p1 leaves 7 of them, that of p2 none."""
    lengths = {"What is 1 + 1?": 33, "What is 2 + 1?": 40}

    def answer(self: Handler, body: dict[str, Any], fault: str) -> None:
        prompt, asked = lengths.get(body["messages"][-1]["content"], 11), body["max_tokens"]
        if prompt + asked > 40:
            self.reply(400, {"error": REFUSALS[kind](40, prompt, asked)})
        else:
            choice = {"finish_reason": "length", "message": {"content": f"{asked} of {body['seed']}"}}
            self.reply(200, {"choices": [choice], "usage": {"prompt_tokens": prompt, "completion_tokens": asked}})

    monkeypatch.setattr(Handler, "answer", answer)
    responses = generator(server).generate(PROBLEMS, Sampling(n=3, max_tokens=20), SEEDS)
    expected = {"p0": 20, "p1": 7, "p3": 20}
    assert [(r.problem_id, r.sample, r.n_tokens) for r in responses] == [
        (id_, i, n) for id_, n in expected.items() for i in range(3)
    ]
    assert all(r.text == f"{expected[r.problem_id]} of {SEEDS[r.problem_id][r.sample]}" for r in responses)
    probes = [body for _, _, body, _ in server.asked if body["max_tokens"] == 1]
    assert len(probes) == 2  # one for each problem that was refused
    with pytest.raises(UserError, match=r"problem 'p2': .*context"):
        generator(server, too_long="error").generate(PROBLEMS, Sampling(n=3, max_tokens=20), SEEDS)


def test_a_limit_that_the_server_does_not_name(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(self: Handler, body: dict[str, Any], fault: str) -> None:
        choice = {"finish_reason": "stop", "message": {"content": "x"}}
        good = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
        refused = {"error": {"message": "too much", "code": "context_length_exceeded"}}
        self.reply(*((200, good) if body["max_tokens"] == 1 else (400, refused)))

    monkeypatch.setattr(Handler, "answer", answer)
    with pytest.raises(UserError, match=r"problem 'p0': .* too much: lower sampling\.max_tokens"):
        generator(server).generate(PROBLEMS[:1], Sampling(n=1, max_tokens=20), SEEDS)
