"""What a model of so many positions says to a text that is longer."""

from __future__ import annotations

from harness.core.errors import UserError
from harness.core.records import Response


def refusal(model: str, limit: int, response: Response, n_tokens: int) -> UserError:
    """The error of ``too_long: error``.

    Args:
        limit: tokens that the model reads.
        n_tokens: tokens of the response with its prompt.
    """
    return UserError(
        f"{model} reads {limit} tokens, sample {response.sample} of {response.generator} for problem "
        f"{response.problem_id!r} has {n_tokens} with its prompt: lower sampling.max_tokens, or let too_long be skip "
        "or truncate"
    )
