"""A server speaks the protocol but for a detail: a good answer is lost, or its words about what is wrong are.

MicrosoftDocs/azure-docs#109589, openai/openai-openapi#20 (``finish_reason: null``), vllm-project/vllm#15281, #15241
(the server fills in what a request does not say).
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from model_server import Reply, completion, serving

import harness.core.server.client
from bonbench.generators.openai import OpenAIGenerator
from bonbench.generators.openai_answers import Completion, read_completion
from bonbench.generators.openai_params import OpenAIParams
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.records import Problem, Response, Sampling
from harness.core.server.replies import retry_after
from harness.core.shard_progress import heard_by

PROBLEM = Problem("p", "2 + 2?", "4")
GOOD = completion("It is 4.")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.core.server.client, "_PAUSE_S", 0.001)


def ask(server: Any, seeds: list[int], **params: Any) -> list[Response]:
    values = {"model": "served", "base_url": server.url, "tries": 2, **params}
    model = OpenAIGenerator(OpenAIParams.model_validate(values), "remote")
    return model.generate([PROBLEM], Sampling(n=len(seeds), max_tokens=20), {"p": seeds})


def changed(**choice: Any) -> dict[str, Any]:
    return {**GOOD, "choices": [{**GOOD["choices"][0], **choice}]}


def streamed(*chunks: dict[str, Any], end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


CHUNKS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "It\u2028is "}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "4."}, "finish_reason": "stop"}], "usage": None},
    {"choices": [], "usage": GOOD["usage"]},
]

UNDERSTOOD: dict[str, tuple[Reply, Completion]] = {
    "finish_reason is null": (Reply(changed(finish_reason=None)), Completion("It is 4.", 9, 3, "")),
    "it is null, and as many tokens as asked for": (
        Reply(completion("It is", 20, None)),
        Completion("It is", 9, 20, "length"),
    ),
    "no finish_reason": (
        Reply({**GOOD, "choices": [{"message": {"content": "It is 4."}}]}),
        Completion("It is 4.", 9, 3, ""),
    ),
    "another name for the end": (Reply(changed(finish_reason="eos_token")), Completion("It is 4.", 9, 3, "stop")),
    "text in place of a message": (
        Reply({**GOOD, "choices": [{"text": "It is 4.", "finish_reason": "stop"}]}),
        Completion("It is 4.", 9, 3, "stop"),
    ),
    "numbers as text": (
        Reply({**GOOD, "usage": {"prompt_tokens": "9", "completion_tokens": "3.0"}}),
        Completion("It is 4.", 9, 3, "stop"),
    ),
    "an error that is null": (Reply({**GOOD, "error": None, "model": 7}), Completion("It is 4.", 9, 3, "stop")),
    "a stream nobody asked for": (
        Reply(streamed(*CHUNKS), headers={"Content-Type": "text/event-stream"}),
        Completion("It\u2028is 4.", 9, 3, "stop"),
    ),
    "another type of content": (
        Reply(GOOD, headers={"Content-Type": "text/html"}),
        Completion("It is 4.", 9, 3, "stop"),
    ),
    "compressed": (
        Reply(gzip.compress(json.dumps(GOOD).encode()), headers={"Content-Encoding": "gzip"}),
        Completion("It is 4.", 9, 3, "stop"),
    ),
    "with a byte order mark": (
        Reply(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()),
        Completion("It is 4.", 9, 3, "stop"),
    ),
    "not UTF-8": (
        Reply(json.dumps(GOOD).encode().replace(b"It", b"\xff")),
        Completion("\ufffd is 4.", 9, 3, "stop"),
    ),
    "filtered": (Reply(changed(finish_reason="content_filter")), Completion("It is 4.", 9, 3, "")),
}  # fmt: skip

REFUSED: dict[str, tuple[Reply, str, int]] = {
    # what is sent -> what is said, and how often it is asked for
    "an error with the status of a success": (Reply({"error": {"message": "no worker left"}}), "no worker left", 2),
    "one that waiting does not mend": (Reply({"error": {"message": "no such field", "code": 400}}), "no such field", 1),
    "an error as text": (Reply({"error": "no worker left"}), "no worker left", 2),
    "an error in the response": (Reply(changed(error={"message": "upstream", "code": 502})), "upstream", 2),
    "an error in a stream": (Reply(streamed(CHUNKS[0], {"error": {"message": "no worker left"}})), "no worker left", 2),
    "half a stream": (Reply(streamed(CHUNKS[0], end="")), "breaks off", 2),
    "no responses": (Reply({**GOOD, "choices": []}), "choices is empty", 2),
    "two responses": (Reply({**GOOD, "choices": GOOD["choices"] * 2}), "2 responses are answered", 1),
    "nothing was counted": (Reply({"choices": GOOD["choices"]}), "does not say how many tokens", 1),
    "nothing was counted (null)": (Reply({**GOOD, "usage": None}), "does not say how many tokens", 1),
    "what was counted is no number": (Reply({**GOOD, "usage": {"completion_tokens": -3}}), "no number of tokens", 1),
    "a tool is called": (Reply(completion(None, 9, "tool_calls", tool_calls=[{}])), "calls a tool", 1),
    "all is filtered": (Reply(completion(None, 9, "content_filter")), "content filter", 1),
    "it gave up": (Reply(changed(finish_reason="abort")), "gave up", 2),
    "nothing came": (Reply(completion("", 0, None)), "gave up", 2),
    "a page": (Reply(b"<html><style>p {}</style><h1>Bad gateway</h1>", 502), "answers 502: Bad gateway", 2),
    "a page with the status of a success": (Reply(b"<html><h1>Log in</h1></html>"), "Log in", 2),
    "another protocol": (Reply({"generated_text": "It is 4."}), "not one of its protocol: ", 2),
    "wrong types": (Reply({**GOOD, "choices": "It is 4."}), "choices is empty", 2),
    "half an answer": (Reply(GOOD, cut=20), "ReadError|RemoteProtocolError", 2),
    "FastAPI's": (Reply({"detail": [{"loc": ["body", "seed"], "msg": "too large"}]}, 422), "body.seed: too large", 1),
    "Gemini's": (Reply([{"error": {"code": 400, "message": "no such field"}}], 400), "400: no such field", 1),
    "it sends on": (Reply(b"", 308, {"Location": "https://b.example/x?key=1"}), "sends on to https://b.example/x:", 1),
    "no money": (Reply({"error": {"message": "Out of it", "code": "insufficient_quota"}}, 429), "Out of it", 1),
}  # fmt: skip


def test_what_can_be_understood_is() -> None:
    names = list(UNDERSTOOD)
    with serving(lambda body: UNDERSTOOD[names[body["seed"]]][0]) as server:
        responses = ask(server, list(range(len(names))))
    got = {
        name: Completion(r.text, r.n_prompt_tokens, r.n_tokens, r.finish_reason)
        for name, r in zip(names, responses, strict=True)
    }
    assert got == {name: expected for name, (_, expected) in UNDERSTOOD.items()}
    assert len(server.asked) == len(names)


def test_what_cannot_be_understood_is_said_in_the_servers_words() -> None:
    names = list(REFUSED)
    with serving(lambda body: REFUSED[names[body["seed"]]][0] if body["seed"] < 100 else Reply(GOOD)) as server:
        model = OpenAIGenerator(OpenAIParams(model="served", base_url=server.url, tries=2), "remote")
        model.generate([PROBLEM], Sampling(n=1), {"p": [100]})
        for seed, (name, (_, words, tries)) in enumerate(REFUSED.items()):
            server.asked.clear()
            with pytest.raises(UserError) as error:
                model.generate([PROBLEM], Sampling(n=1), {"p": [seed]})
            assert any(one in str(error.value) for one in words.split("|")), (name, str(error.value))
            assert "\n" not in str(error.value) and server.url in str(error.value)
            assert len(server.asked) == tries, name


def test_a_server_that_drips_is_given_up() -> None:
    said = r"takes longer than timeout_s: 0\.2 for an answer"
    with serving(lambda body: Reply(GOOD, drips=0.02)) as server, pytest.raises(UserError, match=said):
        ask(server, [1], timeout_s=0.2)


def test_a_response_that_cannot_be_used_costs_no_other() -> None:
    def answer(body: dict[str, Any]) -> Reply:
        return Reply({"choices": []} if body["seed"] == 2 else GOOD)

    with serving(answer) as server, pytest.raises(Incomplete, match="problem 'p': ") as error:
        ask(server, [1, 2, 3])
    assert [r.sample for r in error.value.made] == [0, 2]


@pytest.mark.parametrize("owner", ["somebody", "vllm", "llamacpp"])
def test_a_server_fills_in_nothing(owner: str) -> None:
    """Seeds fit into 32 bits with a sign; fields beyond the protocol go to servers that know them alone."""
    with serving(lambda body: Reply(GOOD), owner) as server:
        responses = ask(server, [2**63 - 1, 2**62 + 5], body={"min_p": 0.1})
    assert [r.seed for r in responses] == [2**63 - 1, 2**62 + 5]
    assert sorted(body["seed"] for body in server.asked) == [5, 2**31 - 1]
    extra = {key: value for key, value in server.asked[0].items() if key not in ("seed", "messages", "model")}
    plain = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 20, "min_p": 0.1}
    penalties = {"presence_penalty": 0.0, "frequency_penalty": 0.0}
    assert extra == plain | {
        "somebody": {},
        "vllm": {"top_k": -1, "repetition_penalty": 1.0, **penalties},
        "llamacpp": {"top_k": 0, "repeat_penalty": 1.0, **penalties},
    }[owner]  # fmt: skip


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-12345\n")
    with serving(lambda body: Reply({"error": "Incorrect key: sk-12345"}, 401)) as server:
        with pytest.raises(UserError, match=r"Incorrect key: \*\*\* \(the key is read from .* MY_KEY\)"):
            ask(server, [1], api_key_env="MY_KEY")
        monkeypatch.setenv("MY_KEY", "sk-\u20ac")
        with pytest.raises(UserError, match="the environment variable MY_KEY holds a character that no key has"):
            ask(server, [1], api_key_env="MY_KEY")
    for url in ("http://me:sk-12345@h/v1", "http://h/v1?api_key=sk-12345"):
        with pytest.raises(ValueError, match="no key or password may stand in an address"):
            OpenAIParams(model="m", base_url=url)


@pytest.mark.parametrize(
    ("url", "means"),
    [
        (" http://h:1/v1/ ", "http://h:1/v1"),
        ("https://h/v1/chat/completions", "https://h/v1"),
        ("http://h/openai?api-version=1", "http://h/openai?api-version=1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("h:8000/v1", None),
        ("http://", None),
        ("http://h:99999/v1", None),
        ("http://h/a b", None),
    ],
)
def test_addresses(url: str, means: str | None) -> None:
    if means is None:
        with pytest.raises(ValueError, match="an address is expected"):
            OpenAIParams(model="m", base_url=url)
    else:
        assert OpenAIParams(model="m", base_url=url).base_url == means


def test_a_wait_is_a_number_or_a_date() -> None:
    waits = ["3", "0.5", "-1", "nan", "1e999", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", ""]
    assert [retry_after({"Retry-After": wait}) for wait in waits] == [3, 0.5, 0, 0, 600, 0, 0, 0]


def test_token_ids_are_kept() -> None:
    answer = changed(token_ids=[1, "2", 3])
    assert read_completion(answer, {}, keep_token_ids=True).token_ids == (1, 2, 3)


def test_a_wait_says_for_what() -> None:
    told: list[str] = []
    busy = iter([Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "0"})])
    with serving(lambda body: next(busy, Reply(GOOD))) as server, heard_by(lambda done, total: None, told.append):
        ask(server, [1])
    assert told == [f"{server.url}/chat/completions answers 429: slow down: it is asked again in 0 s", ""]
