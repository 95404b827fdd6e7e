"""What is said of a text that is longer than a model's positions reach."""

from __future__ import annotations

from harness.core.errors import UserError
from harness.core.records import Response, Solution


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


def unread(solution: Solution) -> UserError:
    """The error of ``too_long: error`` for a solution that a model of its token passes has not read."""
    response = solution.response
    short = next(role for role, tokens in solution.logprobs.items() if not tokens.was_read)
    return UserError(
        f"sample {response.sample} of {response.generator} for problem {response.problem_id!r} is longer than the "
        f"{short} reads: lower sampling.max_tokens, or let too_long be skip or truncate"
    )
