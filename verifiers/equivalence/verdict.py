"""What a comparison comes to: a value that is returned, and built from the verdicts on the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

#: Longer lists are different without being compared.
MAX_ITEMS = 200

T = TypeVar("T")


class Means(IntEnum):
    """What a comparison needed, from the cheapest to the dearest."""

    EXACT = 0
    ARITHMETIC = 1
    SYMBOLIC = 2
    ROUNDED = 3  # no means of proof: equal only because the policy accepts rounding


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two answers are equal.

    ``means`` is the dearest means that decided any part on the way. ``failure`` is the first limit that a question to
    the oracle exceeded, "" where none did.
    """

    equal: bool
    means: Means = Means.EXACT
    failure: str = ""

    @property
    def reason(self) -> str:
        """In one word: what showed that they are equal, or what kept them from being shown equal."""
        return self.means.name.lower() if self.equal else self.failure or "different"

    def or_else(self, other: Callable[[], Verdict]) -> Verdict:
        """This verdict where it is "equal"; else that of ``other``, which is asked only then."""
        return self if self.equal else combined((self, second := other()), second.equal)


SAME = Verdict(True)
DIFFERENT = Verdict(False)


def combined(parts: Iterable[Verdict], equal: bool) -> Verdict:
    """``equal`` as a verdict that rests on ``parts``."""
    means, failure = Means.EXACT, ""
    for part in parts:
        means = max(means, part.means)
        failure = failure or part.failure
    return Verdict(equal, means, failure)


def all_equal(parts: Iterable[Verdict]) -> Verdict:
    """Whether all parts are equal. After one that is not, ``parts`` is read no further."""
    return _until(parts, stop=False)


def any_equal(parts: Iterable[Verdict]) -> Verdict:
    """Whether any part is equal. After one that is, ``parts`` is read no further."""
    return _until(parts, stop=True)


def _until(parts: Iterable[Verdict], stop: bool) -> Verdict:
    seen = []
    for part in parts:
        seen.append(part)
        if part.equal is stop:
            return combined(seen, stop)
    return combined(seen, not stop)


def pair_up(a: Sequence[T], b: Sequence[T], compare: Callable[[T, T], Verdict]) -> Verdict:
    """Whether every item of ``a`` can be paired with another item of ``b`` that is equal to it."""
    if len(a) != len(b) or len(a) > MAX_ITEMS:
        return DIFFERENT
    seen = []
    unpaired = list(b)
    for item in a:
        for index, other in enumerate(unpaired):
            seen.append(compare(item, other))
            if seen[-1].equal:
                del unpaired[index]
                break
        else:
            return combined(seen, False)
    return combined(seen, True)
