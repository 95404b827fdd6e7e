"""The symbolic worker: limits, deaths, threads, forks, exit."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from places import ROOT

from bonbench.verifiers.math import MathParams, MathVerifier
from bonbench.verifiers.oracle.isolated import NotReady, SymbolicWorker
from harness.core.errors import UserError

TOWER = r"(10)^{(10)^{10}}"


@pytest.fixture(scope="module")
def worker() -> Iterator[SymbolicWorker]:
    worker = SymbolicWorker(0.5, 1536 * 2**20)
    yield worker
    worker.close()


def ask(worker: SymbolicWorker, a: str, b: str) -> tuple[bool, str]:
    with worker.comparison() as oracle:
        return oracle(a, b, False)


def test_a_stuck_question_costs_itself_only(worker: SymbolicWorker) -> None:
    assert ask(worker, r"\frac{2}{4}", r"\frac{1}{2}") == (True, "symbolic")
    assert ask(worker, TOWER, "2") == (False, "timeout")
    assert ask(worker, r"\frac{2}{4}", r"\frac{1}{2}") == (True, "symbolic")


def test_the_time_limit_is_shared_by_one_comparison(worker: SymbolicWorker) -> None:
    """However many questions a comparison has, it gets no more than its share of the wall clock."""
    ask(worker, "1", "1")  # loads the parser, which is a request too
    before = worker._asked
    with worker.comparison() as oracle:
        assert {oracle(TOWER, str(n), False) for n in range(50)} == {(False, "timeout")}
    assert worker._asked - before <= 4  # three shares of processor time, and what rounding leaves of the last


def test_the_worker_has_its_memory_limit(worker: SymbolicWorker) -> None:
    ask(worker, "1", "1")
    assert resource.prlimit(worker._pid, resource.RLIMIT_AS) == (worker.memory, worker.memory)


def test_memory_is_limited() -> None:
    """A question that takes 2 GiB where 1 GiB is allowed fails at once; the time limit is far away."""
    done = run(
        """
        import mmap
        from bonbench.verifiers.oracle import worker

        class Greedy:
            def equal(self, a, b, whole):
                try:
                    return len(bytearray(2**31)) > 0, "allocated"
                except MemoryError:
                    return False, "memory"

        worker._serve(1, 2**30, None, Greedy(), mmap.mmap(-1, 1))
        """,
        input=json.dumps({"id": 1, "a": "1", "b": "1", "whole": False, "cpu_s": 600, "wall_s": 600}) + "\n",
    )
    greeting, answer = map(json.loads, done.stdout.splitlines())
    assert greeting["predecessor"] is None
    assert answer == {"id": 1, "equal": False, "reason": "memory"}


@pytest.mark.parametrize("part", ["build", "_vanishes"])
def test_out_of_memory_is_named(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    from bonbench.verifiers.oracle import symbolic

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(symbolic, part, exhausted)
    assert symbolic.equal(["Sym", "x"], ["Call", "abs", ["Sym", "x"]], False) == (False, "memory")


def test_libraries_that_do_not_load_are_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As where another package has installed a release of antlr4 that latex2sympy2's tables are not for.
    (tmp_path / "antlr4.py").write_text("raise Exception('Could not deserialize ATN with version 3')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("bonbench.verifiers.math.shared_worker", SymbolicWorker)
    verifier = MathVerifier(MathParams(), "math")
    assert verifier.verify([("1/2", "0.5")]) == [(True, "arithmetic")]  # which needs no library
    with pytest.raises(UserError, match="Could not deserialize ATN with version 3"):
        verifier.verify([(r"\int_0^1 x dx", "0.5")])


def test_a_killed_worker_is_replaced(worker: SymbolicWorker) -> None:
    """Whoever kills it, its question is answered by the next one: nothing but the question decides the verdict."""
    ask(worker, "1", "2")
    os.kill(worker._pid, signal.SIGKILL)
    assert ask(worker, "1", "2") == (False, "different")
    assert ask(worker, "2", "2") == (True, "symbolic")
    assert worker._server is not None
    worker._server.process.kill()
    worker._server.process.wait()
    assert ask(worker, "2", "2") == (True, "symbolic")


@pytest.mark.parametrize("victim", ["_pid", pytest.param("_server", marks=pytest.mark.thorough)])
def test_a_worker_that_is_killed_over_a_question_is_asked_again(victim: str) -> None:
    """As the kernel does when memory is scarce; the question takes seconds, unless nothing is asked again."""
    worker = SymbolicWorker(5.0, 1536 * 2**20)
    ask(worker, "1", "1")
    process = worker._pid if victim == "_pid" else worker._server.pid  # type: ignore[union-attr]
    verdicts: list[tuple[bool, str]] = []
    asking = threading.Thread(target=lambda: verdicts.append(ask(worker, TOWER, "2")))
    asking.start()
    while psutil.Process(worker._pid).cpu_times().user < 1.0:  # the process that answers computes
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    asking.join()
    worker.close()
    assert verdicts == [(False, "timeout")]


def test_a_worker_that_cannot_live_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every worker is killed, what is asked has no verdict: neither a wrong one nor an endless wait."""
    monkeypatch.setattr("bonbench.verifiers.math.shared_worker", SymbolicWorker)
    verifier = MathVerifier(MathParams(), "math")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OSError, match="was killed"):
        verifier.verify([(r"\sin^2 x + \cos^2 x", "1")])


def test_a_stopped_worker_is_noticed(worker: SymbolicWorker) -> None:
    """A process that neither computes nor answers is ended by the wall clock."""
    ask(worker, "1", "1")
    os.kill(worker._pid, signal.SIGSTOP)
    assert ask(worker, "1", "1") == (False, "timeout")
    assert ask(worker, "1", "1") == (True, "symbolic")


def test_a_late_answer_is_not_taken_for_another_question(worker: SymbolicWorker) -> None:
    """A process may have answered just before it was killed for being late."""
    ask(worker, "1", "1")
    assert worker._server is not None
    worker._server._unread = json.dumps({"id": worker._asked, "equal": True, "reason": "symbolic"}).encode() + b"\n"
    assert ask(worker, "1", "2") == (False, "different")


def test_threads_share_it(worker: SymbolicWorker) -> None:
    results: list[tuple[bool, str]] = []
    threads = [threading.Thread(target=lambda: results.append(ask(worker, "1+1", "2"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(True, "symbolic")] * 8


def test_answers_do_not_depend_on_history(worker: SymbolicWorker) -> None:
    assert not ask(worker, "x", "3")[0]
    ask(worker, "x=3", "3")
    assert not ask(worker, "x", "3")[0]


def run(code: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, input=input
    )


def test_exit_is_not_blocked_and_nothing_is_left_behind() -> None:
    done = run(r"""
        import threading
        from bonbench.verifiers.math import MathVerifier, MathParams
        verifier = MathVerifier(MathParams(timeout_s=30))
        print(verifier.verify([(r"\sin^2 x + \cos^2 x", "1")]))
        print(verifier._worker._pid, verifier._worker._server.pid, flush=True)
        threading.Thread(target=verifier.verify, args=([(r"\prod_{n=1}^{10^9} n", "1")],), daemon=True).start()
        import time; time.sleep(0.5)
    """)
    assert done.returncode == 0 and done.stderr == ""
    verdict, pids = done.stdout.splitlines()
    assert verdict == "[(True, 'symbolic')]"
    deadline = time.monotonic() + 600  # a guard: a busy machine may take its time
    while any(psutil.pid_exists(int(pid)) for pid in pids.split()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_fork_gets_its_own_worker() -> None:
    done = run(r"""
        import os
        from bonbench.verifiers.math import MathVerifier, MathParams
        verifier = MathVerifier(MathParams())
        pair = [(r"\sin^2 x + \cos^2 x", "1")]
        first = verifier.verify(pair)
        verifier._remembered.clear()
        child = os.fork()
        if child == 0:
            os._exit(0 if verifier.verify(pair) == first else 1)
        assert os.waitpid(child, 0)[1] == 0
        verifier._remembered.clear()
        assert verifier.verify(pair) == first == [(True, "symbolic")]
    """)
    assert done.returncode == 0, done.stderr


def test_plain_answers_need_neither_worker_nor_sympy() -> None:
    done = run(r"""
        import sys
        from bonbench.verifiers.math import MathVerifier, MathParams
        verifier = MathVerifier(MathParams())
        pairs = [("5", "7"), (r"\frac{2}{4}", "0.5"), ("-3/4", r"-\frac{3}{4}"), ("(1, 2)", "(1,2)"),
                 ("(2, 1)", "(1,2)"),
                 (r"(\frac12, -3)", "(0.5,-3)"), ("2.50", "2.5"), ("x = 4", "4"), ("12 cm", "12"),
                 (r"2\sqrt{3}", r"\sqrt{12}"), ("x^2-1", "(x-1)(x+1)"), ("1, 2", "2, 1"), ("", "5"), (None, "5")]
        verifier.verify(pairs)
        assert verifier._worker._server is None
        assert not {"sympy", "latex2sympy2", "torch", "mpmath"} & set(sys.modules)
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
@pytest.mark.ray
@pytest.mark.thorough
def test_inside_ray_actors() -> None:
    """Called from an actor's threads, none of them the main one: limits hold, and the worker ends with its actor."""
    done = run(r"""
        import ray
        from harness.engine.ray_executor import start_ray
        from bonbench.verifiers.math import MathVerifier, MathParams

        class Grader:
            def __init__(self):
                self.verifier = MathVerifier(MathParams(timeout_s=0.5))
            def verify(self, pair):
                return self.verifier.verify([pair])[0]
            def worker(self):
                return self.verifier._worker._server.pid

        start_ray(None)
        graders = [ray.remote(Grader).options(max_concurrency=4, num_cpus=0).remote() for _ in range(2)]
        pairs = [(r"9^{9^{9^9}}", "42"), (r"\sin^2 x + \cos^2 x", "1"), (r"\prod_{n=1}^{10^9} n", "x^2+1"),
                 ("0.5", "1/2")]
        for grader in graders:
            print(ray.get([grader.verify.remote(pair) for pair in pairs]))
        print(*ray.get([grader.worker.remote() for grader in graders]))
        for grader in graders:
            ray.kill(grader)
        ray.shutdown()
    """)
    assert done.returncode == 0, done.stderr
    *verdicts, pids = done.stdout.splitlines()
    assert verdicts == ["[(False, 'timeout'), (True, 'symbolic'), (False, 'timeout'), (True, 'arithmetic')]"] * 2
    deadline = time.monotonic() + 600  # a guard: a busy machine may take its time
    while any(psutil.pid_exists(int(pid)) for pid in pids.split()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_whose_asker_died_ends() -> None:
    """Its answering process finds the pipe closed; another in its place would find the same, for ever."""
    command = [sys.executable, "-m", "bonbench.verifiers.oracle.worker", str(1536 * 2**20)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert b"pid" in process.stdout.readline()
        process.stdout.close()
        question = {"id": 1, "a": "1", "b": "2", "whole": False, "cpu_s": 5, "wall_s": 60}
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        assert process.wait(timeout=300) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.stdin.close()
        process.wait()


def test_the_impatient_are_told_that_the_worker_loads() -> None:
    """A new worker has not loaded its libraries when it has just been started; whoever waits gets an answer."""
    worker = SymbolicWorker(5.0, 1536 * 2**20)
    x = ["Sym", "x"]
    try:
        with worker.comparison(patient=False) as oracle, pytest.raises(NotReady):
            oracle(x, x, False)
        with worker.comparison() as oracle:
            assert oracle(x, x, False) == (True, "symbolic")
        with worker.comparison(patient=False) as oracle:
            assert oracle(x, x, False) == (True, "symbolic")
            with pytest.raises(NotReady):  # LaTeX needs the parser, too
                oracle("x", "x", False)
        assert ask(worker, "x", "x") == (True, "symbolic")
        process = worker._pid
        os.kill(process, signal.SIGKILL)
        assert ask(worker, "x", "x") == (True, "symbolic")
        assert worker._has_parser and worker._pid != process
    finally:
        worker.close()


def test_pairs_that_need_the_worker_are_compared_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bonbench.verifiers.math.shared_worker", SymbolicWorker)
    verifier = MathVerifier(MathParams(timeout_s=5))
    decided: list[str] = []
    compare = MathVerifier._compare

    def noted(self: MathVerifier, a: str, b: str, *rest: Any) -> tuple[bool, str]:
        verdict = compare(self, a, b, *rest)
        decided.append(a)
        return verdict

    monkeypatch.setattr(MathVerifier, "_compare", noted)
    pairs = [(r"\int_0^1 2x dx", "1"), ("1/2", "0.5"), (r"\sum_{k=1}^{3} k", "7"), ("3", "4")]
    assert verifier.verify(pairs) == [
        (True, "symbolic"),
        (True, "arithmetic"),
        (False, "different"),
        (False, "different"),
    ]
    assert decided.index("1/2") < decided.index("3") < decided.index(r"\int_0^1 2x dx")
    verifier._worker.close()
