"""Math-Verify as a verifier. It needs another ANTLR than BonBench, so it runs in an interpreter of its own."""

from __future__ import annotations

import atexit
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from bonbench.verifiers.answer_classes import Grader
from bonbench.verifiers.line_process import LineProcess
from harness.core.components import Verifier
from harness.core.errors import UserError, one_line
from harness.core.params import ComponentParams, Runtime
from harness.core.records import Grade, Problem, Response

_SERVER = Path(__file__).with_name("math_verify_server.py")
_VERSION = "import importlib.metadata as m; print(m.version('math-verify'))"
#: Loading sympy may take this long (seconds) on a busy machine.
_STARTUP_S = 300.0
_FAILURES = frozenset({"timeout", "crash"})
_HOW = "python -m venv peers && peers/bin/pip install 'math-verify[antlr4-13-2]', then python: peers/bin/python"


class MathVerifyParams(ComponentParams):
    """Parameters of :class:`MathVerifyVerifier`."""

    python: Runtime[str] = Field(description="interpreter of an environment that has the package math-verify")
    version: str = Field("0.9.0", description="the version of math-verify that it must have; grades depend on it")
    timeout_s: float = Field(10.0, gt=0, description="seconds for one question; Math-Verify limits itself to five")


class MathVerifyVerifier(Verifier[MathVerifyParams]):
    """Grades by Math-Verify (https://github.com/huggingface/Math-Verify), to compare verifiers.

    It reads the whole response; the answer shown is its own extraction. Reasons: ``math-verify`` for a right answer;
    ``different``, ``no answer``, or a question that failed: ``timeout``, ``crash``, ``error``.
    """

    Params: ClassVar[type[ComponentParams]] = MathVerifyParams

    def __init__(self, params: MathVerifyParams, name: str = "") -> None:
        super().__init__(params, name)
        self._server = _Server(params.python, params.timeout_s)

    @classmethod
    def check(cls, params: MathVerifyParams) -> None:
        """Ask the interpreter which version it has.

        Raises:
            UserError: where it does not run, lacks Math-Verify, or has another version.
        """
        try:
            done = subprocess.run([params.python, "-c", _VERSION], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"python: {params.python} does not run: {one_line(error)}") from None
        if done.returncode:
            raise UserError(f"python: {params.python} does not have math-verify; {_HOW}")
        if (version := done.stdout.strip()) != params.version:
            raise UserError(f"python: {params.python} has math-verify {version}, not {params.version}: set version")

    def extract(self, text: str) -> str | None:
        answer = self._server.ask({"response": text}).get("answer")
        return None if answer is None else str(answer)

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        return [(False, "no answer") if answer is None else self._compare(answer, gold) for answer, gold in pairs]

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        golds = {p.problem_id: p.answer for p in problems}
        answers: list[str | None] = []
        verdicts: dict[tuple[str, str], tuple[bool, str]] = {}
        for response in responses:
            gold = golds[response.problem_id]
            reply = self._server.ask({"response": response.text, "gold": gold})
            answer = reply.get("answer", "" if "failure" in reply else None)
            answers.append(answer)
            if answer is not None:
                verdicts.setdefault((answer, gold), _verdict(reply))
        grader = Grader(lambda answer, gold: verdicts[answer, gold], self._compare, _FAILURES)
        return grader.grades(problems, responses, answers)

    def _compare(self, answer: str, gold: str) -> tuple[bool, str]:
        return _verdict(self._server.ask({"answer": answer, "gold": gold}))


def _verdict(reply: dict[str, Any]) -> tuple[bool, str]:
    if "failure" in reply:
        return False, str(reply["failure"])
    return (True, "math-verify") if reply["equal"] else (False, "different")


class _Server:
    """A process that answers one question at a time. One that is silent too long is killed, and the next one starts."""

    def __init__(self, python: str, timeout_s: float) -> None:
        self._python, self._timeout_s = python, timeout_s
        self._lock = threading.Lock()
        self._process: LineProcess | None = None
        atexit.register(self._stop)

    def ask(self, question: dict[str, str]) -> dict[str, Any]:
        """The reply; ``{"failure": reason}`` where there is none.

        Raises:
            UserError: where the process cannot start.
        """
        with self._lock:
            process = self._started()
            try:
                process.send(question)
            except OSError:
                self._stop()
                return {"failure": "crash"}
            reply = self._read(process, self._timeout_s)
        return {"failure": "error"} if "error" in reply else reply

    def _started(self) -> LineProcess:
        if self._process is None:
            self._process = LineProcess(
                [self._python, "-P", str(_SERVER)],
                {key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            )
            if "ready" not in self._read(self._process, _STARTUP_S):
                raise UserError(
                    f"verifier: Math-Verify does not start in {self._python}: try `import math_verify` there"
                )
        return self._process

    def _read(self, process: LineProcess, timeout_s: float) -> dict[str, Any]:
        try:
            reply = process.receive(time.monotonic() + timeout_s)
        except EOFError:
            reply = {"failure": "crash"}
        if reply is None:
            reply = {"failure": "timeout"}
        if "failure" in reply:
            self._stop()
        return reply

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()
