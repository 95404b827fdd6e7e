"""Whether two answers in words say the same, their spelling apart."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.times import month

_ADD_NOTHING = words("the a an all")
_COPULAS = words("is are be")
_DAYS = {
    short: day
    for day in words("monday tuesday wednesday thursday friday saturday sunday")
    for short in (day[:3], day[:4], day[:5])
}
_SAME = {
    "st": "th",
    "nd": "th",
    "rd": "th",
    "nth": "th",
    "dne": "does not exist",
    "nonexistent": "does not exist",
    "colour": "color",
    "centre": "center",
}
_FEW = 4


def same_words(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether two texts in lower case are the same but for articles, plurals and short forms.

    Of a letter and what it is, the order does not count: "n is even" and "even n".
    """
    left, right = _plain(a), _plain(b)
    if left == right:
        return bool(left) or list(a) == list(b)
    return _is_property(left) and _is_property(right) and _content(left) == _content(right)


def singular(word: str) -> str:
    """``word`` without the ending of a plural."""
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses", "zes")):
        return word[:-2]
    return word.removesuffix("s")


def _plain(spoken: Sequence[str]) -> list[str]:
    spelled = (part for word in spoken for part in _SAME.get(word, word).split())
    joined = " ".join(spelled).replace("not defined", "undefined").split(" ")
    kept = [_DAYS.get(word, word) for word in joined if word not in _ADD_NOTHING]
    return [month(word) or singular(word) for word in kept]


def _content(spoken: Sequence[str]) -> list[str]:
    return sorted(word for word in spoken if word not in _COPULAS)


def _is_property(spoken: Sequence[str]) -> bool:
    return len(spoken) <= _FEW and sum(len(word) == 1 for word in spoken) == 1
