"""What a model of so many positions says to a text that is longer."""

from __future__ import annotations

from harness.core.errors import Unreadable
from harness.core.records import Response


def refusal(model: str, limit: int, response: Response, n_tokens: int) -> Unreadable:
    """The error of ``too_long: error``.

    Args:
        limit: tokens that the model reads.
        n_tokens: tokens of the response with its prompt.
    """
    length = f"{n_tokens} with its prompt"
    return Unreadable(
        f"{model} reads {limit} tokens, sample {response.sample} of {response.generator} for problem "
        f"{response.problem_id!r} has {length}: lower sampling.max_tokens, or let too_long be skip or truncate",
        why=f"{model} reads {limit} tokens, it has {length}: shorten it, or let too_long be skip or truncate",
    )
