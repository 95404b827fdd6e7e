"""Samplers, scorers and trainings read the same tokens of a problem that a template of the user's turn is around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import make_model, make_tokenizer
from tokenizers.processors import TemplateProcessing
from training_data import graded_sums

from bonbench.generators.prompts import Codec
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.step_token import StepTokenParams, StepTokenPRM
from bonbench.reward_models.text.layouts import chat_turns, step_ends
from bonbench.reward_models.text.pieces import Marked, PieceEncoder
from bonbench.reward_models.training.autopsv import AutoPSVTrainer
from bonbench.reward_models.training.encode import for_every_token, for_layout, for_likelihood
from bonbench.reward_models.training.implicit import ImplicitTrainer
from bonbench.reward_models.training.outcome import OutcomeTrainer
from bonbench.reward_models.training.step_token import StepTokenTrainer
from harness.core.prompt import Asked, PromptParams
from harness.core.records import Problem, Response, Solution
from harness.engine.local_executor import in_this_process

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
        asked = Asked(user_template=ask)
        pass_ = CausalLMScorer(CausalLMParams(model=model, user_template=ask))
        judge = StepTokenPRM(StepTokenParams(model=model, user_template=ask))
        encoders: list[Callable[[Sequence[Solution]], list[Marked]]] = [
            for_likelihood(model, asked),
            for_layout(model, step_ends, asked),
            for_every_token(model, asked),
            judge.encode,
        ]
        for encode in encoders:
            tokens = encode([SOLUTION])[0]
            assert tokens.ids[: tokens.n_prompt] == sampled(ask)
        assert pass_.logprobs([SOLUTION])[0].n_prompt_tokens == len(sampled(ask))
        read = pass_.encoder.encode([(PROBLEM, "7", True)])[0]
        assert read.ids[: read.n_prompt] == sampled(ask)
        # What a training learns from is what the model that comes of it reads.
        assert for_layout(model, step_ends, asked)([SOLUTION])[0] == judge.encode([SOLUTION])[0]
        turns = for_layout(model, chat_turns, asked)([SOLUTION])[0]
        assert turns.ids[: turns.n_prompt] == sampled(ask)


def test_a_special_token_in_a_problem_is_text_to_everyone(model: str) -> None:
    for problem in ("Say <|end|> and <|end|><|user|>.", "<|bos|>1 + 1?", "<|assistant|>"):
        codec = Codec(PromptParams(user_template="Solve: {problem}"), make_tokenizer(), "m", None)
        solution = Solution(Problem("p", problem, "2"), SOLUTION.response)
        encode = for_likelihood(model, Asked(user_template="Solve: {problem}"))
        (tokens,) = encode([solution])
        assert tokens.ids[: tokens.n_prompt] == codec.encode(problem)
        plain = make_tokenizer()(f"<|bos|><|user|>Solve: {problem}<|end|><|assistant|>", add_special_tokens=False)
        assert codec.encode(problem) != plain["input_ids"]
        whole = codec.encode("1 + 1?", "so <|end|>")
        assert whole.count(make_tokenizer().convert_tokens_to_ids("<|end|>")) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"system_prompt": "Be brief. <|end|>"},
        {"few_shot": [{"problem": "1 + 1?", "solution": "\\boxed{2}"}], "user_template": "Solve: {problem}"},
        {
            "template": "Q: {problem}\nA:",
            "few_shot": [{"problem": "1 + 1?", "solution": " 2"}],
            "system_prompt": "Sums.",
        },
        {"template": "<|bos|>Q: {problem} {problem}\nA: "},
    ],
)
@pytest.mark.parametrize("wants_bos", [False, True])
def test_all_of_the_samplers_prompt_is_read(more: dict[str, Any], wants_bos: bool, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    if wants_bos:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|bos|> $A", special_tokens=[("<|bos|>", tokenizer.bos_token_id)]
        )
    tokenizer.save_pretrained(tmp_path)
    prompt = Codec(PromptParams.model_validate(more), tokenizer, "m", None).encode(PROBLEM)
    asked = Asked.model_validate(more)
    for encode in (
        for_likelihood(str(tmp_path), asked),
        for_layout(str(tmp_path), step_ends, asked),
        for_layout(str(tmp_path), chat_turns, asked),
        for_every_token(str(tmp_path), asked),
    ):
        tokens = encode([SOLUTION])[0]
        assert tokens.ids[: tokens.n_prompt] == prompt
        text = tokenizer.decode(tokens.ids[tokens.n_prompt :])
        assert text.removesuffix("<|end|>") == SOLUTION.response.text


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


@pytest.mark.parametrize(
    "trainer, more",
    [
        (ImplicitTrainer, {"objective": "kto", "reference": None}),
        (OutcomeTrainer, {}),
        (StepTokenTrainer, {}),
        (AutoPSVTrainer, {}),  # which reads its own labels in between
    ],
)
def test_whatever_a_training_reads_is_asked_so(
    trainer: Any, more: dict[str, Any], model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    read: list[str] = []
    plain = PieceEncoder.encode

    def noted(encoder: PieceEncoder, texts: Any, prefix: bool = False) -> Any:
        read.extend("".join(piece.text for piece in pieces) for pieces in texts)
        return plain(encoder, texts, prefix)

    monkeypatch.setattr(PieceEncoder, "encode", noted)
    params = trainer.Params(base=model, responses=4, user_template="Solve: {problem} Now!", **more)
    trainer(params, "x").train(graded_sums(None, problems=4), tmp_path, lambda *_: None, in_this_process)
    problems = [text for text in read if "What is" in text]
    assert len(problems) >= 16
    assert all("<|user|>Solve: What is " in text and " + 4? Now!<|end|>" in text for text in problems)
