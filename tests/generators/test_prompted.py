"""Prompts of any length: what fits a model, what may follow it, and what the tokenizer alone says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import make_model, make_tokenizer

from bonbench.generators.prompted import PromptedParams, fitting
from bonbench.generators.prompts import Codec
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.generators.vllm import VLLMGenerator, VLLMParams
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution

SHORT, LONG = Problem("a", "2 + 2", "4"), Problem("b", "2 + 2" + " + 3" * 12, "40")


def params(**values: object) -> PromptedParams:
    return PromptedParams.model_validate({"model": "m", "template": "{problem}", **values})


def codec() -> Codec:
    return Codec(params(), make_tokenizer(), "m", None)


def test_a_beginning_is_part_of_the_response() -> None:
    problem = Problem("a", "2 + 2", "4")
    begun = fitting(codec(), params(), None, [problem] * 3, [" = 4", "", " = 4" * 20], 9)
    whole = codec().encode("2 + 2 = 4")
    assert begun[0].ids == whole
    assert [prompt.max_tokens for prompt in begun] == [9 - (len(whole) - len(codec().encode("2 + 2"))), 9, 1]


@pytest.mark.parametrize(
    ("room_after_long", "max_tokens", "left"),
    [
        (9, 9, {"a": 9, "b": 9}),
        (8, 9, {"a": 9, "b": 8}),  # cut to what fits
        (1, 9, {"a": 9, "b": 1}),
        (0, 9, {"a": 9}),  # no room for a single token
        (-3, 9, {"a": 9}),
    ],
)
def test_what_fits(room_after_long: int, max_tokens: int, left: dict[str, int]) -> None:
    length = {p.problem_id: len(codec().encode(p.problem)) for p in (SHORT, LONG)}
    limit = length["b"] + room_after_long
    assert limit >= length["a"] + 9
    prompts = fitting(codec(), params(), limit, [SHORT, LONG], ["", ""], max_tokens)
    assert {prompt.problem.problem_id: prompt.max_tokens for prompt in prompts} == left
    for prompt in prompts:
        assert prompt.ids == codec().encode(prompt.problem.problem)


def test_an_error_names_the_problem() -> None:
    size = len(codec().encode(LONG.problem))
    asked = params(too_long="error")
    assert len(fitting(codec(), asked, size + 1, [SHORT, LONG], ["", ""], 9)) == 2
    with pytest.raises(UserError, match=rf"^m reads {size} tokens, the prompt of problem 'b' has {size} and leaves no"):
        fitting(codec(), asked, size, [SHORT, LONG], ["", ""], 9)


@pytest.mark.parametrize(("max_tokens", "n_prompt"), [(3, 7), (5, 5), (900, 5)])
def test_truncation_keeps_the_end_and_leaves_room(max_tokens: int, n_prompt: int) -> None:
    """Of 10 tokens the response may take as many as it wants, but no more than half."""
    whole = codec().encode(LONG.problem)
    (prompt,) = fitting(codec(), params(too_long="truncate"), 10, [LONG], [""], max_tokens)
    assert len(whole) >= 10
    assert prompt.ids == whole[-n_prompt:]
    assert prompt.max_tokens == 10 - n_prompt


def test_truncation_keeps_the_bos_token() -> None:
    chat = Codec(params(template=None), make_tokenizer(), "m", None)
    whole = chat.encode(LONG.problem)
    (prompt,) = fitting(chat, params(too_long="truncate"), 10, [LONG], [""], 4)
    assert prompt.ids == [make_tokenizer().bos_token_id, *whole[-5:]]


def test_the_tokenizer_alone_counts_them(tmp_path: Path) -> None:
    """As many as ``fitting`` leaves out, beginnings included."""
    model = make_model(tmp_path / "model")
    lengths, beginnings = range(480, 520), ["", "Step 1: "]
    solutions = [
        Solution(Problem(f"p{n}", "5" * n, ""), Response(f"p{n}", "g", 0, text)) for n in lengths for text in beginnings
    ]
    asked = TransformersParams(model=model)
    chat = Codec(asked, make_tokenizer(), model, None)
    problems, texts = [s.problem for s in solutions], [s.response.text for s in solutions]
    left_out = len(solutions) - len(fitting(chat, asked, 512, problems, texts, 9))
    assert 0 < left_out < len(solutions)
    assert TransformersGenerator.count_too_long(asked, [solutions[:7], solutions[7:]]) == left_out
    assert VLLMGenerator.count_too_long(VLLMParams(model=model), [solutions]) == left_out
    for shorter in (VLLMParams(model=model, max_model_len=64), VLLMParams(model=model, engine={"max_model_len": 64})):
        assert VLLMGenerator.count_too_long(shorter, [solutions]) == len(solutions)
