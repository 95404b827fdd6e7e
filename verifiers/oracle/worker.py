"""The worker process of ``isolated``: ``python -m bonbench.verifiers.oracle.worker BYTES``.

It loads sympy once, then lives as two processes: this one, which never sees an answer, and a fork of it, with BYTES of
address space, that reads one JSON question per line from standard input and writes one JSON line per answer to standard
output. When the fork dies or is killed, the next one comes within milliseconds; its greeting tells how the last one
ended. Whatever libraries print is discarded. Both end with the pipe.

The parser of LaTeX, which takes longer to load than all else, is loaded when it is asked for (``{"load": true}``), and
once a fork that had it has died, by this process too. Where sympy or the parser cannot be loaded, the worker writes why
and ends.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Any

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
    parser_loaded = mmap.mmap(-1, 1)  # shared with the forks: not 0 when one of them has loaded the parser
    has_parser = False
    while ended != 0:
        child = os.fork()
        if child == 0:
            with suppress(BrokenPipeError):  # whoever asked has died: without this, one child after another would
                _serve(answers, int(sys.argv[1]), ended, symbolic, parser_loaded, has_parser)
            os._exit(0)
        if parser_loaded[0] and not has_parser:  # nobody waits for this: the fork answers already
            symbolic.load_parser()
            has_parser = True
        _, status = os.waitpid(child, 0)
        ended = os.waitstatus_to_exitcode(status)


def _serve(
    answers: int,
    memory: int,
    predecessor: int | None,
    symbolic: Any,
    parser_loaded: mmap.mmap,
    has_parser: bool = False,
) -> None:
    """Answer questions until the pipe ends. Does not return otherwise."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    questions = os.fdopen(0, "rb", buffering=65536, closefd=False)
    _reply(answers, {"pid": os.getpid(), "predecessor": predecessor, "has_parser": has_parser})
    for line in questions:
        question = json.loads(line)
        if "load" in question:
            _load(answers, question["id"], symbolic)
            parser_loaded[0] = 1
            continue
        signal.setitimer(signal.ITIMER_PROF, question["cpu_s"])
        signal.setitimer(signal.ITIMER_REAL, question["wall_s"] + _GRACE_S)
        equal, reason = symbolic.equal(question["a"], question["b"], question["whole"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _reply(answers, {"id": question["id"], "equal": equal, "reason": reason})


def _load(answers: int, question: int, symbolic: Any) -> None:
    try:
        symbolic.load_parser()
    except Exception as error:
        _reply(answers, {"broken": f"{type(error).__name__}: {error}"})
        os._exit(0)
    _reply(answers, {"id": question})


def _reply(answers: int, message: dict[str, object]) -> None:
    os.write(answers, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
