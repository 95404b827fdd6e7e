"""Grades that came with the responses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from harness.core.components import Verifier
from harness.core.errors import UserError
from harness.core.params import ComponentParams, DataPath
from harness.core.records import Grade, Problem, Response
from harness.data.export_facts import GRADE_COLUMNS, SECOND, is_export, read_facts
from harness.data.response_files import RecordedFile, open_recorded

_OTHERS = "recorded grades are of recorded responses: name another verifier, for instance `type: math`"


class RecordedGradesParams(ComponentParams):
    """Parameters of :class:`RecordedVerifier`."""

    path: DataPath = Field(description="a folder of `bonbench export` (docs/sharing.md)")
    of: Literal["verifier", "second_verifier"] = Field(
        "verifier", description="whose grades to take, where there are two"
    )


class RecordedVerifier(Verifier[RecordedGradesParams]):
    """The grade of a response is the one that a folder of ``bonbench export`` has of it.

    The responses must be those of the same folder, replayed.
    """

    Params: ClassVar[type[ComponentParams]] = RecordedGradesParams
    shares_process = True

    def __init__(self, params: RecordedGradesParams, name: str = "") -> None:
        super().__init__(params, name)
        self._recorded = open_recorded(params.path)

    @classmethod
    def check(cls, params: RecordedGradesParams) -> None:
        """Raise :class:`UserError` for what has no grades."""
        if not is_export(Path(params.path)):
            raise UserError(f"path: {params.path} has no grades: a folder that `bonbench export` wrote is expected")
        facts = read_facts(Path(params.path))
        if params.of == "second_verifier" and not facts.second_verifier:
            raise UserError(f"of: {params.path} has no grades of a second verifier")

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        """The grades of ``responses``.

        Raises:
            UserError: for a response that is not in the folder, or has no grade there.
        """
        assert not isinstance(self._recorded, RecordedFile)
        prefix = SECOND if self.params.of == "second_verifier" else ""
        columns = [prefix + name for name in GRADE_COLUMNS]
        by_id = {problem.problem_id: problem for problem in problems}
        grades = []
        for response in responses:
            extracted, correct, reason, answer_class = self._recorded.about(
                by_id[response.problem_id], response, columns
            ).values()
            place = response.problem_id, response.generator, response.sample
            if correct is None:
                raise UserError(f"{self.params.path}: sample {place[2]} of problem {place[0]!r} has no grade")
            grades.append(Grade(*place, extracted, correct, reason or "", -1 if answer_class is None else answer_class))
        return grades

    def extract(self, text: str) -> str | None:
        """Refused: a text of its own is in no folder.

        Raises:
            UserError: always.
        """
        raise UserError(_OTHERS)

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        """Refused, as :meth:`extract` is.

        Raises:
            UserError: always.
        """
        raise UserError(_OTHERS)
