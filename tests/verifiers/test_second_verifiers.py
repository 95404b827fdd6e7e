"""Verifiers that grade beside BonBench's own: Math-Verify in an interpreter of its own, and a judge behind a server."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from peers import math_verify_python

from bonbench.verifiers.judge import JudgeParams, JudgeVerifier
from bonbench.verifiers.math_verify import MathVerifyParams, MathVerifyVerifier
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.records import Problem, Response

PROBLEMS = [Problem("half", "1/2?", r"\frac{1}{2}"), Problem("word", "Which curve?", r"\text{ellipse}")]
TEXTS = {
    "half": [r"So \boxed{0.5}.", r"\boxed{2}", r"It is \boxed{\frac{4}{2}}.", "I do not know"],
    "word": [r"\boxed{\text{ellipse}}", r"\boxed{\text{circle}}"],
}
RESPONSES = [
    Response(problem_id=id_, generator="g", sample=i, text=text, n_prompt_tokens=1, n_tokens=1, finish_reason="stop")
    for id_, texts in TEXTS.items()
    for i, text in enumerate(texts)
]


@pytest.fixture(scope="module")
def math_verify() -> MathVerifyVerifier:
    python = math_verify_python()
    if python is None:
        pytest.skip("MATH-VERIFY CANNOT BE INSTALLED: the verifier math-verify goes untested")
    MathVerifyVerifier.check(MathVerifyParams(python=python))
    return MathVerifyVerifier(MathVerifyParams(python=python))


def test_math_verify_grades(math_verify: MathVerifyVerifier) -> None:
    grades = math_verify.grade(PROBLEMS, RESPONSES)
    assert [(g.problem_id, g.sample) for g in grades] == [(r.problem_id, r.sample) for r in RESPONSES]
    assert [g.correct for g in grades] == [True, False, False, False, True, False]
    assert [g.answer_class for g in grades] == [0, 1, 1, -1, 0, 1]  # 2 and 4/2 are one answer
    assert [g.reason for g in grades][:4] == ["math-verify", "different", "different", "no answer"]
    assert math_verify.extract(r"\boxed{x + 1}") == "x + 1"
    assert math_verify.verify([(None, "1"), ("1", "1.0")]) == [(False, "no answer"), (True, "math-verify")]


def test_a_process_that_dies_costs_one_question(math_verify: MathVerifyVerifier) -> None:
    assert math_verify.verify([("1", "1")]) == [(True, "math-verify")]
    process = math_verify._server._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.process.wait()
    assert math_verify.verify([("1", "1"), ("1", "1")]) == [(False, "crash"), (True, "math-verify")]


def test_a_silent_process_is_replaced(math_verify: MathVerifyVerifier) -> None:
    impatient = MathVerifyVerifier(math_verify.params.model_copy(update={"timeout_s": 0.01}))
    process = impatient._server._started()
    os.kill(process.pid, signal.SIGSTOP)
    assert impatient.verify([("1", "1")]) == [(False, "timeout")]
    assert process.process.poll() is not None
    assert impatient._server._started().pid != process.pid


@pytest.mark.parametrize(
    ("python", "version", "complaint"),
    [
        ("no/such/python", "0.9.0", "no/such/python does not run"),
        (sys.executable, "0.9.0", "does not have math-verify"),
        (None, "0.1", "has math-verify 0.9.0, not 0.1"),
    ],
)
def test_a_wrong_interpreter_is_refused(
    math_verify: MathVerifyVerifier, python: str | None, version: str, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        MathVerifyVerifier.check(MathVerifyParams(python=python or math_verify.params.python, version=version))


class Judge(BaseHTTPRequestHandler):
    """Thinks aloud and says yes where the two answers of the prompt are the same number; mute about words.

    It does not read prompts of more than a thousand characters.
    """

    protocol_version = "HTTP/1.1"
    asked: list[dict[str, Any]]

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append(body)
        if len(body["messages"][-1]["content"]) > 1000:
            self.answer(400, {"error": {"message": "This model's maximum context length is 250 tokens."}})
            return
        lines = dict(line.split(": ", 1) for line in body["messages"][-1]["content"].splitlines() if ": " in line)
        answers = lines["Reference answer"], lines["Answer to judge"]
        values = {r"\frac{1}{2}": 0.5, "0.5": 0.5, "2": 2.0, r"\frac{4}{2}": 2.0}
        text = "Hard to say."
        if all(answer in values for answer in answers):
            text = "No, wait. " + ("Yes." if values[answers[0]] == values[answers[1]] else "So: no")
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        self.answer(200, {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def judge() -> Iterator[JudgeVerifier]:
    Judge.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Judge) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        yield JudgeVerifier(JudgeParams(model="judge", base_url=url), "second")
        server.shutdown()
        thread.join()


def test_a_judge_grades(judge: JudgeVerifier) -> None:
    grades = judge.grade(PROBLEMS, RESPONSES)
    assert [g.correct for g in grades] == [True, False, False, False, False, False]
    assert [g.reason for g in grades] == ["judge"] * 3 + ["no answer"] + ["unreadable verdict"] * 2
    assert [g.answer_class for g in grades] == [0, 1, 2, -1, 1, 2]
    assert len(Judge.asked) == 5
    assert {body["temperature"] for body in Judge.asked} == {0.0}
    judge.grade(PROBLEMS, RESPONSES)
    assert len(Judge.asked) == 5  # a verdict is asked for once


def test_a_question_that_the_judge_cannot_read_costs_one_verdict(judge: JudgeVerifier) -> None:
    assert judge.verify([("0.5", "2"), ("1" * 2000, "2"), ("2", "2")]) == [
        (False, "judge"),
        (False, "unreadable verdict"),
        (True, "judge"),
    ]


def test_a_judges_address_is_checked_at_once() -> None:
    with pytest.raises(ValueError, match="an address is expected"):
        JudgeParams(model="judge", base_url="localhost:8000")


def test_an_answer_cannot_rewrite_the_judges_prompt(judge: JudgeVerifier) -> None:
    judge.verify([("{gold}", "2")])
    assert "Answer to judge: {gold}\n" in Judge.asked[0]["messages"][-1]["content"]


def test_a_question_that_fails_costs_its_own_problem(judge: JudgeVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Judge) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = "judge: 3" in body["messages"][-1]["content"]
        yes = {"choices": [{"finish_reason": "stop", "message": {"content": "yes"}}], "usage": {"completion_tokens": 1}}
        self.answer(*((400, {"error": "against our policy"}) if refused else (200, yes)))

    monkeypatch.setattr(Judge, "do_POST", refuse)
    problems = [Problem("a", "?", "2"), Problem("b", "?", "2")]
    responses = [Response(id_, "g", i, rf"\boxed{{{n}}}") for id_, i, n in [("a", 0, 1), ("a", 1, 3), ("b", 0, 1)]]
    with pytest.raises(Incomplete, match=r"problem 'a': .* answers 400: against our policy") as error:
        judge.grade(problems, responses)
    assert [(g.problem_id, g.correct) for g in error.value.made] == [("b", True)]
    with pytest.raises(UserError, match="against our policy"):
        judge.verify([("1", "2"), ("3", "2")])
