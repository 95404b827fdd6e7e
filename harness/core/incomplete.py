"""What a component raises when it made a part of what it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.errors import UserError, shortened


class Incomplete(UserError):
    """Some problems failed, and the work on the others is done.

    A generator, verifier or reward model may raise it. A run keeps ``made``, goes on with the problems that are
    complete, names the others, and asks for what is missing when it is started again. Whoever knows nothing of it has
    a one-line error.

    Args:
        made: the records of what was made, in the order of the call; where a generator is concerned, with the
            responses that it has to problems of which others are missing.
        missing: problem id -> why what is wanted for it was not made.
    """

    def __init__(self, made: Sequence[Any], missing: Mapping[str, str]) -> None:
        self.made, self.missing = list(made), dict(missing)
        super().__init__(missing_line(self.missing))


def missing_line(missing: Mapping[str, str]) -> str:
    """What is missing in one line: the first problem and why, and which others."""
    first, *others = missing
    names = f" (and {shortened(', '.join(map(repr, others)), 200)})" if others else ""
    return f"problem {first!r}{names}: {missing[first]}"
