"""``bonbench grade``: a stream of answers in, the same lines with verdicts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.components import Verifier
from harness.data.lines import Row
from harness.streams.transform import Transformed, transform

#: Lines graded together: enough for equal answers to be decided once, few enough to stay small in memory.
_BATCH = 2000


@dataclass
class GradeSummary:
    """What became of the lines."""

    file: Transformed
    correct: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        share = 100 * self.correct / self.file.good
        return f"{self.file.good} graded, {self.correct} correct ({share:.2f} %): {reasons}{self.file.complaint()}"


def grade_file(
    source: Path, output: Path, verifier: Verifier[Any], progress: Callable[[int], None] | None = None
) -> GradeSummary:
    """Grade a JSONL file; :func:`harness.streams.transform.transform` says how files are read and written.

    Each line has ``gold`` and either ``pred`` (an answer, null for none) or ``response`` (a solution, whose answer is
    extracted), and whatever else; it is written with ``extracted``, ``correct`` and ``reason`` added.

    Raises:
        UserError: for a file that cannot be read or written, or without a single good line.
    """

    def work(rows: Sequence[Row]) -> list[Row]:
        answers = [_answer(row, verifier) for row in rows]
        verdicts = verifier.verify([(answer, str(row["gold"])) for answer, row in zip(answers, rows, strict=True)])
        return [
            {**row, "extracted": answer, "correct": correct, "reason": reason}
            for row, answer, (correct, reason) in zip(rows, answers, verdicts, strict=True)
        ]

    def seen(row: Row) -> None:
        reasons[row["reason"]] += 1
        correct[row["correct"]] += 1

    reasons: Counter[str] = Counter()
    correct: Counter[bool] = Counter()
    key = f"grade {type(verifier).__qualname__} {verifier.revision} {verifier.params.model_dump_json()}"
    file = transform(source, output, key=key, check=_complaint, work=work, batch=_BATCH, seen=seen, progress=progress)
    return GradeSummary(file, correct[True], reasons)


def _complaint(row: Row) -> str:
    if not isinstance(row.get("gold"), str | int | float):
        return 'no "gold"'
    if "pred" not in row and not isinstance(row.get("response"), str):
        return 'neither "pred" nor "response"'
    return "" if isinstance(row.get("pred"), str | int | float | None) else '"pred" is not a text'


def _answer(row: Row, verifier: Verifier[Any]) -> str | None:
    if "pred" in row:
        return None if row["pred"] is None else str(row["pred"])
    return verifier.extract(row["response"])
