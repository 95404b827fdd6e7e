"""Reward models behind a server that is asked in JSON, and behind one that answers as vLLM's does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from places import ROOT
from pydantic import ValidationError
from reward_checkpoints import PROBLEM, TEXT, make_checkpoint
from reward_server import RewardServer
from runs import bonbench, table

import harness.core.server.client
from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
from bonbench.reward_models.remote.json_api import Asking, JsonApi
from bonbench.reward_models.remote.model import RemoteRewardModel
from bonbench.reward_models.remote.params import RemoteParams
from bonbench.reward_models.sequence_classifier import SequenceClassifier, SequenceClassifierParams
from harness.core.errors import Unavailable, UserError
from harness.core.incomplete import Incomplete
from harness.core.params import Mark
from harness.core.records import Problem, Response, Solution
from harness.core.server.failures import Unusable
from harness.experiment.spec import marked


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.core.server.client, "_PAUSE_S", 0.001)


@pytest.fixture
def server() -> Iterator[RewardServer]:
    with RewardServer() as one:
        yield one


def batch(*texts: str, problem: str = "p") -> list[Solution]:
    return [
        Solution(Problem(problem, f"{problem}?", "14"), Response(problem, "g", i, text, n_tokens=3))
        for i, text in enumerate(texts)
    ]


def remote(server: RewardServer, **params: Any) -> RemoteRewardModel:
    asked = RemoteRewardModel.ask_server(RemoteParams.model_validate({"base_url": server.url, **params}))
    RemoteRewardModel.check(asked)
    return RemoteRewardModel(asked, "rm")


# -- in JSON ----------------------------------------------------------------------------------------------------------


def test_a_number_for_a_response(server: RewardServer) -> None:
    model = remote(server, path="/score/v2")
    records = model.score([*batch("a", "bbb", "a"), *batch("cc", problem="q")])
    assert [r.step_rewards for r in records] == [(1.0,), (3.0,), (1.0,), (2.0,)]
    assert [(r.problem_id, r.sample, r.step_ends, r.n_tokens) for r in records][1:3] == [
        ("p", 1, (3,), 3),
        ("p", 2, (1,), 3),
    ]
    assert server.times() == {"a": 1, "bbb": 1, "cc": 1}, "equal responses are asked about once"
    assert {path for path, _, _ in server.asked} == {"/score/v2"}
    assert (model.reward, model.score_type, model.describe()) == ("ORM", "unbounded", None)


def test_a_number_for_each_step_and_several_solutions_at_once(server: RewardServer) -> None:
    steps = remote(server, request={"response": "{response}", "steps": "{steps}"}, answer="rewards", per="step")
    (record,) = steps.score(batch("so\n\n14\n"))
    assert (record.step_rewards, record.step_ends, steps.reward) == ((2.0, 2.0), (4, 7), "PRM")
    server.asked.clear()
    several = {"prompts": "{problems}", "responses": "{responses}"}
    many = remote(server, request=several, answer="rewards", batch=2)
    assert [r.step_rewards[0] for r in many.score(batch("a", "bb", "ccc"))] == [1.0, 2.0, 3.0]
    assert sorted(len(body["responses"]) for _, body, _ in server.asked) == [1, 2]
    assert RemoteRewardModel.requests(many.params, 5) == 3
    assert RemoteRewardModel.requests(steps.params, 5) == 5


def test_a_server_is_asked_about_the_part_that_is_read(server: RewardServer) -> None:
    asks = {"request": {"response": "{response}", "steps": "{steps}"}, "answer": "rewards", "per": "step"}
    steps = remote(server, **asks, reads="answer", steps="sentences")
    texts = ["<think>a\n\nb</think>\nSo 7. Then 14.", "<think>a"]
    answered, cut = steps.score_read(batch(*texts))
    assert [body for _, body, _ in server.asked] == [{"response": "So 7. Then 14.", "steps": ["So 7.", "Then 14."]}]
    begin = texts[0].index("So 7.")
    assert (answered.step_rewards, answered.step_ends) == ((5.0, 8.0), (begin + 6, len(texts[0])))
    assert cut.step_rewards == () and steps.why_unscored(batch(*texts)[1]) == "it was cut before its answer"
    with pytest.raises(ValidationError, match="steps: it has one reward for a response"):
        RemoteParams(steps="lines")


def test_what_stands_in_a_text_is_put_in_once() -> None:
    request = {"messages": [{"role": "user", "content": "Q: {problem}"}, "{response}", 3, None], "model": "{model}"}
    api = JsonApi(RemoteParams(request=request, model="m"))
    assert api.body([Asking("{response} {x}", "{problem}", ("{problem}",))]) == {
        "messages": [{"role": "user", "content": "Q: {response} {x}"}, "{problem}", 3, None],
        "model": "m",
    }


@pytest.mark.parametrize(
    ("answer", "path", "per", "complaint"),
    [
        ({"scores": [1]}, "score", "response", "its answer has no score"),
        ({"score": [1]}, "score", "response", r"score is \[1\], a finite number is expected"),
        ({"score": "0.5"}, "score", "response", "score is '0.5', a finite number"),
        ({"score": True}, "score", "response", "score is True, a finite number"),
        ({"score": float("nan")}, "score", "response", "score is nan, a finite number"),
        ([1.0], "1", "response", "its answer has no 1 "),
        ({"a": [1.0]}, "a", "step", "a has 1 scores for 2 steps"),
        ({"a": 1.0}, "a", "step", "a is 1.0, a list for 2 steps is expected"),
    ],
)
def test_an_answer_of_another_shape(answer: Any, path: str, per: Any, complaint: str) -> None:
    with pytest.raises(Unusable, match=complaint):
        JsonApi(RemoteParams(answer=path, per=per)).rewards(answer, [Asking("p", "a\n\nb", ("a", "b"))])


def test_where_the_score_is() -> None:
    for answer, path in (({"data": [{"x": 2}]}, "data.0.x"), (2, ""), ([1, 2], "1"), ({"0": 2}, "0")):
        assert JsonApi(RemoteParams(answer=path)).rewards(answer, [Asking("p", "r", ("r",))]) == [[2.0]]


def test_a_failure_costs_its_own_problem(server: RewardServer) -> None:
    server.faults["b"] = [503, 503]  # it passes
    server.faults["bad"] = [b'{"score": [1, 2]}'] * 9
    server.faults["no"] = [400] * 9
    solutions = [*batch("a", "b"), *batch("c", "bad", problem="q"), *batch("no", problem="r")]
    with pytest.raises(Incomplete) as caught:
        remote(server).score(solutions)
    assert [(r.problem_id, r.sample) for r in caught.value.made] == [("p", 0), ("p", 1), ("q", 0)]
    assert set(caught.value.missing) == {"q", "r"}
    url = server.url
    assert caught.value.missing["q"].startswith(f"sample 1 of g: {url}: score is [1, 2], a finite number is expected")
    assert f"sample 0 of g: {url} answers 400: no 400" in caught.value.missing["r"]
    assert (server.times()["b"], server.times()["no"]) == (3, 1), "a refusal is not asked for again"


def test_secrets_stay_in_the_environment(server: RewardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"X-Key": "REWARD_KEY"}
    with pytest.raises(UserError, match=r"headers\.X-Key: the environment variable REWARD_KEY is not set"):
        remote(server, headers=headers)
    monkeypatch.setenv("REWARD_KEY", "hush-hush")
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-server")
    model = remote(server, headers=headers)
    model.score(batch("a"))
    assert server.asked[0][2]["X-Key"] == "hush-hush"
    assert not any("of-another-server" in str(headers) for _, _, headers in server.asked)
    server.faults["bad"] = [400]
    with pytest.raises(Incomplete) as caught:
        model.score(batch("bad"))
    assert "no 400, ***" in str(caught.value) and "hush" not in str(caught.value)
    assert "hush" not in model.params.model_dump_json()
    assert {"headers", "base_url", "api_key_env"} <= set(marked(RemoteParams, Mark.RUNTIME))
    for wrong in ({"headers": {"X-Key": "sk-123/45"}}, {"base_url": "http://me:secret@host"}):
        with pytest.raises(ValidationError) as refused:
            RemoteParams.model_validate(wrong)
        assert "expected" in str(refused.value) or "no key or password" in str(refused.value)


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"api": "vllm-classify"}, "tokenizer: missing"),
        ({"api": "vllm-score", "path": "/x"}, "path is for api: json"),
        ({"tokenizer": "a/b"}, "tokenizer is for api: vllm-classify and vllm-pooling"),
        ({"api": "vllm-score", "base_url": "http://h/v1"}, "base_url: vLLM has its reward models beside /v1"),
        ({"too_long": "truncate"}, "too_long: truncate is for"),
        ({"base_url": "localhost:9000"}, "an address is expected"),
    ],
)
def test_mistakes(params: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RemoteParams.model_validate(params)


# -- as vLLM's server -------------------------------------------------------------------------------------------------


class VllmLike(RewardServer):
    """Answers /classify and /pooling with the outputs of a reward model here, at all tokens of what it is given."""

    def __init__(self, model: SequenceClassifier | HeadPRM) -> None:
        super().__init__()
        self._model = model
        self.rows: Any = None  # what an answer's rows are made of, where it is not all of them
        self.models = [{"id": "served", "root": "/models/x", "max_model_len": 8192, "created": 0}]
        self.version = "1.2"

    def looked(self, path: str) -> Any:
        return {"/v1/models": {"data": self.models}, "/version": {"version": self.version}}.get(path)

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        import torch

        lm = self._model.reader.lm  # type: ignore[union-attr]
        with torch.inference_mode():
            hidden = lm.base_model(input_ids=torch.tensor([body["input"]])).last_hidden_state[0]
            outputs = lm.score(hidden).float().tolist()
        assert body["use_activation"] is False
        if path == "/score":
            return {"data": [{"score": 0.5}]}
        if path == "/classify":
            return {"data": [{"index": 0, "probs": outputs[-1]}]}
        return {"data": [{"index": 0, "data": outputs if self.rows is None else self.rows(outputs)}]}


ONE, TWO = {"score.weight": (1, 32)}, {"score.weight": (2, 32), "score.bias": (2,)}
QWEN = {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (2, 32), "score.2.bias": (2,)}
TEXTS = [TEXT, "Step 1: 14", "", "so\n\n14\n", TEXT, "7 + 7 = 14. " * 90]


def solutions() -> list[Solution]:
    return [
        Solution(Problem("p", PROBLEM, "14"), Response("p", "g", i, text, finish_reason="stop"))
        for i, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize("api", ["vllm-classify", "vllm-pooling"])
def test_tokens_are_laid_out_as_for_the_model_here(api: str, tmp_path: Path) -> None:
    heads: dict[str, tuple[int, ...]] = {**(ONE if api == "vllm-classify" else TWO)}
    folder = make_checkpoint(tmp_path, "llama", heads, num_labels=heads["score.weight"][0])
    here: SequenceClassifier | HeadPRM
    if api == "vllm-classify":
        here = SequenceClassifier(SequenceClassifierParams(model=folder), "rm")
    else:
        here = HeadPRM(HeadPRMParams(model=folder), "rm")
    (tmp_path / "model.safetensors").unlink()  # it is the server that has the weights
    with VllmLike(here) as server:
        there = remote(server, api=api, tokenizer=folder)
        for found, expected in zip(there.score(solutions()), here.score(solutions()), strict=True):
            assert found.step_rewards == pytest.approx(expected.step_rewards, abs=1e-5)
            assert replace(found, step_rewards=()) == replace(expected, step_rewards=())
        assert (there.reward, there.score_type) == (here.reward, here.score_type)
        facts = there.describe()
        assert facts is not None and facts.config["hidden_size"] == 32
        assert there.served == {"id": "served", "root": "/models/x", "max_model_len": 8192, "version": "1.2"}
        server.models[0]["max_model_len"] = 200  # less than the model's positions reach
        assert remote(server, api=api, tokenizer=folder).score(solutions())[-1].step_rewards == ()


def test_a_server_that_answers_at_step_tags_alone(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "qwen", QWEN)
    asked = {"tokenizer": folder, "convention": "qwen2.5-math-prm", "api": "vllm-pooling"}
    here = HeadPRM(HeadPRMParams(model=folder, convention="qwen2.5-math-prm"), "rm")
    (reading,) = here.encode(solutions()[:1])
    with VllmLike(here) as server:
        server.rows = lambda outputs: [outputs[at] for at in reading.reads]
        there = remote(server, **asked)
        (expected,) = here.score(solutions()[:1])
        (found,) = there.score(solutions()[:1])
        assert found.step_rewards == pytest.approx(expected.step_rewards, abs=1e-6)
        server.rows = lambda outputs: outputs[:-1]
        with pytest.raises(Incomplete, match=r"sample 0 of g: .*/pooling: \d+ outputs for \d+ tokens, 2 of which are"):
            there.score(solutions()[:1])
        with pytest.raises(UserError, match=r"has token-classifier, qwen2\.5-math-prm"):
            remote(server, **{**asked, "convention": "skywork-o1-prm"})


def test_which_model_the_server_has(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "llama", {"score.weight": (1, 32)}, num_labels=1)
    with VllmLike(SequenceClassifier(SequenceClassifierParams(model=folder))) as server:
        params = RemoteParams.model_validate({"base_url": server.url, "api": "vllm-score"})
        asked = RemoteRewardModel.ask_server(params)
        server.version = "1.3"
        with pytest.raises(UserError, match=r"version 1\.3 now, and had .*version 1\.2 when this"):
            RemoteRewardModel(asked)
        with pytest.raises(UserError, match=r"no server answered at .* start it again"):
            RemoteRewardModel(params)
        server.models.append({**server.models[0], "id": "other"})
        with pytest.raises(UserError, match="has served, other: say which"):
            RemoteRewardModel.ask_server(params)
        with pytest.raises(UserError, match=r"has no model named 'servd'; did you mean served\?"):
            RemoteRewardModel.ask_server(params.model_copy(update={"model": "servd"}))
    with pytest.raises(Unavailable, match="no server answers"):
        RemoteRewardModel.ask_server(params)


# -- in a run ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def config(server: RewardServer, tmp_path: Path) -> Path:
    lines = [
        {
            "problem_id": str(p),
            "problem": f"{p}?",
            "gold": "1",
            "samples": [{"text": f"{p}: " + "x" * i} for i in (3, 5)],
        }
        for p in range(4)
    ]
    (tmp_path / "responses.jsonl").write_text("\n".join(map(json.dumps, lines)))
    server.about = {"model": "m", "version": 1}
    experiment = {
        "name": "e",
        "output": str(tmp_path / "results"),
        "problems": {"test": {"dataset": "responses", "path": str(tmp_path / "responses.jsonl")}},
        "generators": {"g": {"type": "replay", "path": str(tmp_path / "responses.jsonl")}},
        "reward_models": {"mine": {"type": "remote", "base_url": server.url, "about": "/about", "tries": 2}},
        "evaluation": {"n": [1, 2], "bootstrap": 10},
        "problems_per_shard": 4,
    }
    (tmp_path / "e.json").write_text(json.dumps(experiment))
    return tmp_path / "e.json"


def planned(config: Path) -> dict[str, int]:
    """The requests of the stages that a plan would compute."""
    stages = json.loads(bonbench("plan", config, "--json").out)["stages"]
    return {stage["who"]: stage["requests"] for stage in stages if stage["missing"]}


@pytest.mark.thorough
def test_a_run_asks_for_what_is_missing(config: Path, server: RewardServer) -> None:
    results, others = config.parent / "results", ("length", "ensemble:{of: [mine, length]}")
    run: tuple[object, ...] = ("run", config, "--local", "--until", "score")
    run += tuple(word for spec in others for word in ("--reward-model", spec))
    server.faults["2: xxx"] = [400]
    done = bonbench(*run)
    assert done.code == 1
    assert f"problem '2': sample 0 of g: {server.url} answers 400: no 400" in done.err
    for name in ("mine", "ensemble"):  # what combines its scores goes on without the problem, too
        assert sorted(set(table(results, f"scores/{name}")["problem_id"])) == ["0", "1", "3"]
    server.asked.clear()
    done = bonbench(*run)
    assert done.code == 0, done.err
    assert set(server.times()) <= {"2: xxx", "2: xxxxx"}
    # Both reward models rank the longer one of two higher.
    assert table(results, "scores/ensemble")["step_rewards"].map(list).tolist() == [[0.25], [0.75]] * 4
    assert table(results, "scores/mine")["step_rewards"].map(list).tolist() == [[6.0], [8.0]] * 4
    server.about = {"model": "m", "version": 2}  # another model: its scores are others, and what is made of them
    server.asked.clear()
    assert planned(config) == {"mine": 8}
    assert not server.asked
    server.shutdown()
    server.server_close()
    done = bonbench(*run)
    assert (done.code, "Nothing to compute" in done.err) == (0, True), "what is stored needs no server"
    done = bonbench(*run, "--set", "reward_models.mine.path=/other")
    assert done.code == 1, "the entry fails alone"
    assert "quarantined: scores/mine" in done.err and "no server answers at" in done.err
    assert len(table(results, "scores/length")) == 8


def test_a_file_is_scored(server: RewardServer, tmp_path: Path) -> None:
    rows = [{"problem": "1?", "response": text} for text in ("a", "bbb")]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec = f"remote:{{base_url: '{server.url}', path: /score}}"
    done = bonbench("score", tmp_path / "in.jsonl", "--reward-model", spec, "-o", tmp_path / "out.jsonl")
    assert done.code == 0, done.err
    found = [json.loads(line)["score"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert found == [1.0, 3.0]
    # A bad line is named, and the others are neither lost nor paid for again.
    server.faults["bbb"] = [400] * 9
    server.asked.clear()
    rows += [{"problem": f"{i}?", "response": "c" * i} for i in range(1, 9)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = bonbench("score", tmp_path / "in.jsonl", "--reward-model", spec, "-o", tmp_path / "out.jsonl")
    assert done.code == 2
    assert "line 2: " in done.err and "answers 400" in done.err
    assert max(server.times().values()) == 1


def test_the_guides_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (ROOT / "docs" / "reward-servers.md").read_text().split("```python\n")[1].split("```")[0]
    *lines, last = source.strip().splitlines()
    assert last.endswith(".serve_forever()") and len(lines) <= 22
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    monkeypatch.setattr(names["Handler"], "log_message", lambda *_: None)
    with names["ThreadingHTTPServer"](("127.0.0.1", 0), names["Handler"]) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        asked = {"base_url": f"http://127.0.0.1:{server.server_address[1]}", "path": "/score", "about": "/about"}
        params = RemoteRewardModel.ask_server(RemoteParams.model_validate(asked))
        assert params.served == {"about": {"model": "shortest", "version": 1}}
        assert RemoteRewardModel(params, "mine").score(batch("abc"))[0].step_rewards == (-3.0,)
        server.shutdown()
