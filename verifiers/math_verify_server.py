"""Answers questions about answers with Math-Verify: run by an interpreter that has it, which need not have BonBench.

Each line of standard input is a JSON question: {"response": …, "gold": …} asks for the final answer and the verdict,
without "gold" for the answer alone; {"answer": …, "gold": …} asks whether two answers are equal. Each line of standard
output is the reply, with "answer" (or null), "equal", or both. What Math-Verify prints is discarded.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any


def main() -> None:
    """Answer questions until the input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.disable(logging.CRITICAL)
    from math_verify import parse, verify  # type: ignore[import-not-found]

    parsed: dict[str, Any] = {}

    def meaning(answer: str) -> Any:
        if answer not in parsed:
            if len(parsed) > 10_000:
                parsed.clear()
            # A box holds text as well as maths; what it cannot be read in may be readable without.
            boxed = answer if "boxed" in answer else f"\\boxed{{{answer}}}"
            parsed[answer] = parse(boxed) or parse(answer)
        return parsed[answer]

    def reply(question: dict[str, str]) -> dict[str, Any]:
        if "answer" in question:
            return {"equal": bool(verify(meaning(question["gold"]), meaning(question["answer"])))}
        stated = parse(question["response"])
        texts = [candidate for candidate in stated if isinstance(candidate, str)]
        answer = {"answer": texts[-1] if texts else None}
        return answer | {"equal": bool(verify(meaning(question["gold"]), stated))} if "gold" in question else answer

    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        try:
            answer = reply(json.loads(line))
        except Exception as error:
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), file=replies, flush=True)


if __name__ == "__main__":
    main()
