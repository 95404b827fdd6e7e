"""The worker process of ``isolated``: ``python -m bonbench.verifiers.oracle.worker BYTES``.

It loads sympy and the parser once, then lives as two processes: this one, which never sees an answer, and a fork of it,
with BYTES of address space, that reads one JSON question per line from standard input and writes one JSON line per
answer to standard output. When the fork dies or is killed, the next one is there within milliseconds; its greeting
tells how the last one ended. Whatever libraries print is discarded. Both end with the pipe.

Where sympy or the parser cannot be loaded, the worker writes why and ends.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress

#: Beyond its processor time, and some time after its wall time, a question ends its process, whoever still listens.
_GRACE_S = 5.0


def main() -> None:
    """Load the libraries, then fork a process that answers, and another whenever one has ended early."""
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        from bonbench.verifiers.oracle import symbolic

        symbolic.warm_up()
    except Exception as error:
        _reply(answers, {"broken": f"{type(error).__name__}: {error}"})
        return
    ended: int | None = None
    while ended != 0:
        child = os.fork()
        if child == 0:
            with suppress(BrokenPipeError):  # whoever asked has died: without this, one child after another would
                _serve(answers, int(sys.argv[1]), ended, symbolic)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ended = os.waitstatus_to_exitcode(status)


def _serve(answers: int, memory: int, predecessor: int | None, symbolic: object) -> None:
    """Answer questions until the pipe ends. Does not return otherwise."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    questions = os.fdopen(0, "rb", buffering=65536, closefd=False)
    _reply(answers, {"pid": os.getpid(), "predecessor": predecessor})
    for line in questions:
        question = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, question["cpu_s"])
        signal.setitimer(signal.ITIMER_REAL, question["wall_s"] + _GRACE_S)
        equal, reason = symbolic.equal(question["a"], question["b"], question["whole"])  # type: ignore[attr-defined]
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _reply(answers, {"id": question["id"], "equal": equal, "reason": reason})


def _reply(answers: int, message: dict[str, object]) -> None:
    os.write(answers, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
