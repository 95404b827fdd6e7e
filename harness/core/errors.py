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


class Unreadable(UserError):
    """A solution that a model cannot read, where none may be.

    Attributes:
        why: what is wrong with it, without saying which it is.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message, why)
        self.why = why

    def __str__(self) -> str:
        return str(self.args[0])


class NotFinite(Unreadable):
    """A model gave a solution a number that nothing can be computed with.

    Where it does so for one solution after the other, it is the model that is at fault.
    """


class Unavailable(UserError):
    """Data that are not on this machine and could not be fetched."""


def cannot_load(what: str, error: Exception) -> UserError:
    """What to raise where a model, a tokenizer or a data set cannot be loaded, with what helps against a gated one."""
    message = str(error)
    if "custom code" in message and "trust_remote_code" in message:
        return UserError(f"{what} cannot be loaded: it needs code of its own folder, which is never run here")
    if "weights_only" in message:
        return UserError(f"{what} cannot be loaded: its pickled weights hold code, which is never run: use safetensors")
    hint = "gated" in message or any(f"{status} Client Error" in message for status in (401, 403))
    login = "; if it is gated, ask for access on its page, then `hf auth login` on every node" if hint else ""
    return UserError(f"{what} cannot be loaded: {one_line(error)}{login}")


_ONE_LINE = 400
_SHOWN_CHOICES = 12


def one_line(error: BaseException) -> str:
    """The type of an error and the beginning of its message, in one line."""
    message = shortened(str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def shortened(text: str, most: int = _ONE_LINE) -> str:
    """The beginning of a text in one line of at most ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def suggest(word: str, choices: Any) -> str:
    """The end of an error line: the choices most similar to ``word``, or the first choices if none is similar."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    more = ", …" if len(choices) > _SHOWN_CHOICES else ""
    return f"; choose from {', '.join(choices[:_SHOWN_CHOICES])}{more}" if choices else ""


def first_error(error: ValidationError, model: type[BaseModel] = BaseModel, where: str = "") -> str:
    """The first complaint of pydantic as one line: the path of the key, what is wrong, keys similar to a wrong key.

    Args:
        error: what the validation raised.
        model: what was validated. Its fields are the keys that may be suggested.
        where: the path of what was validated. The path of the key is appended to it.
    """
    first = error.errors(include_url=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    key = f"{where}{path}".lstrip(".")
    return f"{key}: {_what_is_wrong(first, model)}" if key else _what_is_wrong(first, model)


def _what_is_wrong(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        fields = _fields(model)
        for part in error["loc"][:-1]:
            if part in fields:  # otherwise the part is a name in a mapping, such as the name of an entry
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
