"""From (problem, response) to the token ids that a causal language model reads, with character offsets.

What is tokenised is always one string, the rendered chat template up to the assistant's turn, the response
and, where the model ended its turn, the end-of-turn token. Tokenising pieces and joining their ids would give
other tokens than the model ever sees wherever a token spans the border.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from bonbench.reward_models.text.chat import ChatTemplate
from bonbench.reward_models.text.layouts import Piece
from bonbench.reward_models.text.pieces import PieceEncoder
from harness.core.chat_template import Refused
from harness.core.errors import UserError
from harness.core.prompt import Asked

#: Strings tokenised at once. Their tokens' offsets take much more memory than what is kept.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of prompt and response; ``ids[:n_prompt]`` are the prompt's.

    A token that holds characters of both belongs to the response. ``token_ends`` are the response tokens' ends
    as character offsets into the response text. ``refused`` says why there are no tokens: the chat template does not
    take what is said.
    """

    ids: list[int]
    n_prompt: int
    token_ends: list[int]
    refused: str = ""


def with_response(solutions: Sequence[Encoded]) -> list[int]:
    """The places of the solutions whose response has tokens.

    Raises:
        UserError: where nothing comes before one.
    """
    places = [i for i, solution in enumerate(solutions) if len(solution.ids) > solution.n_prompt]
    if any(solutions[i].n_prompt == 0 for i in places):
        raise UserError("the chat template writes nothing before a response, so nothing predicts its first token")
    return places


class SolutionEncoder:
    """Encodes solutions as one model reads them: after the prompt of ``asked``, as they are.

    Raises:
        UserError: when the tokenizer has no chat template and the prompt is not raw, or it gives no character offsets.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: str, asked: Asked | None = None) -> None:
        self._tokenizer = tokenizer
        self._encoder = PieceEncoder(tokenizer, model)
        self._chat = ChatTemplate(tokenizer, model, asked, self._encoder.special)
        is_raw = asked is not None and asked.template is not None
        self.end_of_turn = str(tokenizer.eos_token or "") if is_raw else self._end_of_turn(model)

    def encode(self, solutions: Sequence[tuple[str, str, bool]]) -> list[Encoded]:
        """Encode (problem, response text, whether the model ended its turn) triples."""
        prompts: dict[str, list[Piece]] = {}
        refused: dict[str, str] = {}
        for problem in dict.fromkeys(s[0] for s in solutions):
            try:
                prompts[problem] = self._chat.prompt(problem)
            except Refused as error:
                prompts[problem], refused[problem] = [], str(error)
        end = Piece(self.end_of_turn, trusted=True)
        encoded = []
        for start in range(0, len(solutions), _AT_ONCE):
            some = solutions[start : start + _AT_ONCE]
            texts = [[*prompts[problem], Piece(text), *([end] if ended else [])] for problem, text, ended in some]
            for (problem, text, _), tokens in zip(some, self._encoder.encode(texts), strict=True):
                if problem in refused:
                    encoded.append(Encoded([], 0, [], refused[problem]))
                    continue
                border = tokens.borders[len(prompts[problem])]
                n_prompt = bisect_right(tokens.ends, border)
                token_ends = (np.minimum(tokens.ends[n_prompt:], border + len(text)) - border).tolist()
                encoded.append(Encoded(tokens.ids, n_prompt, token_ends))
        return encoded

    def n_bytes(self, problem: str, text: str, ended: bool) -> int:
        """The length of the string that :meth:`encode` makes tokens of, in UTF-8; 0 where the template refuses it."""
        try:
            written = "".join(piece.text for piece in self._chat.prompt(problem)) + text
        except Refused:
            return 0
        return len((written + (self.end_of_turn if ended else "")).encode())

    def _end_of_turn(self, model: str) -> str:
        """What the chat template writes after the assistant's words, or the EOS token where it writes nothing."""
        words = "words of the assistant"
        _, written, after = self._chat.render([("user", "problem"), ("assistant", words)]).rpartition(words)
        special = self._encoder.special.match(after.lstrip()) if written else None
        token = special[0] if special else self._tokenizer.eos_token
        if not token:
            raise UserError(f"{model}: neither its chat template nor its tokenizer names an end-of-turn token")
        return str(token)
