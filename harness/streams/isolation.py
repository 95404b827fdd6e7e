"""Work on many items at once, of which one may be at fault: the others are done all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.core.errors import NotFinite, Unreadable, UserError, one_line

R = TypeVar("R")
T = TypeVar("T")

#: So many items in a row that fail with the same words, before any is done: it is not the items that are at fault.
_ALIKE = 3


class Unsuited(UserError):
    """What works on the items is not made for them, whichever they are."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An item that could not be worked on, and why, without its name."""

    why: str


def isolated(work: Callable[[Sequence[R]], Sequence[T]], items: Sequence[R]) -> list[T | Failed]:
    """What ``work`` makes of each item. Where it fails on all of them it gets them in halves, down to the one at fault.

    Raises:
        Exception: what ``work`` raises where its items are not at fault: the first of them fail alike, or the machine
            does.
        Unsuited: what ``work`` raises.
    """
    done: list[T | Failed] = []
    waiting = [list(items)]
    while waiting:
        some = waiting.pop()
        if not some:
            continue
        try:
            done += work(some)
        except (OSError, Unsuited):
            raise
        except Exception as error:
            if len(some) > 1:
                half = len(some) // 2
                waiting += [some[half:], some[:half]]
                continue
            failed = Failed(error.why if isinstance(error, Unreadable) else _words(error))
            done.append(failed)
            are_alike = all(isinstance(one, Failed) and one == failed for one in done)
            is_its_own = isinstance(error, Unreadable) and not isinstance(error, NotFinite)
            if are_alike and len(done) >= _ALIKE and not is_its_own:
                raise
    return done


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else one_line(error)
