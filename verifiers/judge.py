"""A language model behind a server as a verifier: it compares a response's answer with the gold answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from bonbench.generators.openai import OpenAIGenerator
from bonbench.generators.openai_params import ModelServerParams, OpenAIParams
from bonbench.verifiers.answer_classes import Grader
from bonbench.verifiers.reading.extraction import extract
from harness.core.components import Verifier
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.params import ComponentParams
from harness.core.records import Grade, Problem, Response, Sampling

_PROMPT = """Decide whether two final answers to a mathematical problem are equivalent.

Reference answer: {gold}
Answer to judge: {answer}

They are equivalent if they have the same meaning, whatever their form, units that the reference leaves out aside.
Reply with one word: yes or no."""
_VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_PLACE = re.compile(r"\{answer\}|\{gold\}")
_UNREADABLE = "unreadable verdict"


class JudgeParams(ModelServerParams):
    """Parameters of :class:`JudgeVerifier`, with those of its server."""

    prompt: str = Field(_PROMPT, description="what the judge is asked; {answer} and {gold} stand for the two answers")
    max_tokens: int = Field(2048, ge=1, description="tokens of a reply at most; a judge may think before its verdict")


class JudgeVerifier(Verifier[JudgeParams]):
    """Asks a language model whether a response's answer, as BonBench extracts it, is equivalent to the gold answer.

    The last "yes" or "no" after a reply's thoughts counts. A reply without either makes the answer wrong, with the
    reason ``unreadable verdict``; so does a question that is longer than the judge reads. Wrong answers that are
    written alike share an answer class; the judge is not asked whether others are equivalent. A question that the
    server fails to answer leaves its problem without grades.
    """

    Params: ClassVar[type[ComponentParams]] = JudgeParams

    def __init__(self, params: JudgeParams, name: str = "") -> None:
        super().__init__(params, name)
        server = params.model_dump(include=set(ModelServerParams.model_fields))
        self._model = OpenAIGenerator(OpenAIParams(**server, reasoning="drop"), name)
        self._sampling = Sampling(n=1, temperature=0.0, top_p=1.0, max_tokens=params.max_tokens)
        self._verdicts: dict[tuple[str, str], tuple[bool, str]] = {}

    def extract(self, text: str) -> str | None:
        return extract(text)

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        """(correct, reason) for each (answer, gold) pair.

        Raises:
            UserError: where the server fails to answer one.
        """
        failed = self._judge([(answer, gold) for answer, gold in pairs if answer is not None])
        if failed:
            raise UserError(next(iter(failed.values())))
        return [(False, "no answer") if answer is None else self._verdicts[answer, gold] for answer, gold in pairs]

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        """One grade per response.

        Raises:
            Incomplete: where the server fails to answer some questions; the other problems are graded.
        """
        golds = {p.problem_id: p.answer for p in problems}
        answers = [self.extract(response.text) for response in responses]
        pairs = [(a, golds[r.problem_id]) for a, r in zip(answers, responses, strict=True) if a is not None]
        failed = self._judge(pairs)
        asked = ((r, (a or "", golds[r.problem_id])) for a, r in zip(answers, responses, strict=True))
        missing = {r.problem_id: failed[pair] for r, pair in asked if pair in failed}
        judged = [(r, a) for r, a in zip(responses, answers, strict=True) if r.problem_id not in missing]
        grader = Grader(verdict=lambda answer, gold: self._verdicts[answer, gold], same=_written_alike)
        grades = grader.grades(problems, [r for r, _ in judged], [a for _, a in judged])
        if missing:
            raise Incomplete(grades, missing)
        return grades

    def _judge(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Ask for the verdicts on pairs that have none yet, side by side; why there is none, where that failed."""
        waiting = [pair for pair in dict.fromkeys(pairs) if pair not in self._verdicts]
        questions = {str(i): Problem(str(i), self._question(*pair), "") for i, pair in enumerate(waiting)}
        missing: dict[str, str] = {}
        try:
            replies = self._model.generate(list(questions.values()), self._sampling, {id_: [0] for id_ in questions})
        except Incomplete as error:
            replies, missing = error.made, error.missing
        said_of = {reply.problem_id: _VERDICT.findall(_answer(reply.text)) for reply in replies}
        pair_of = dict(zip(questions, waiting, strict=True))
        for id_, pair in pair_of.items():
            if id_ not in missing:
                said = said_of.get(id_)
                self._verdicts[pair] = (said[-1].lower() == "yes", "judge") if said else (False, _UNREADABLE)
        return {pair_of[id_]: why for id_, why in missing.items()}

    def _question(self, answer: str, gold: str) -> str:
        values = {"{answer}": answer, "{gold}": gold}
        return _PLACE.sub(lambda match: values[match[0]], self.params.prompt)


def _answer(reply: str) -> str:
    """What follows a judge's thoughts; nothing where they were cut off."""
    _, closed, answer = reply.rpartition("</think>")
    return answer if closed or "<think>" not in reply else ""


def _written_alike(a: str, b: str) -> tuple[bool, str]:
    return "".join(a.split()) == "".join(b.split()), "spelling"
