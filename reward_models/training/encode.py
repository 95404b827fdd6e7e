"""How the solutions of a training are encoded: as the reward models that come of it will read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bonbench.generators.tokenizers import tokenizer_of
from bonbench.reward_models.text.chat import ChatTemplate
from bonbench.reward_models.text.encoding import SolutionEncoder
from bonbench.reward_models.text.layouts import Format, laid_out, step_ends
from bonbench.reward_models.text.pieces import Marked, PieceEncoder
from harness.core.errors import UserError
from harness.core.prompt import Asked
from harness.core.records import Solution
from harness.core.steps import step_of_token

Encode = Callable[[Sequence[Solution]], list[Marked]]


def for_likelihood(base: str, asked: Asked | None = None) -> Encode:
    """Encode for the likelihood of responses: read where each of their tokens is predicted, the steps marked."""
    encoder = SolutionEncoder(tokenizer_of(base), base, asked)

    def encode(solutions: Sequence[Solution]) -> list[Marked]:
        encoded = encoder.encode(
            [(s.problem.problem, s.response.text, s.response.finish_reason == "stop") for s in solutions]
        )
        if any(tokens.n_prompt == 0 and not tokens.refused for tokens in encoded):
            raise UserError(f"{base}: its chat template writes nothing that could predict a response's first token")
        return [
            Marked(
                tokens.ids,
                tokens.n_prompt,
                list(range(tokens.n_prompt - 1, len(tokens.ids) - 1)) if tokens.ids else [],
                step_of_token(s.step_ends, tuple(tokens.token_ends)),
                tokens.refused,
            )
            for s, tokens in zip(solutions, encoded, strict=True)
        ]

    return encode


def for_layout(base: str, lay_out: Format, asked: Asked | None = None) -> Encode:
    """Encode in a layout, read where it says."""
    tokenizer = tokenizer_of(base)
    encoder = PieceEncoder(tokenizer, base)
    chat = ChatTemplate(tokenizer, base, asked, encoder.special)

    def encode(solutions: Sequence[Solution]) -> list[Marked]:
        return encoder.encode_layouts([laid_out(lay_out, chat, solution) for solution in solutions])

    return encode


def for_every_token(base: str, asked: Asked | None = None) -> Encode:
    """Encode in the layout in which steps are judged, read at every token of the response."""
    encode_steps = for_layout(base, step_ends, asked)

    def encode(solutions: Sequence[Solution]) -> list[Marked]:
        return [
            replace(tokens, reads=list(range(tokens.n_prompt, len(tokens.ids)))) for tokens in encode_steps(solutions)
        ]

    return encode
