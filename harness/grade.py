"""``bonbench grade``: a stream of answers in, the same lines with verdicts out."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from harness.registry import UserError, Verifier

#: Lines graded together: enough for equal answers to be decided once, few enough to stay small in memory.
_BATCH = 2000
_SHOWN_BAD_LINES = 20


@dataclass
class GradeSummary:
    """What became of the lines. ``bad_lines`` are (line number from 1, what is wrong), in order."""

    lines: int = 0
    correct: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    bad_lines: list[tuple[int, str]] = field(default_factory=list)

    def __str__(self) -> str:
        graded = self.lines - len(self.bad_lines)
        share = f" ({100 * self.correct / graded:.2f} %)" if graded else ""
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        text = f"{graded} graded, {self.correct} correct{share}: {reasons}"
        if self.bad_lines:
            shown = "; ".join(f"line {number}: {why}" for number, why in self.bad_lines[:_SHOWN_BAD_LINES])
            more = f"; and {n} more" if (n := len(self.bad_lines) - _SHOWN_BAD_LINES) > 0 else ""
            text += f"\n{len(self.bad_lines)} bad lines, not graded: {shown}{more}"
        return text


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    row: dict[str, Any]
    bad: str = ""


def grade_file(
    source: Path, output: Path, verifier: Verifier[Any], progress: Callable[[int], None] | None = None
) -> GradeSummary:
    """Grade a JSONL file (``.gz`` or plain) line by line, in order, in bounded memory.

    Each line has ``gold`` and either ``pred`` (an answer, null for none) or ``response`` (a solution, whose answer is
    extracted), and whatever else; it is written with ``extracted``, ``correct`` and ``reason`` added. In the place of a
    bad line stands ``{"line", "error"}``, so that the rest keeps its place. ``progress`` is told how many more lines
    are done. ``output`` appears, whole, when all is done; it may be ``source``.

    Raises:
        UserError: for a file that cannot be read or written, or without a single good line.
    """
    summary = GradeSummary()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as sink, _opened(source) as lines:
            stream = _read(lines, source)
            while batch := list(islice(stream, _BATCH)):
                _grade(batch, verifier, summary, sink)
                if progress is not None:
                    progress(len(batch))
        if summary.lines == len(summary.bad_lines):
            first = "; ".join(f"line {number}: {why}" for number, why in summary.bad_lines[:1])
            raise UserError(f"{source}: nothing to grade{': ' + first if first else ''}")
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, output)
    except BaseException:
        os.unlink(temporary)
        raise
    return summary


def _opened(source: Path) -> IO[bytes]:
    try:
        file = source.open("rb")
    except OSError as error:
        raise UserError(f"{source}: cannot be read: {error.strerror}") from error
    return gzip.open(file) if source.suffix == ".gz" else file  # type: ignore[return-value]


def _read(lines: IO[bytes], source: Path) -> Iterator[_Line]:
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(number, line)
    except (OSError, EOFError) as error:
        raise UserError(f"{source}: cannot be read after line {number}: {error}") from error


def _parsed(number: int, line: bytes) -> _Line:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Line(number, {}, f"not JSON ({error})")
    if not isinstance(row, dict):
        return _Line(number, {}, "not a JSON object")
    if not isinstance(row.get("gold"), str | int | float):
        return _Line(number, {}, 'no "gold"')
    if "pred" not in row and not isinstance(row.get("response"), str):
        return _Line(number, {}, 'neither "pred" nor "response"')
    if not isinstance(row.get("pred"), str | int | float | None):
        return _Line(number, {}, '"pred" is not a text')
    return _Line(number, row)


def _grade(batch: list[_Line], verifier: Verifier[Any], summary: GradeSummary, sink: IO[str]) -> None:
    good = [line for line in batch if not line.bad]
    answers = [_answer(line.row, verifier) for line in good]
    verdicts = verifier.verify([(a, str(line.row["gold"])) for a, line in zip(answers, good, strict=True)])
    graded = iter(zip(answers, verdicts, strict=True))
    for line in batch:
        summary.lines += 1
        if line.bad:
            summary.bad_lines.append((line.number, line.bad))
            row: dict[str, Any] = {"line": line.number, "error": line.bad}
        else:
            answer, (correct, reason) = next(graded)
            summary.correct += correct
            summary.reasons[reason] += 1
            row = {**line.row, "extracted": answer, "correct": correct, "reason": reason}
        sink.write(json.dumps(row) + "\n")


def _answer(row: dict[str, Any], verifier: Verifier[Any]) -> str | None:
    if "pred" in row:
        return None if row["pred"] is None else str(row["pred"])
    return verifier.extract(row["response"])
