"""What a chat user's turn says around a problem: the same for whoever samples and whoever scores."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from harness.core.params import Unkeyed

_PLACE = "{problem}"


def has_a_place(template: str | None) -> str | None:
    """The template itself.

    Raises:
        ValueError: where it does not say where the problem goes.
    """
    if template is not None and _PLACE not in template:
        raise ValueError(f"{_PLACE} is missing: the place where the problem goes")
    return template


def filled(template: str | None, problem: str) -> str:
    """The template with the problem in its place; the problem alone where there is no template."""
    return problem if template is None else template.replace(_PLACE, problem)


#: The parameter ``user_template`` of whatever puts a problem into a chat.
UserTemplate = Annotated[
    str | None,
    AfterValidator(has_a_place),
    Unkeyed((None,)),
    Field(
        description="what a chat user's turn says, with {problem} in it; other braces mean themselves; null: the "
        "problem alone (inherited from the generator or training behind the model, where the entry does not say)"
    ),
]
