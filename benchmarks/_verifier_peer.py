"""Grade with a peer, in the peer's own environment: ``_verifier_peer.py math-verify|prm800k < tasks > verdicts``.

A task is {"kind": "pairs" or "responses", "items": [[pred or response, gold], …]}. The answer has one verdict per item
and the processor seconds that grading took, after the imports and a first item.

``_verifier_peer.py math-verify IN.jsonl OUT.jsonl`` does what ``bonbench grade`` does to a file of responses.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable

Grader = Callable[[str, str], bool]
_LIMIT_S = 5


def math_verify(kind: str) -> Grader:
    from math_verify import parse, verify

    def wrapped(text: str) -> str:
        return text if "$" in text or "boxed" in text else f"${text}$"

    golds: dict[str, object] = {}

    def grade(pred: str, gold: str) -> bool:
        if gold not in golds:
            golds[gold] = parse(wrapped(gold))
        return bool(verify(golds[gold], parse(pred if kind == "responses" else wrapped(pred))))

    return grade


def prm800k(kind: str) -> Grader:
    from mathruler.grader import extract_boxed_content, grade_answer

    def grade(pred: str, gold: str) -> bool:
        return bool(grade_answer(extract_boxed_content(pred) if kind == "responses" else pred, gold))

    return grade


def limited(grade: Grader, pred: str, gold: str) -> bool:
    """A verdict, False for a failure or after ``_LIMIT_S``."""
    signal.alarm(_LIMIT_S)
    try:
        return grade(pred, gold)
    except Exception:
        return False
    finally:
        signal.alarm(0)


def grade_file(grade: Grader, source: str, output: str) -> None:
    with open(source) as responses, open(output, "w") as verdicts:
        for line in responses:
            row = json.loads(line)
            row["correct"] = limited(grade, row["response"], row["gold"])
            verdicts.write(json.dumps(row) + "\n")


def main() -> None:
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    graders = {"math-verify": math_verify, "prm800k": prm800k}
    if len(sys.argv) == 4:
        grade_file(graders[sys.argv[1]]("responses"), sys.argv[2], sys.argv[3])
        return
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    results = []
    for task in json.load(sys.stdin):
        grade = graders[sys.argv[1]](task["kind"])
        limited(grade, r"\boxed{1}", "2")
        started = time.process_time()
        verdicts = [limited(grade, pred, gold) for pred, gold in task["items"]]
        results.append({"verdicts": verdicts, "seconds": time.process_time() - started})
    json.dump(results, out)


if __name__ == "__main__":
    main()
