"""The parameters of a component as rows of a table, made from its pydantic model."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.core.params import Mark

_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_OR_NULL = " | null"
_MARKS: dict[str, str] = {Mark.MODEL: "model", Mark.DATA: "file"}


def parameter_rows(params: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """(name, type, default, meaning) of every parameter, in the words of an experiment file."""
    for name, field in params.model_fields.items():
        yield name, _type(field), _default(field), field.description or ""


def _type(field: FieldInfo) -> str:
    marks = [_MARKS[mark] for mark in field.metadata if isinstance(mark, str) and mark in _MARKS]
    limits = [
        f"{sign} {limit:g}"
        for constraint in field.metadata
        for name, sign in _LIMITS.items()
        if (limit := getattr(constraint, name, None)) is not None
    ]
    words = marks[0] if marks else _words(field.annotation)
    return " ".join([words.removesuffix(_OR_NULL), *limits]) + (_OR_NULL if words.endswith(_OR_NULL) else "")


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = [_MARKS[mark] for mark in arguments[1:] if mark in _MARKS]
        return marks[0] if marks else _words(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " | ".join(_words(argument) for argument in arguments)
    if origin in (list, tuple):
        return f"list of {_words(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"{{{', '.join(annotation.model_fields)}}}"
    if annotation is type(None):
        return "null"
    return "mapping" if origin is dict else str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return value if isinstance(value, str) and value else json.dumps(value, default=str)
