"""Symbolic comparisons in a worker process that can be killed.

The worker is a fresh interpreter (``python -m bonbench.verifiers.oracle.worker``), never a fork of this one, so that
it can be started from any thread and from inside Ray. It starts when the first comparison needs it.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import bonbench
from bonbench.verifiers.line_process import LineProcess
from harness.core.errors import UserError

#: A leaf: LaTeX, or the lists of :func:`bonbench.verifiers.reading.syntax.to_lists`.
Leaf = str | list[Any]
#: (a, b, whether symbols are whole numbers) -> (equal, reason).
Oracle = Callable[[Leaf, Leaf, bool], tuple[bool, str]]
#: Reasons that stand for a comparison that exceeded its limits.
FAILURES = frozenset({"timeout", "memory", "crash"})
#: Loading sympy may take this long (seconds) on a busy machine; it does not count as anybody's time.
_STARTUP_S = 600.0
#: Wall time allowed, as a multiple of the processor time allowed: on a busy machine waiting is not computing.
_WALL_FACTOR = 3.0
#: How often a question is asked, where something else than the question ends the worker.
_TRIES = 3
_ROOT = str(Path(bonbench.__file__).parent.parent)


@cache
def shared_worker(timeout_s: float, memory: int) -> SymbolicWorker:
    """This process's worker with these limits. All verifiers of the process share it."""
    worker = SymbolicWorker(timeout_s, memory)
    atexit.register(worker.kill)
    return worker


class WorkerDied(Exception):
    """A question ended the worker, or made it fall silent; the message is the verdict's reason."""


class NotReady(Exception):
    """The worker is still loading its libraries, and whoever asked does not wait."""


class WorkerKilled(Exception):
    """Something else ended the worker, such as a kernel short of memory. That says nothing of the question."""


class SymbolicWorker:
    """One worker process, shared by the threads of this process.

    ``timeout_s``: processor time (seconds) allowed for one comparison of two answers; three times that on the wall
    clock. ``memory``: bytes of address space.
    """

    def __init__(self, timeout_s: float, memory: int) -> None:
        self.timeout_s = timeout_s
        self.memory = memory
        self._lock = threading.Lock()
        self._server: LineProcess | None = None
        self._pid = 0  # of the process that answers; 0 while the worker loads its libraries
        self._has_parser = False
        self._loading = 0  # number of the request to load the parser, while it is not answered
        self._asked = 0  # number of the last question: answers to earlier ones may still arrive
        self._owner = os.getpid()

    @contextmanager
    def comparison(self, patient: bool = True) -> Iterator[Oracle]:
        """An oracle whose questions share one time limit.

        The oracle raises ``OSError`` where the worker is killed again and again: no verdict would be true. Unless it is
        ``patient``, it raises ``NotReady`` while the worker loads what the question needs.
        """
        spent = 0.0

        def ask(a: Leaf, b: Leaf, whole: bool = False) -> tuple[bool, str]:
            nonlocal spent
            with self._lock:
                for _ in range(_TRIES):
                    with suppress(WorkerKilled):
                        if not self._is_ready(isinstance(a, str) or isinstance(b, str), _STARTUP_S if patient else 0.0):
                            raise NotReady
                        start = time.monotonic()
                        try:
                            verdict = self._ask(a, b, whole, spent)
                        except WorkerDied as died:
                            verdict = False, str(died)
                        spent += time.monotonic() - start
                        return verdict
            raise OSError("the process that compares answers was killed: is there enough memory?")

        yield ask

    def close(self) -> None:
        """End the worker; the next question starts another."""
        with self._lock:
            self._stop()

    def kill(self) -> None:
        """End the processes at once, also under a question of another thread, which then fails."""
        if self._owner == os.getpid() and self._server is not None:
            self._server.kill()

    def _ask(self, a: Leaf, b: Leaf, whole: bool, spent: float) -> tuple[bool, str]:
        wall_s = _WALL_FACTOR * self.timeout_s - spent
        cpu_s = min(self.timeout_s, wall_s)
        if cpu_s <= 0:
            raise WorkerDied("timeout")
        self._send({"a": a, "b": b, "whole": whole, "cpu_s": cpu_s, "wall_s": wall_s})
        reply = self._read(wall_s, self._asked)
        if reply is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._greeted(self._read(_STARTUP_S, None))
            raise WorkerDied("timeout")
        if "pid" in reply:
            self._greeted(reply)
            if reply["predecessor"] == -signal.SIGKILL:
                raise WorkerKilled
            raise WorkerDied("timeout" if reply["predecessor"] in (-signal.SIGPROF, -signal.SIGALRM) else "crash")
        return bool(reply["equal"]), str(reply["reason"])

    def _send(self, question: dict[str, object]) -> int:
        """Send a question or a request, numbered."""
        assert self._server is not None
        self._asked += 1
        try:
            self._server.send({"id": self._asked, **question})
        except OSError:
            self._stop()
            raise WorkerKilled from None
        return self._asked

    def _greeted(self, greeting: dict[str, object] | None) -> None:
        """Take note of a new answering process; without one, the worker as a whole is given up."""
        if greeting is None:
            self._stop()
        else:
            self._pid = int(str(greeting["pid"]))
            self._has_parser, self._loading = bool(greeting["has_parser"]), 0

    def _read(self, timeout_s: float, question: int | None) -> dict[str, object] | None:
        """The answer to a question, or the greeting of a new answering process; None when the time is up.

        Raises:
            WorkerKilled: at the end of the pipe.
            UserError: where the worker cannot load its libraries, so that no verdict could be trusted.
        """
        assert self._server is not None
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                message = self._server.receive(deadline)
            except EOFError:
                self._stop()
                raise WorkerKilled from None
            if message is None:
                return None
            if "broken" in message:
                self._stop()
                raise UserError(
                    f"verifier: sympy or its LaTeX parser cannot be loaded ({message['broken']}): another package has "
                    "replaced a library that they need; install BonBench into an environment of its own"
                )
            if "pid" in message or message["id"] == question:
                return message

    def _is_ready(self, parser: bool, patience_s: float) -> bool:
        """Have the worker running, with the parser where it is needed; False where that takes longer than allowed."""
        self._launch()
        if not self._pid:
            greeting = self._read(patience_s, None)
            if greeting is None:
                return False
            self._greeted(greeting)
        if self._loading or (parser and not self._has_parser):
            self._loading = self._loading or self._send({"load": True})
            reply = self._read(patience_s, self._loading)
            if reply is None:
                return False
            if "pid" in reply:  # the process that was loading is gone
                self._greeted(reply)
                raise WorkerKilled
            self._has_parser, self._loading = True, 0
        return True

    def _launch(self) -> None:
        """Start the worker where none runs; it greets when its libraries are loaded."""
        if self._owner != os.getpid():
            self._server, self._owner = None, os.getpid()
        if self._server is not None and self._server.process.poll() is None:
            return
        self._stop()
        self._pid = 0
        path = os.pathsep.join(p for p in (_ROOT, os.environ.get("PYTHONPATH")) if p)
        self._server = LineProcess(
            [sys.executable, "-P", "-m", "bonbench.verifiers.oracle.worker", str(self.memory)],
            {**os.environ, "PYTHONPATH": path},
        )

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is None or self._owner != os.getpid():  # after a fork the worker is the parent's
            return
        server.close()

    def __reduce__(self) -> tuple[Callable[[float, int], SymbolicWorker], tuple[float, int]]:
        return shared_worker, (self.timeout_s, self.memory)
