"""How probable the answers yes and no are where a reply gives its verdict, whichever of them was sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from harness.core.records import Problem, Reply, Response

#: An answer is weighed among the most probable tokens. A place where neither answer is among them is no verdict's.
MOST_PROBABLE = 20


class Weighed(NamedTuple):
    """P(yes) / (P(yes) + P(no)) at the place where a text goes on; None where neither answer is
    :data:`MOST_PROBABLE`. ``n_read`` tokens were computed for it, behind ``n_cached`` that had been."""

    probability: float | None
    n_read: int
    n_cached: int = 0


@dataclass(frozen=True)
class Weighing:
    """What is weighed in replies.

    Attributes:
        yes, no: the answers. Case and a blank before them make no difference.
        place: where the verdict begins in the text of a reply; None for a reply without one.
        revision: of ``place``: raised when it changes.
    """

    yes: str
    no: str
    place: Callable[[Response], int | None]
    revision: int = 1

    @property
    def identity(self) -> dict[str, Any]:
        """What determines the weights, as JSON."""
        return {"yes": self.yes, "no": self.no, "revision": self.revision}

    def beginning(self, reply: Response) -> str | None:
        """What a reply says before its verdict, without a blank at the end: many a token begins with one."""
        place = self.place(reply)
        return None if place is None else reply.text[:place].removesuffix(" ")

    def weighed(
        self,
        weigh: Callable[[Sequence[Problem], Sequence[str], tuple[str, str]], list[Weighed]],
        begins: str,
        questions: Sequence[Problem],
        replies: Sequence[Response],
    ) -> tuple[list[Reply], list[Weighed]]:
        """Replies with the probability of yes at their verdicts, and what was computed for it.

        Args:
            weigh: :meth:`harness.core.components.Generator.weigh` of who wrote the replies.
            begins: how every reply begins, which is not in its text.
        """
        asked = {question.problem_id: question for question in questions}
        beginnings = [self.beginning(replace(reply, text=begins + reply.text)) for reply in replies]
        rows = [(i, beginning) for i, beginning in enumerate(beginnings) if beginning is not None]
        problems = [asked[replies[i].problem_id] for i, _ in rows]
        found = weigh(problems, [beginning for _, beginning in rows], (self.yes, self.no)) if rows else []
        p_yes = {i: one.probability for (i, _), one in zip(rows, found, strict=True)}
        return [Reply(**asdict(reply), p_yes=p_yes.get(i)) for i, reply in enumerate(replies)], found
