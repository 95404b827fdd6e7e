"""Verifications: what a generator is asked about responses, and what it wrote.

A question is a prompt made from a problem and one or several of its responses. A generator completes it, so many times.
Equal responses to a problem are asked about once. The id of a question says what it is about: ``<problem>#<sample>``
for a response, ``<problem>#<sample>.<k>`` for its step k, ``<problem>#<sample>,<sample>`` for a pair, and
``<problem>#all.<k>`` for order k of all responses. A sample is the first one with the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any, Literal

from harness.core.errors import UserError, one_line
from harness.core.records import Problem, Response, Sampling, Solution, Verification
from harness.core.steps import step_spans, unnumbered

#: What a question is about: a response, one of its steps, an ordered pair of responses, all responses to the problem.
Per = Literal["response", "step", "pair", "group"]


class QuestionTemplate:
    """A Jinja template of questions, rendered in a sandbox.

    It has the variables ``problem`` and, for a response or a step, ``response``, its ``steps`` (a list of texts) and
    the number ``step`` (from 1); for a pair or a group, the list ``responses``. The gold answer is none of them. The
    filter ``unnumbered`` takes the marker ``Step k:`` off a step.

    Raises:
        UserError: for a text that is no template.
    """

    def __init__(self, text: str, where: str) -> None:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters["unnumbered"] = unnumbered
        self._where = where
        try:
            self._template = environment.from_string(text)
        except Exception as error:  # a template is a program, and Jinja compiles it to one
            raise UserError(f"{where}: {one_line(error)}") from None

    def render(self, problem: str, texts: Sequence[str], step: int | None) -> str:
        """The question about some responses to a problem, or about a step (from 0) of one.

        Raises:
            UserError: for whatever goes wrong in the template.
        """
        known: dict[str, Any] = {"problem": problem, "responses": list(texts)}
        if len(texts) == 1:
            spans = step_spans(texts[0])
            known |= {"response": texts[0], "steps": [texts[0][a:b].strip() for a, b in spans]}
        if step is not None:
            known["step"] = step + 1
        try:
            return self._template.render(known)
        except Exception as error:
            raise UserError(f"{self._where}: {one_line(error)}") from None


def check_template(text: str, per: Per, where: str) -> None:
    """Raise :class:`UserError` for a template that cannot be rendered, or leaves out what its questions are about."""
    template = QuestionTemplate(text, where)
    problem, first, second = "What is 31 + 42?", "31 is 29 + 2", "so it is 73"
    if per in ("response", "step"):
        texts, steps = [f"{first}\n\n{second}"], [0, 1] if per == "step" else [None]
    else:
        texts, steps = [first, second], [None]
    made = [template.render(problem, texts, step) for step in steps]
    for what, word in (("problem", problem), ("response", first), ("response", second)):
        if not any(word in text for text in made):
            missing = f"{{{{ {what} }}}}" if len(texts) == 1 else f"each of {{{{ {what}s }}}}"
            missing = "{{ problem }}" if what == "problem" else missing
            raise UserError(f"{where}: the template leaves out {missing}")
    if len(set(made)) < len(made):
        raise UserError(f"{where}: the template asks the same about every step: say which with {{{{ step }}}}")


@dataclass(frozen=True)
class Verifications:
    """What a reward model asks a generator to write about responses.

    Attributes:
        generator: the name of a generator or of a trained reward model in the experiment, a model for `transformers`,
            or a generator's entry.
        template: a Jinja template (:class:`QuestionTemplate`); ``where`` says in error lines which.
        per: what each question is about.
        n: how often each question is answered. Of a group each answer is to a question of its own, which shows the
            responses in another order.
        system_prompt: takes the place of the generator's; None leaves it.
        begins: how every reply begins; the generator goes on from there.
        label: a short name for it.
    """

    generator: str | Mapping[str, Any]
    template: str
    per: Per = "response"
    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 2048
    system_prompt: str | None = None
    begins: str = ""
    label: str = "judge"
    where: str = "template"

    @property
    def identity(self) -> dict[str, Any]:
        """What determines the questions and how they are answered, the generator aside, as JSON."""
        return {
            "template": self.template,
            "per": self.per,
            "n": self.n,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "begins": self.begins,
        }

    @property
    def compares(self) -> bool:
        """Whether a question is about several responses."""
        return self.per in ("pair", "group")

    @property
    def sampling(self) -> Sampling:
        """How a question is answered."""
        n = 1 if self.per == "group" else self.n
        return Sampling(n=n, temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)

    def n_questions(self, responses: int, steps: int) -> int:
        """The number of questions about so many different responses of so many steps each to a problem."""
        if self.per in ("response", "step"):
            return responses * (steps if self.per == "step" else 1)
        if responses < 2:
            return 0
        return self.n if self.per == "group" else responses * (responses - 1)

    @cached_property
    def _template(self) -> QuestionTemplate:
        return QuestionTemplate(self.template, self.where)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_template"}  # code is not pickled

    def questions(self, problems: Iterable[Problem], responses: Sequence[Response]) -> Iterator[Question]:
        """The questions about the responses to the problems, in order of the problems.

        A problem with one response, or equal ones, has none where responses are compared: there is nothing to compare.
        """
        by_problem: dict[str, dict[str, int]] = {}
        for response in responses:
            by_problem.setdefault(response.problem_id, {}).setdefault(response.text, response.sample)
        for problem in problems:
            sample_by_text = by_problem.get(problem.problem_id, {})
            for about, texts, step in self._about(problem.problem_id, sample_by_text):
                yield Question(f"{problem.problem_id}#{about}", problem, texts, step, self._template)

    def _about(self, problem_id: str, sample_by_text: Mapping[str, int]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        match self.per:
            case "response":
                yield from ((f"{sample}", (text,), None) for text, sample in sample_by_text.items())
            case "step":
                for text, sample in sample_by_text.items():
                    yield from ((f"{sample}.{k + 1}", (text,), k) for k in range(len(step_spans(text))))
            case "pair":
                for (one, a), (other, b) in permutations(sample_by_text.items(), 2):
                    yield f"{a},{b}", (one, other), None
            case "group" if len(sample_by_text) > 1:
                for k in range(self.n):
                    order = sorted(sample_by_text.items(), key=lambda item: _drawn(problem_id, k, item[1]))
                    yield f"all.{k + 1}", tuple(text for text, _ in order), None

    def told(self, solutions: Sequence[Solution], replies: Sequence[Response]) -> list[Solution]:
        """The solutions with what was written about them.

        Args:
            solutions: all solutions to some problems, as the questions were asked about.
        """
        problems = {s.problem.problem_id: s.problem for s in solutions}
        written: dict[str, list[Response]] = {}
        for reply in replies:
            written.setdefault(reply.problem_id, []).append(replace(reply, text=self.begins + reply.text))
        about: dict[tuple[str, str], list[Verification]] = {}
        for question in self.questions(problems.values(), [s.response for s in solutions]):
            told = tuple(written.get(question.id, ()))
            for place, text in enumerate(question.texts):
                one = Verification(question.id, told, question.step, place, len(question.texts))
                about.setdefault((question.problem.problem_id, text), []).append(one)
        return [
            replace(s, verifications=tuple(about.get((s.problem.problem_id, s.response.text), ()))) for s in solutions
        ]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about ``texts``, responses to a problem, or about ``step`` (from 0) of the only one."""

    id: str
    problem: Problem
    texts: tuple[str, ...]
    step: int | None
    template: QuestionTemplate

    def asked(self) -> Problem:
        """The question as generators are given it: as the text of a problem."""
        return Problem(self.id, self.template.render(self.problem.problem, self.texts, self.step), "")


def _drawn(problem_id: str, k: int, sample: int) -> bytes:
    """Orders the samples of a problem at random, differently for each k."""
    return hashlib.blake2b(f"{problem_id}\0{k}\0{sample}".encode(), digest_size=8).digest()
