"""How the solutions of a training are encoded: as the reward models that come of it will read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bonbench.generators.tokenizers import tokenizer_of
from bonbench.reward_models.text.chat import ChatTemplate
from bonbench.reward_models.text.encoding import SolutionEncoder
from bonbench.reward_models.text.layouts import Format, step_ends
from bonbench.reward_models.text.pieces import Marked, PieceEncoder
from harness.core import steps
from harness.core.errors import UserError
from harness.core.records import Solution
from harness.core.user_template import filled

Encode = Callable[[Sequence[Solution]], list[Marked]]


def for_likelihood(base: str, user_template: str | None = None) -> Encode:
    """Encode for the likelihood of responses: read where each of their tokens is predicted, the steps marked."""
    encoder = SolutionEncoder(tokenizer_of(base), base, user_template)

    def encode(solutions: Sequence[Solution]) -> list[Marked]:
        encoded = encoder.encode(
            [(s.problem.problem, s.response.text, s.response.finish_reason == "stop") for s in solutions]
        )
        if any(tokens.n_prompt == 0 for tokens in encoded):
            raise UserError(f"{base}: its chat template writes nothing that could predict a response's first token")
        return [
            Marked(
                tokens.ids,
                tokens.n_prompt,
                list(range(tokens.n_prompt - 1, len(tokens.ids) - 1)),
                steps.step_of_token(steps.step_ends(s.response.text), tuple(tokens.token_ends)),
            )
            for s, tokens in zip(solutions, encoded, strict=True)
        ]

    return encode


def for_layout(base: str, lay_out: Format, user_template: str | None = None) -> Encode:
    """Encode in a layout, read where it says."""
    tokenizer = tokenizer_of(base)
    chat, encoder = ChatTemplate(tokenizer, base), PieceEncoder(tokenizer, base)

    def encode(solutions: Sequence[Solution]) -> list[Marked]:
        turns = [filled(user_template, solution.problem.problem) for solution in solutions]
        return encoder.encode_layouts(
            [lay_out(chat, turn, s.response.text) for turn, s in zip(turns, solutions, strict=True)]
        )

    return encode


def for_every_token(base: str, user_template: str | None = None) -> Encode:
    """Encode in the layout in which steps are judged, read at every token of the response."""
    encode_steps = for_layout(base, step_ends, user_template)

    def encode(solutions: Sequence[Solution]) -> list[Marked]:
        return [
            replace(tokens, reads=list(range(tokens.n_prompt, len(tokens.ids)))) for tokens in encode_steps(solutions)
        ]

    return encode
