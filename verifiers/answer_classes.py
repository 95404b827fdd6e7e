"""Grades from verdicts on pairs of answers: the part of grading that every verifier shares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from harness.core.records import Grade, Problem, Response

#: (a, b) -> (equal, reason)
Compare = Callable[[str, str], tuple[bool, str]]


def _as_it_is(answer: str, gold: str) -> str:
    return answer


@dataclass(frozen=True)
class Grader:
    """Grades responses by the answers that they state. Each distinct answer to a problem is judged once.

    Attributes:
        verdict: an answer against the gold answer.
        same: one wrong answer against another wrong answer.
        failures: reasons that stand for a comparison that could not be made. An answer that met one is compared no
            further, so that no answer costs more than two of them.
        stated: (answer, gold) -> the form in which a wrong answer is compared with other wrong ones.
    """

    verdict: Compare
    same: Compare
    failures: Collection[str] = ()
    stated: Callable[[str, str], str] = _as_it_is

    def grades(
        self, problems: Sequence[Problem], responses: Sequence[Response], answers: Sequence[str | None]
    ) -> list[Grade]:
        """One grade per response. ``answers`` are what the responses state, None where one states nothing."""
        golds = {p.problem_id: p.answer for p in problems}
        distinct: dict[tuple[str, str], dict[str, None]] = {}
        for response, answer in zip(responses, answers, strict=True):
            if answer is not None:
                distinct.setdefault((response.problem_id, response.generator), {})[answer] = None
        classified = {
            (*group, answer): class_and_verdict
            for group, group_answers in distinct.items()
            for answer, class_and_verdict in self._classified(group_answers, golds[group[0]]).items()
        }
        graded = []
        for r, answer in zip(responses, answers, strict=True):
            if answer is None:
                answer_class, correct, reason = -1, False, "no answer"
            else:
                answer_class, correct, reason = classified[r.problem_id, r.generator, answer]
            graded.append(Grade(r.problem_id, r.generator, r.sample, answer, correct, reason, answer_class))
        return graded

    def _classified(self, answers: Iterable[str], gold: str) -> dict[str, tuple[int, bool, str]]:
        """Answer -> (class, correct, reason), for the distinct answers to one problem in order of first appearance.

        Class 0 is the gold answer's. A wrong answer joins the first other class whose founder it equals.
        """
        founders: list[str] = []
        classified = {}
        for answer in answers:
            correct, reason = self.verdict(answer, gold)
            answer_class = 0
            if not correct:
                stated = self.stated(answer, gold)
                index = None if reason in self.failures else self._founder(stated, founders)
                if index is None:
                    index = len(founders)
                    founders.append(stated)
                answer_class = index + 1
            classified[answer] = (answer_class, correct, reason)
        return classified

    def _founder(self, answer: str, founders: Sequence[str]) -> int | None:
        """Index of the founder that ``answer`` equals; None where it founds a class of its own."""
        for index, founder in enumerate(founders):
            same, reason = self.same(answer, founder)
            if same:
                return index
            if reason in self.failures:
                return None
        return None
