"""``bonbench grade``: a file of answers in, the same rows with verdicts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.components import Verifier
from harness.data.lines import Row
from harness.experiment.entries import build, parse_spec
from harness.experiment.model_files import Artifacts, loadable
from harness.storage.keys import digest
from harness.streams.transform import Transformed, silent, transform

#: Rows graded together: enough that equal answers are decided once, few enough that memory stays small.
_BATCH = 2000


class Grader:
    """The verifier that ``text`` (NAME, NAME:key=value,… or path.py:Class) names.

    Raises:
        UserError: for a mistake in ``text``.
    """

    def __init__(self, text: str = "math") -> None:
        name, entry = parse_spec(text, "--verifier")
        where = f"--verifier {text}"
        spec = build("verifiers", name, entry, where, {})
        self.key = digest("grading", Artifacts().identity(spec))
        self._verifier: Verifier[Any] = spec.cls(loadable(spec.params), spec.name)

    def grade(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with ``extracted``, ``correct`` and ``reason`` added."""
        answers = [self._answer(row) for row in rows]
        pairs = [(answer, str(row["gold"])) for answer, row in zip(answers, rows, strict=True)]
        return [
            {**row, "extracted": answer, "correct": correct, "reason": reason}
            for row, answer, (correct, reason) in zip(rows, answers, self._verifier.verify(pairs), strict=True)
        ]

    def _answer(self, row: Row) -> str | None:
        if "pred" in row:
            return None if row["pred"] is None else str(row["pred"])
        return self._verifier.extract(row["response"])


@dataclass(frozen=True)
class GradeSummary:
    """What became of the lines."""

    file: Transformed

    @property
    def correct(self) -> int:
        return sum(count for (correct, _), count in self.file.counts.items() if correct)

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason decided."""
        reasons: Counter[str] = Counter()
        for (_, reason), count in self.file.counts.items():
            reasons[reason] += count
        return reasons

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        share = 100 * self.correct / self.file.good
        return f"{self.file.good} graded, {self.correct} correct ({share:.2f} %): {reasons}{self.file.complaint()}"


def grade_file(source: Path, output: Path, grader: Grader, progress: Callable[[int], None] = silent) -> GradeSummary:
    """Grade a file of answers; :func:`harness.streams.transform.transform` says how files are read and written.

    A row has ``gold``, and either ``pred`` (an answer; null means no answer) or ``response`` (a solution, from which
    the answer is extracted). It may have other columns. The row is written with ``extracted``, ``correct`` and
    ``reason`` added.

    Raises:
        UserError: for a file that cannot be read or written, or that has no good line.
    """
    return GradeSummary(
        transform(
            source,
            output,
            key=grader.key,
            check=_complaint,
            work=grader.grade,
            batch=_BATCH,
            counted=("correct", "reason"),
            progress=progress,
        )
    )


def _complaint(row: Row) -> str:
    if not isinstance(row.get("gold"), str | int | float):
        return 'no "gold"'
    if "pred" not in row and not isinstance(row.get("response"), str):
        return 'neither "pred" nor "response"'
    return "" if isinstance(row.get("pred"), str | int | float | None) else '"pred" is not a text'
