"""The border between prompt and response lies inside a special token that takes the blanks after it (Phi-3).

The token then counted as the response's first: one log-probability more, of a token that the format writes.

Reports: huggingface/transformers#32136, guidance-ai/guidance#830.
"""

from __future__ import annotations

import pytest
from tiny_models import make_tokenizer
from tokenizers import AddedToken

from bonbench.generators.prompts import Codec
from bonbench.reward_models.text.chat import ChatTemplate
from bonbench.reward_models.text.encoding import SolutionEncoder
from bonbench.reward_models.text.layouts import step_ends
from bonbench.reward_models.text.pieces import PieceEncoder
from harness.core.prompt import PromptParams
from harness.core.records import Problem, Response, Solution


@pytest.mark.parametrize("name", ["<|assistant|>", "<|end|>"])
@pytest.mark.parametrize("sides", [{"rstrip": True}, {"lstrip": True}, {"lstrip": True, "rstrip": True}])
def test_it_is_the_formats_token(name: str, sides: dict[str, bool]) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [AddedToken(name, special=True, normalized=False, **sides)]}
    )
    n_prompt = len(Codec(PromptParams(), tokenizer, "m", None).encode("2?"))
    encoder = SolutionEncoder(tokenizer, "m")
    for text in (" 4", "\n\n4", "Step 1: 4 \n", " ", "", " <|assistant|> 4", "4 <|end|>"):
        read = encoder.encode([("2?", text, True)])[0]
        assert read.n_prompt == n_prompt, text
        assert all(begin <= end for begin, end in zip(read.token_ends, [*read.token_ends[1:], len(text)], strict=True))
        assert not set(tokenizer.all_special_ids) & set(read.ids[n_prompt:-1]), text
    # A step is read at its own last token, and not at the token that takes the blanks after it.
    solution = Solution(Problem("p", "2?", ""), Response("p", "g", 0, "Step 1: 4 \n", finish_reason="stop"))
    layout = step_ends(ChatTemplate(tokenizer, "m"), solution)
    reading = PieceEncoder(tokenizer, "m").encode_layouts([layout])[0]
    assert reading.reads[-1] == len(reading.ids) - 1
