"""Mistakes that a user can mend, and the one line that says how."""

from __future__ import annotations

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


class UserError(Exception):
    """A mistake of the user's: shown as one line that names what, where and how to fix it; exit code 2."""


class Unavailable(UserError):
    """Data that are not on this machine and could not be fetched."""


def suggest(word: str, choices: Any) -> str:
    """A trailing hint for an error line: near matches of ``word``, or all choices where they are few."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; there is {', '.join(choices[:12])}" if choices else ""


def first_error(error: ValidationError, model: type[BaseModel], where: str = "") -> str:
    """The first complaint of pydantic as one line: the key's path, what is wrong, near matches."""
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    key = f"{where}.{path}".strip(".")
    if first["type"] == "extra_forbidden":
        known = _fields(model)
        for part in first["loc"][:-1]:
            if part in known:  # else it is one of the names that a mapping has
                known = _fields(known[str(part)].annotation)
        return f"{key}: unknown key{suggest(str(first['loc'][-1]), list(known))}"
    if first["type"] == "missing":
        return f"{key}: missing"
    message = first["msg"].removeprefix("Value error, ")
    given = repr(first["input"])
    return f"{key}: {message}" + (f" (it is {given})" if len(given) < 60 else "")


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """The fields of a model, or of the models that a mapping has."""
    if hasattr(annotation, "model_fields"):
        return annotation.model_fields  # type: ignore[no-any-return]
    arguments = typing.get_args(annotation)
    return _fields(arguments[-1]) if arguments else {}
