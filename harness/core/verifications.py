"""Verifications: what a generator is asked about responses, and what it wrote.

A question is a prompt made from a problem and one or several of its responses. A generator completes it, so many times.
Equal responses to a problem are asked about once; where a part is asked about, equal parts are. The id of a question
says what it is about: ``<problem>#<sample>`` for a response, ``<problem>#<sample>.<k>`` for its step k,
``<problem>#<sample>,<sample>`` for a pair, and ``<problem>#all.<k>`` for order k of all responses. A sample is the
first one with the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any, Literal

from harness.core.errors import UserError, one_line
from harness.core.records import Problem, Response, Sampling, Solution, Verification
from harness.core.solution_parts import Reads, part_of
from harness.core.splitters import AUTO, splitter
from harness.core.steps import unnumbered
from harness.core.weighing import Weighing

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

    def render(self, problem: str, texts: Sequence[str], steps: Sequence[str] = (), step: int | None = None) -> str:
        """The question about some responses to a problem, or about one that has ``steps``, or about a ``step`` of it
        (from 0).

        Raises:
            UserError: for whatever goes wrong in the template.
        """
        known: dict[str, Any] = {"problem": problem, "responses": list(texts)}
        if len(texts) == 1:
            known |= {"response": texts[0], "steps": [text.strip() for text in steps]}
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
        places: Sequence[int | None] = [0, 1] if per == "step" else [None]
        texts = [f"{first}\n\n{second}"]
        made = [template.render(problem, texts, [first, second], place) for place in places]
    else:
        texts = [first, second]
        made = [template.render(problem, texts)]
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
        reads, steps: the part of each response that is asked about, and how it is cut into steps.
        label: a short name for it.
        weighing: what is weighed in the replies, beside their texts.
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
    reads: Reads = "all"
    steps: Any = AUTO
    label: str = "judge"
    where: str = "template"
    weighing: Weighing | None = None

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
            **({} if self.reads == "all" else {"reads": self.reads}),
            **({} if self.steps == AUTO else {"steps": self.steps}),
            **({} if self.weighing is None else {"weighing": self.weighing.identity}),
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

    def questions(self, solutions: Sequence[Solution]) -> Iterator[Question]:
        """The questions about the solutions, in order of their problems. All solutions to a problem are among them.

        A problem with one response, or equal ones, has none where responses are compared: there is nothing to compare.
        """
        by_problem: dict[str, dict[Any, Solution]] = {}
        for part in map(self._part, solutions):
            if part is not None:
                by_problem.setdefault(part.problem.problem_id, {}).setdefault(_what_is_read(part), part)
        for problem_id, different in by_problem.items():
            for about, some, step in self._about(problem_id, list(different.values())):
                yield Question(f"{problem_id}#{about}", tuple(some), step, self._template)

    def _about(
        self, problem_id: str, solutions: Sequence[Solution]
    ) -> Iterator[tuple[str, Sequence[Solution], int | None]]:
        match self.per:
            case "response":
                yield from ((f"{s.response.sample}", (s,), None) for s in solutions)
            case "step":
                for s in solutions:
                    yield from ((f"{s.response.sample}.{k + 1}", (s,), k) for k in range(len(s.step_ends)))
            case "pair":
                for pair in permutations(solutions, 2):
                    yield ",".join(str(s.response.sample) for s in pair), pair, None
            case "group" if len(solutions) > 1:
                for k in range(self.n):
                    order = sorted(solutions, key=lambda s: _drawn(problem_id, k, s.response.sample))
                    yield f"all.{k + 1}", order, None

    def told(self, solutions: Sequence[Solution], replies: Sequence[Response]) -> list[Solution]:
        """The solutions with what was written about them.

        Args:
            solutions: all solutions to some problems, as the questions were asked about.
        """
        written: dict[str, list[Response]] = {}
        for reply in replies:
            written.setdefault(reply.problem_id, []).append(replace(reply, text=self.begins + reply.text))
        about: dict[Any, list[Verification]] = {}
        for question in self.questions(solutions):
            told = tuple(written.get(question.id, ()))
            for place, solution in enumerate(question.about):
                one = Verification(question.id, told, question.step, place, len(question.about))
                about.setdefault((solution.problem.problem_id, _what_is_read(solution)), []).append(one)
        parts = map(self._part, solutions)
        keys = [None if part is None else (part.problem.problem_id, _what_is_read(part)) for part in parts]
        return [replace(s, verifications=tuple(about.get(key, ()))) for s, key in zip(solutions, keys, strict=True)]

    def _part(self, solution: Solution) -> Solution | None:
        """What is asked about of a solution."""
        return part_of(solution, self.reads, None if self.steps == AUTO else splitter(self.steps)).solution


@dataclass(frozen=True, slots=True)
class Question:
    """A question about solutions to a problem, or about ``step`` (from 0) of the only one."""

    id: str
    about: tuple[Solution, ...]
    step: int | None
    template: QuestionTemplate

    @property
    def problem(self) -> Problem:
        """What the solutions are to."""
        return self.about[0].problem

    def asked(self) -> Problem:
        """The question as generators are given it: as the text of a problem."""
        texts = [solution.response.text for solution in self.about]
        text = self.template.render(self.problem.problem, texts, self.about[0].steps, self.step)
        return Problem(self.id, text, "")


def _what_is_read(solution: Solution) -> Hashable:
    """Equal for solutions to a problem that are asked about alike."""
    return solution.response.text, solution.given_ends


def _drawn(problem_id: str, k: int, sample: int) -> bytes:
    """Orders the samples of a problem at random, differently for each k."""
    return hashlib.blake2b(f"{problem_id}\0{k}\0{sample}".encode(), digest_size=8).digest()
