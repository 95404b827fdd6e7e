"""``bonbench grade``: a file of answers in, the same rows with verdicts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.components import Verifier
from harness.core.errors import UserError
from harness.data.lines import Row
from harness.experiment.config import set_key
from harness.experiment.entries import build, parse_spec
from harness.experiment.model_files import Artifacts, loadable
from harness.experiment.spec import Spec
from harness.storage.keys import digest
from harness.streams.graded_rows import answer, complaint, golds, has_answer
from harness.streams.transform import Transformed, silent, transform

#: Rows graded together: enough that equal answers are decided once, few enough that memory stays small.
_BATCH = 2000


class Grader:
    """The verifier that ``text`` (NAME, NAME:key=value,… or path.py:Class) names, with the options of ``overrides``.

    Attributes:
        key: what decides the verdicts.
        settings: the verifier and its options, for a line of text.

    Raises:
        UserError: for a mistake in ``text`` or in ``overrides`` (each KEY=VALUE).
    """

    def __init__(self, text: str = "math", overrides: Sequence[str] = ()) -> None:
        name, entry = parse_spec(text, "--verifier")
        spec = build("verifiers", name, entry, f"--verifier {text}", {})
        for override in overrides:
            spec = _with_option(spec, entry, override)
        artifacts = Artifacts()
        self.key = digest("grading", artifacts.identity(spec))
        options = spec.params.model_dump(mode="json")
        self.settings = " ".join((name, *(f"{option}={value}" for option, value in options.items())))
        self._verifier: Verifier[Any] = spec.cls(loadable(artifacts.pinned(spec).loads), spec.name)

    def grade(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with ``extracted``, ``correct`` and ``reason`` added."""
        answers = [answer(row) if has_answer(row) else self._verifier.extract(row["response"]) for row in rows]
        verdicts = self._verdicts(answers, [golds(row) for row in rows])
        return [
            {**row, "extracted": extracted, "correct": correct, "reason": reason}
            for row, extracted, (correct, reason) in zip(rows, answers, verdicts, strict=True)
        ]

    def _verdicts(self, answers: Sequence[str | None], golds: Sequence[Sequence[str]]) -> list[tuple[bool, str]]:
        """The verdict on each answer by the first gold answer that it equals, else by the first gold answer."""
        verdicts = self._verifier.verify([(a, accepted[0]) for a, accepted in zip(answers, golds, strict=True)])
        for place in range(1, max(map(len, golds), default=1)):
            open_rows = [i for i, (correct, _) in enumerate(verdicts) if not correct and place < len(golds[i])]
            again = self._verifier.verify([(answers[i], golds[i][place]) for i in open_rows])
            for i, verdict in zip(open_rows, again, strict=True):
                verdicts[i] = verdict if verdict[0] else verdicts[i]
        return verdicts


def _with_option(spec: Spec[Any], entry: dict[str, Any], override: str) -> Spec[Any]:
    """The verifier with one more option, KEY=VALUE, which is added to its entry.

    ``verifier.KEY=VALUE``, as an experiment's ``--set`` spells it, is the same.
    """
    override = override.removeprefix("verifier.")
    options = spec.cls.Params.model_fields
    set_key(entry, override, example="KEY=VALUE of an option")
    option = override.partition("=")[0].partition(".")[0]
    if option not in options:
        choice = f"its options are {', '.join(options)}" if options else "it has none"
        raise UserError(f"--set {override}: {spec.name} has no option {option!r}; {choice}")
    try:
        return build("verifiers", spec.name, entry, "", {})
    except UserError as error:
        raise UserError(f"--set {error}") from None


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

    A row has ``gold`` (or ``answer``, ``target``), the gold answer or a list of acceptable ones. It has either ``pred``
    (or ``prediction``; null means no answer) or ``response``, from which the answer is extracted. It may have other
    columns. The row is written with ``extracted``, ``correct`` and ``reason`` added.

    Raises:
        UserError: for a file that cannot be read or written, or that has no good line.
    """
    return GradeSummary(
        transform(
            source,
            output,
            key=grader.key,
            check=complaint,
            work=grader.grade,
            batch=_BATCH,
            counted=("correct", "reason"),
            progress=progress,
        )
    )
