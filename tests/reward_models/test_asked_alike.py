"""Samplers, scorers and trainings read the same tokens of a problem that a template of the user's turn is around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiny_models import make_model, make_tokenizer

from bonbench.generators.prompts import Codec, PromptParams
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.step_token import StepTokenParams, StepTokenPRM
from bonbench.reward_models.text.layouts import chat_turns, step_ends
from bonbench.reward_models.text.pieces import Marked
from bonbench.reward_models.training.encode import for_every_token, for_layout, for_likelihood
from harness.core.records import Problem, Response, Solution

ASK = "{problem}\n\nReason step by step, then \\boxed{}. Not {this}."
PROBLEM = "What is {3} + 4?"
GOLDEN = "<|user|>What is {3} + 4?\n\nReason step by step, then \\boxed{}. Not {this}.<|end|><|assistant|>"
SOLUTION = Solution(Problem("p", PROBLEM, "7"), Response("p", "g", 0, "Step 1: 7\nStep 2: 7", finish_reason="stop"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


def sampled(user_template: str | None) -> list[int]:
    return Codec(PromptParams(user_template=user_template), make_tokenizer(), "m", None).encode(PROBLEM)


def test_the_golden_text_of_each(model: str) -> None:
    """Token for token what the sampler's prompt is, whoever reads, however the template is worded."""
    assert make_tokenizer().decode(sampled(ASK)) == "<|bos|>" + GOLDEN
    for ask in (ASK, None, "Solve: {problem}", "{problem} {problem}\n"):
        pass_ = CausalLMScorer(CausalLMParams(model=model, user_template=ask))
        judge = StepTokenPRM(StepTokenParams(model=model, user_template=ask))
        encoders: list[Callable[[Sequence[Solution]], list[Marked]]] = [
            for_likelihood(model, ask),
            for_layout(model, step_ends, ask),
            for_every_token(model, ask),
            judge.encode,
        ]
        for encode in encoders:
            tokens = encode([SOLUTION])[0]
            assert tokens.ids[: tokens.n_prompt] == sampled(ask)
        assert pass_.logprobs([SOLUTION])[0].n_prompt_tokens == len(sampled(ask))
        read = pass_.encoder.encode([(PROBLEM, "7", True)])[0]
        assert read.ids[: read.n_prompt] == sampled(ask)
        # What a training learns from is what the model that comes of it reads.
        assert for_layout(model, step_ends, ask)([SOLUTION])[0] == judge.encode([SOLUTION])[0]
        turns = for_layout(model, chat_turns, ask)([SOLUTION])[0]
        assert turns.ids[: turns.n_prompt] == sampled(ask)


def test_worked_examples_are_asked_alike() -> None:
    example = {"problem": "1 + 1?", "solution": "2"}
    params = PromptParams.model_validate({"user_template": "Solve: {problem}", "few_shot": [example]})
    assert Codec(params, make_tokenizer(), "m", None).prompt("5?") == (
        "<|bos|><|user|>Solve: 1 + 1?<|end|><|assistant|>2<|end|><|user|>Solve: 5?<|end|><|assistant|>"
    )


def test_a_longer_prompt_is_counted(model: str, tmp_path: Path) -> None:
    """What makes the prompt too long for the model is seen before anything is loaded."""
    long = "{problem}" + " apples" * 600
    for params in (CausalLMParams(model=model), CausalLMParams(model=model, user_template=long)):
        assert CausalLMScorer.count_too_long(params, [[SOLUTION]]) == int(params.user_template is not None)
    judge = StepTokenParams(model=model, user_template=long)
    assert StepTokenPRM.count_too_long(judge, [[SOLUTION]]) == 1
