"""Mistakes that a user can mend, and the one line that says how."""

from __future__ import annotations

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails


class UserError(Exception):
    """A mistake of the user's: shown as one line that names what, where and how to fix it; exit code 2."""


class Unavailable(UserError):
    """Data that are not on this machine and could not be fetched."""


_ONE_LINE = 400


def one_line(error: BaseException) -> str:
    """An error's type and the beginning of its message, which says what happened, in one line."""
    message = shortened(str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def shortened(text: str, most: int = _ONE_LINE) -> str:
    """The beginning of a text in one line of at most ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def suggest(word: str, choices: Any) -> str:
    """A trailing hint for an error line: near matches of ``word``, or else the first choices."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; there is {', '.join(choices[:12])}" if choices else ""


def first_error(error: ValidationError, model: type[BaseModel] = BaseModel, where: str = "") -> str:
    """The first complaint of pydantic as one line: the key's path, what is wrong, near matches of a wrong key.

    Args:
        error: what validating raised.
        model: what was validated; its fields are the near matches.
        where: the path of what was validated, before the key's own.
    """
    first = error.errors(include_url=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    key = f"{where}{path}".lstrip(".")
    return f"{key}: {_what_is_wrong(first, model)}" if key else _what_is_wrong(first, model)


def _what_is_wrong(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        fields = _fields(model)
        for part in error["loc"][:-1]:
            if part in fields:  # else it is one of the names that a mapping has
                fields = _fields(fields[str(part)].annotation)
        return f"unknown key{suggest(str(error['loc'][-1]), list(fields))}"
    if error["type"] == "missing":
        return "missing"
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error["input"], dict) else repr(error["input"])
    return f"{message[:1].lower()}{message[1:]}" + (f" (it is {given})" if 0 < len(given) < 60 else "")


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """The fields of a model, or of the models that a mapping has."""
    if hasattr(annotation, "model_fields"):
        return annotation.model_fields  # type: ignore[no-any-return]
    arguments = typing.get_args(annotation)
    return _fields(arguments[-1]) if arguments else {}
