"""The mathematical verifier: extraction, equivalence, and grades."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bonbench.verifiers.answer_classes import Grader
from bonbench.verifiers.equivalence.choices import as_option, by_choice
from bonbench.verifiers.equivalence.comparison import Comparison
from bonbench.verifiers.equivalence.policy import Policy
from bonbench.verifiers.equivalence.simplified import is_simplified
from bonbench.verifiers.equivalence.verdict import Verdict, any_equal
from bonbench.verifiers.oracle.isolated import FAILURES, NotReady, shared_worker
from bonbench.verifiers.reading.choices import read_choice
from bonbench.verifiers.reading.extraction import extract
from bonbench.verifiers.reading.first_answer import extract_first, is_answered
from bonbench.verifiers.reading.interpret import interpret
from bonbench.verifiers.reading.rounded import interpret_rounded
from harness.core.components import Verifier
from harness.core.errors import UserError
from harness.core.params import ComponentParams, Unkeyed
from harness.core.records import Grade, Problem, Response
from harness.data.golds import after_hashes

CorrectAndReason = tuple[bool, str]

#: Verdicts remembered. Cost then follows distinct (answer, gold) pairs, also across calls.
_MAX_REMEMBERED = 50_000


class MathParams(Policy):
    """Parameters of :class:`MathVerifier`: which answer counts, the choices of :class:`Policy`, and the limits of one
    comparison."""

    answer: Annotated[Literal["last", "first"], Unkeyed(("last",))] = Field(
        default="last",
        description="last: the last answer of a response counts; first: the first one that is marked as final, for "
        "base models that go on with another problem",
    )
    timeout_s: float = Field(
        default=2.0, gt=0, description="processor seconds of one comparison; three times that on the wall clock"
    )
    memory_mb: int = Field(default=2048, ge=512, description="address space of one comparison, in MiB")


class MathVerifier(Verifier[MathParams]):
    """Grades answers to mathematical problems by meaning, not spelling.

    Reasons for a right answer: ``exact`` (the same but for spelling), ``arithmetic``, ``symbolic``,
    ``rounded`` (only with ``rounding``). For a wrong one:
    ``no answer``, ``different``, ``unreadable``, ``unsimplified``, or a comparison that exceeded its limits:
    ``timeout``, ``memory``, ``crash``; ``error`` would be a defect here. Verdicts do not depend on earlier ones.
    """

    Params: ClassVar[type[ComponentParams]] = MathParams
    revision = 2
    shares_process = True

    def __init__(self, params: MathParams, name: str = "") -> None:
        super().__init__(params, name)
        self._exact = params.model_copy(update={"rounding": "reject"})
        self._worker = shared_worker(params.timeout_s, params.memory_mb * 2**20)
        self._remembered: dict[tuple[str, str, bool], CorrectAndReason] = {}

    def extract(self, text: str) -> str | None:
        return extract_first(text) if self.params.answer == "first" else extract(text)

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[CorrectAndReason]:
        """(correct, reason) of each pair. Pairs that need the symbolic worker are left to the end, while it loads."""
        verdicts: dict[int, CorrectAndReason] = {}
        for patient in (False, True):
            for i, (answer, gold) in enumerate(pairs):
                if i not in verdicts:
                    with suppress(NotReady):
                        verdicts[i] = self._verdict(answer, gold, patient)
        return [verdicts[i] for i in range(len(pairs))]

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        grader = Grader(self._verdict, partial(self._compared, is_gold=False), FAILURES, self._stated)
        return grader.grades(problems, responses, [self._answer(response) for response in responses])

    def _answer(self, response: Response) -> str | None:
        """The answer of a response; one that was cut off has none, unless it had marked it as final before."""
        if response.finish_reason == "length":
            has_answer = is_answered(response.text) if self.params.answer == "first" else "box" in response.text
            if not has_answer:
                return None
        return self.extract(response.text)

    def _verdict(self, answer: str | None, gold: str, patient: bool = True) -> CorrectAndReason:
        if answer is None:
            return False, "no answer"
        gold = after_hashes(gold)
        answer = self._stated(answer, gold)
        correct, reason = self._compared(answer, gold, is_gold=True, patient=patient)
        if correct and self.params.unsimplified == "reject" and answer.strip() != gold.strip():
            left, right = interpret(answer).answers, interpret(gold).answers
            names_option = self.params.choices == "auto" and read_choice(answer) is not None
            if left and right and not names_option and not is_simplified(left[0], right[0]):
                return False, "unsimplified"
        return correct, reason

    def _stated(self, answer: str, gold: str) -> str:
        """An answer as it is compared: what follows GSM8K's hashes, an option in capitals."""
        answer = after_hashes(answer)
        return as_option(answer, gold) if self.params.choices == "auto" else answer

    def _compared(self, a: str, b: str, is_gold: bool, patient: bool = True) -> CorrectAndReason:
        """Whether two answers are equal; ``rounding`` counts where ``b`` is the gold answer."""
        key = (a, b, is_gold and self.params.rounding != "reject")
        verdict = self._remembered.get(key)
        if verdict is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            try:
                verdict = self._compare(a, b, self.params if key[2] else self._exact, patient)
            except (UserError, OSError, MemoryError, NotReady):  # not the answer is at fault
                raise
            except Exception:  # whatever an answer provokes, the batch goes on
                verdict = False, "error"
            self._remembered[key] = verdict
        return verdict

    def _compare(self, a: str, b: str, policy: Policy, patient: bool = True) -> CorrectAndReason:
        if a.strip() == b.strip() and a.strip():
            return True, "exact"
        with self._worker.comparison(patient) as oracle:
            by_meaning = partial(_by_meaning, Comparison(policy, oracle))
            verdict = by_choice(a, b, by_meaning) if policy.choices == "auto" else None
            verdict = verdict or by_meaning(a, b)
        return verdict.equal, verdict.reason


def _by_meaning(comparison: Comparison, a: str, b: str) -> Verdict:
    """Whether two texts mean the same; under ``rounding: gold``, ``b`` is the gold answer."""
    left, right = interpret(a), interpret(b)
    if left.text and left.text == right.text:
        return Verdict(True)
    golds = interpret_rounded(b) if comparison.policy.rounding == "gold" else right.answers
    if not left.answers or not golds:
        return Verdict(False, failure="unreadable")
    return any_equal(comparison.equal(x, y) for x in left.answers for y in golds)
