"""What is said of a text that is longer than a model's positions reach."""

from __future__ import annotations

from harness.core.errors import Unreadable
from harness.core.records import Response, Solution


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


def unread(solution: Solution) -> Unreadable | None:
    """The error of ``too_long: error`` for a solution that a model of its token passes has not read; None where all
    of them have.
    """
    short = next((role for role, tokens in solution.logprobs.items() if not tokens.was_read), None)
    if short is None:
        return None
    response = solution.response
    long = f"is longer than the {short} reads"
    return Unreadable(
        f"sample {response.sample} of {response.generator} for problem {response.problem_id!r} {long}: "
        "lower sampling.max_tokens, or let too_long be skip or truncate",
        why=f"it {long}: shorten it, or let too_long be skip or truncate",
    )
