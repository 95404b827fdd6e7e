"""What a model is told before it answers: one set of parameters for whoever samples, scores or trains.

A chat model gets the problem in its chat template, as ``user_template`` puts it; the worked examples are earlier turns.
A base model gets the problem in the raw ``template``; the worked examples stand before it.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness.core.params import ComponentParams, Mark, Unkeyed
from harness.core.user_template import UserTemplate, filled, has_a_place

#: The day that a chat template is told where nobody says which: the same one whenever a run goes on.
DAY = datetime.date(2024, 7, 26)

#: The parameter ``date`` of whatever renders a chat template.
Day = Annotated[
    datetime.date | None,
    Mark.DATE,
    Field(description=f"the day that a chat template is told where it asks for today's; null: {DAY}"),
]

_SYSTEM = "what the model is told before everything else"
_RAW = (
    "a raw prompt with {problem} in it, for base models; other braces mean themselves; null: the model's own chat "
    "template"
)
_EXAMPLES = "worked examples: {problem, solution} each"
_INHERITED = " (inherited as user_template is)"


class Example(BaseModel):
    """A worked example: a problem and its solution, as the model should write it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problem: str
    solution: str


class PromptParams(ComponentParams):
    """The parameters that decide the prompt of a sampler.

    Without ``template``, the conversation is ``system_prompt``, then a user's and an assistant's turn per example of
    ``few_shot``, then the problem; what a user's turn says of a problem is ``user_template`` around it. With a
    ``template`` the text is ``system_prompt``, each example as the template followed by its solution, and the template
    around the problem, with a blank line between them.
    """

    system_prompt: str | None = Field(None, description=_SYSTEM)
    user_template: UserTemplate = None
    template: Annotated[str | None, AfterValidator(has_a_place)] = Field(None, description=_RAW)
    few_shot: tuple[Example, ...] = Field((), description=_EXAMPLES)

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if self.template is not None and self.user_template is not None:
            raise ValueError("user_template is for chats, template makes a raw prompt: remove one of them")
        return self


class Asked(PromptParams):
    """The same parameters of a model that reads what was sampled. They are inherited, and those that say nothing are in
    no key."""

    system_prompt: Annotated[str | None, Unkeyed((None,))] = Field(None, description=_SYSTEM + _INHERITED)
    template: Annotated[str | None, AfterValidator(has_a_place), Unkeyed((None,))] = Field(
        None, description=_RAW + _INHERITED
    )
    few_shot: Annotated[tuple[Example, ...], Unkeyed(((),))] = Field((), description=_EXAMPLES + _INHERITED)
    date: Day = None


#: The names of all parameters that decide a prompt.
PROMPT = frozenset(Asked.model_fields)


def asks(params: ComponentParams) -> dict[str, Any]:
    """What the parameters say of the prompt, as plain data: those that are not the default."""
    names = PROMPT & type(params).model_fields.keys()
    said = {name for name in names if getattr(params, name) not in (None, ())}
    return params.model_dump(mode="json", include=said)


def conversation(params: PromptParams, problem: str) -> list[dict[str, str]]:
    """The chat messages that a problem is put as."""
    messages = [] if params.system_prompt is None else [{"role": "system", "content": params.system_prompt}]
    for example in params.few_shot:
        messages.append({"role": "user", "content": filled(params.user_template, example.problem)})
        messages.append({"role": "assistant", "content": example.solution})
    return [*messages, {"role": "user", "content": filled(params.user_template, problem)}]


def raw_prompt(params: PromptParams, problem: str) -> str:
    """The text that a problem is put as by ``params.template``, which must be given."""
    before, after = around(params)
    return before + problem.join(after)


def around(params: PromptParams) -> tuple[str, list[str]]:
    """The raw prompt without the problem: what stands before the template's head, and the template cut at each place of
    the problem."""
    assert params.template is not None
    parts = [] if params.system_prompt is None else [params.system_prompt]
    parts += [filled(params.template, e.problem) + e.solution for e in params.few_shot]
    return "".join(f"{part}\n\n" for part in parts), params.template.split("{problem}")
