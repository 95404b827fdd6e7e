"""Servers that are asked in JSON: a body with placeholders, and the place of the score in the answer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bonbench.reward_models.remote.params import RemoteParams
from harness.core.errors import shortened
from harness.core.server.failures import Unusable

_IN_TEXT = re.compile(r"\{(problem|response|model)\}")
_WHOLE = ("{steps}", "{problems}", "{responses}")


class Asking(NamedTuple):
    """What a request says of a solution."""

    problem: str
    response: str
    steps: tuple[str, ...]


class JsonApi:
    """How one server is asked. ``at_once`` solutions are in a request."""

    def __init__(self, params: RemoteParams) -> None:
        self._params = params
        self._batched = _has(params.request, ("{problems}", "{responses}"))
        self.at_once = params.batch if self._batched else 1

    def body(self, solutions: Sequence[Asking]) -> dict[str, Any]:
        """The body of a request about some solutions."""
        first = solutions[0]
        texts = {"problem": first.problem, "response": first.response, "model": self._params.model or ""}
        whole = {
            "{steps}": list(first.steps),
            "{problems}": [one.problem for one in solutions],
            "{responses}": [one.response for one in solutions],
        }
        filled: dict[str, Any] = _filled(self._params.request, texts, whole)
        return filled

    def rewards(self, answer: Any, solutions: Sequence[Asking]) -> list[list[float]]:
        """The step rewards of each of the solutions that a request was about, or one reward in all.

        Raises:
            Unusable: where the answer has not as many numbers as it should, each where it should be.
        """
        found, where = _at(answer, self._params.answer), self._params.answer or "the answer"
        of_each = _list_of(found, len(solutions), "solutions", where) if self._batched else [found]
        if self._params.per == "response":
            return [[_number(one, where)] for one in of_each]
        return [
            [_number(one, where) for one in _list_of(rewards, len(asking.steps), "steps", where)]
            for rewards, asking in zip(of_each, solutions, strict=True)
        ]


def _has(template: Any, placeholders: Sequence[str]) -> bool:
    if isinstance(template, dict):
        return any(_has(value, placeholders) for value in template.values())
    if isinstance(template, list):
        return any(_has(value, placeholders) for value in template)
    return template in placeholders


def _filled(template: Any, texts: Mapping[str, str], whole: Mapping[str, list[str]]) -> Any:
    """A template with its placeholders replaced. What is put in is not looked at again."""
    if isinstance(template, dict):
        return {key: _filled(value, texts, whole) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, texts, whole) for value in template]
    if not isinstance(template, str):
        return template
    return whole[template] if template in _WHOLE else _IN_TEXT.sub(lambda match: texts[match[1]], template)


def _at(answer: Any, path: str) -> Any:
    """The value at a dotted path; the answer itself for an empty path."""
    value = answer
    for part in path.split(".") if path else ():
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise Unusable(f"its answer has no {path} (answer: {path}): it is {shortened(str(answer), 120)}")
    return value


def _list_of(value: Any, n: int, of: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unusable(f"{where} is {shortened(repr(value), 60)}, a list for {n} {of} is expected")
    if len(value) != n:
        raise Unusable(f"{where} has {len(value)} scores for {n} {of}")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unusable(f"{where} is {shortened(repr(value), 60)}, a finite number is expected")
    return float(value)
