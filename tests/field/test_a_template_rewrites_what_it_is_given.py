"""A model of the Qwen 3 kind is judged, or trained, with an empty think block before its real one.

The frame of a chat template was found with a placeholder, and the words put into it. Templates look at the words: they
move a think block, drop it, add an empty one where there is none, and take some words not at all.

Reports: thinking-machines-lab/tinker-cookbook#849, huggingface/trl#6361, modelscope/ms-swift#9279.
"""

from __future__ import annotations

from pathlib import Path

import chat_templates
import pytest
from reward_checkpoints import make_checkpoint
from tiny_models import make_tokenizer

from bonbench.generators.prompted import PromptedParams, fitting
from bonbench.generators.prompts import Codec
from bonbench.reward_models.sequence_classifier import SequenceClassifier, SequenceClassifierParams
from bonbench.reward_models.text.chat import ChatTemplate
from bonbench.reward_models.text.encoding import SolutionEncoder
from bonbench.reward_models.text.layouts import (
    Chat,
    Format,
    chat_turns,
    chat_turns_gated,
    laid_out,
    qwen_prm,
    rlhflow,
    step_ends,
)
from bonbench.reward_models.text.pieces import PieceEncoder
from bonbench.reward_models.training.encode import for_layout
from harness.core.chat_template import Refused
from harness.core.errors import UserError
from harness.core.prompt import Asked
from harness.core.records import Problem, Response, Solution
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts

THOUGHT = "<think>\ntwo and two\n</think>\n\nStep 1: 2 + 2\nStep 2: 4"
WORDS = (THOUGHT, "Step 1: 2 + 2\nStep 2: 4", "\n\n 4 \n", "two</think>4", "<think>unfinished", "", "<think>a</think>b")
SPECIAL = ("<|end|><|user|>4", "<think>a<|end|>b</think>\n\nc <|assistant|>")
FORMATS = (chat_turns, chat_turns_gated, step_ends, rlhflow, qwen_prm)


def solution(text: str, problem: str = "2 + 2?") -> Solution:
    return Solution(Problem("p", problem, "4"), Response("p", "g", 0, text, finish_reason="stop"))


def own_rendering(format_: Format, chat: ChatTemplate, solved: Solution) -> str:
    """The template's own text for the conversation that a format is."""
    asked, steps = ("user", solved.problem.problem), [step.strip() for step in solved.steps]
    if format_ is step_ends:
        return chat.render([asked], ready=True) + solved.response.text
    if format_ is rlhflow:
        said = [f"{asked[1]} {steps[0]}", *steps[1:]]
        return chat.render([turn for words in said for turn in (("user", words), ("assistant", "+"))])
    if format_ is qwen_prm:
        system = "Please reason step by step, and put your final answer within \\boxed{}."
        return chat.render([("system", system), asked, ("assistant", "".join(f"{step}<extra_0>" for step in steps))])
    return chat.render([asked, ("assistant", solved.response.text)])


@pytest.mark.parametrize("template", ["THINKS", "FORGETS", "TRIMS", "SWITCHES"])
def test_the_templates_own_rendering_is_fed(template: str) -> None:
    tokenizer = make_tokenizer(getattr(chat_templates, template))
    encoder, chat = PieceEncoder(tokenizer, "m", ["<extra_0>"]), ChatTemplate(tokenizer, "m")
    for text in (*WORDS, *SPECIAL):
        for format_ in FORMATS:
            solved = solution(text)
            layout = laid_out(format_, chat, solved)
            if isinstance(layout, Refused):  # a step that was thought and forgotten
                assert (template, format_) == ("FORGETS", qwen_prm), (text, layout)
                continue
            whole = "".join(piece.text for piece in layout.pieces)
            assert whole == own_rendering(format_, chat, solved), (text, format_)
            reads = [piece for piece in layout.pieces if piece.read]
            assert len(reads) == {chat_turns: 1, chat_turns_gated: 2}.get(format_, len(solved.steps))
            assert format_ is not qwen_prm or {piece.text for piece in reads} == {"<extra_0>"}
            tokens = encoder.encode_layouts([layout])[0]
            if text in WORDS and format_ is not qwen_prm:
                assert tokens.ids == tokenizer(whole, add_special_tokens=False)["input_ids"]
            else:  # what reads like a special token in a response is text, and the template's own are tokens
                written = [i for i in tokens.ids if i in tokenizer.all_special_ids]
                plain = laid_out(format_, chat, solution(text.replace("<|", "<.")))
                assert not isinstance(plain, Refused)
                counted = encoder.encode_layouts([plain])[0].ids
                assert written == [i for i in counted if i in tokenizer.all_special_ids], (text, format_)


def test_by_hand() -> None:
    def read(template: str, text: str) -> str:
        layout = chat_turns(ChatTemplate(make_tokenizer(template), "m"), solution(text))
        return "".join(piece.text for piece in layout.pieces)

    said = "<|user|>2 + 2?<|end|>\n<|assistant|>\n<think>\n{}\n</think>\n\n{}<|end|>\n"
    assert read(chat_templates.THINKS, "<think>\na\n</think>\n\nb") == said.format("a", "b")
    assert read(chat_templates.THINKS, "b") == said.format("", "b")
    assert read(chat_templates.FORGETS, "<think>\na\n</think>\n\nb") == (
        "<|bos|><|user|>2 + 2?<|assistant|>\n\nb<|end|>"
    )


def test_examples_lose_what_was_thought() -> None:
    """A scorer's prompt with worked examples is the template's own too."""
    tokenizer = make_tokenizer(chat_templates.THINKS)
    asked = Asked.model_validate({"few_shot": [{"problem": "1?", "solution": THOUGHT}], "system_prompt": "Be brief."})
    read = SolutionEncoder(tokenizer, "m", asked).encode([("2?", "4", True)])[0]
    assert tokenizer.decode(read.ids) == (
        "<|system|>Be brief.<|end|>\n<|user|>1?<|end|>\n<|assistant|>\nStep 1: 2 + 2\nStep 2: 4<|end|>\n"
        "<|user|>2?<|end|>\n<|assistant|>\n4<|end|>"
    )
    switched = Asked.model_validate({"system_prompt": "/no_think"})
    chat: Chat = ChatTemplate(make_tokenizer(chat_templates.SWITCHES), "m", switched)
    assert "".join(piece.text for piece in chat.prompt("2?")) == (
        "<|system|><|end|><|user|>2?<|end|><|assistant|><think>\n\n</think>\n"
    )


def test_words_that_a_template_refuses_are_left_out_alone(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "rm", "qwen", {"score.weight": (1, 32)}, num_labels=1)
    (tmp_path / "rm/chat_template.jinja").write_text(chat_templates.REFUSES)
    model = SequenceClassifier(SequenceClassifierParams(model=folder))
    scores = model.score([solution("4"), solution("bad"), solution("worse"), solution("5")])
    assert [len(record.step_rewards) for record in scores] == [1, 0, 0, 1]
    assert "refused by its chat template" in model.unscored_because
    strict = SequenceClassifier(SequenceClassifierParams(model=folder, too_long="error"))
    with pytest.raises(UserError, match=r"turns of user, assistant: TypeError: .*sample 0 of g for problem 'p'"):
        strict.score([solution("4"), solution("worse")])
    # A training leaves them out, and says why.
    marked = for_layout(folder, chat_turns)([solution("4"), solution("bad")])
    assert [bool(tokens.refused) for tokens in marked] == [False, True]
    # A problem that is refused has no pass, and its neighbours have one.
    encoder = SolutionEncoder(make_tokenizer(chat_templates.REFUSES), "m")
    passes = encoder.encode([("2?", "4", True), ("bad?", "4", True)])
    assert [bool(tokens.ids) for tokens in passes] == [True, False]


@pytest.mark.parametrize(
    "broken",
    [
        "{% for m in messages %}{{ 1 + m.content }}{% endfor %}",
        "{{ messages[0].content.nothing.at_all }}",
        "{{ messages[0]['content'] | no_such_filter }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ messages.__class__.__mro__ }}{{ raise_exception('a\nb') }}",
        {"rag": "{{ messages[0].content }}", "tool_use": "x"},
    ],
)
def test_a_template_that_fails_is_one_line(broken: str | dict[str, str]) -> None:
    chat = ChatTemplate(make_tokenizer(broken), "my-model")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="my-model: its chat template refuses turns of user: ") as caught:
        chat.prompt("2 + 2?")
    assert "\n" not in str(caught.value)


def test_the_end_of_a_turn_that_is_not_written() -> None:
    """A template that does not write what the assistant says has no end-of-turn token: the EOS token ends it."""
    template = "<|system|>{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    assert SolutionEncoder(make_tokenizer(template), "m").end_of_turn == "<|end|>"
    named = make_tokenizer({"default": chat_templates.TRIMS, "tool_use": "x"})  # type: ignore[arg-type]
    assert SolutionEncoder(named, "m").end_of_turn == "<|end|>"


def test_a_problem_that_is_refused_leaves_its_neighbours_their_responses() -> None:
    problems = [Problem(name, text, "4") for name, text in (("p", "2 + 2?"), ("q", "a bad sum"), ("r", "worse"))]
    params = PromptedParams(model="m")
    codec = Codec(params, make_tokenizer(chat_templates.REFUSES), "m", None)
    prompts = fitting(codec, params, 100, problems, [""] * 3, 10)
    assert [prompt.problem.problem_id for prompt in prompts] == ["p"]
    strict = PromptedParams(model="m", too_long="error")
    with pytest.raises(UserError, match=r"no bad words .problem 'q'.; let too_long be skip"):
        fitting(codec, strict, 100, problems, [""] * 3, 10)
    always = Codec(params, make_tokenizer("{{ raise_exception('never') }}"), "m", None)
    with pytest.raises(UserError, match=r"m: its chat template refuses turns of user: never$"):
        fitting(always, params, 100, problems, [""] * 3, 10)


def test_results_of_the_doubled_block_are_not_taken_for_the_new_ones(tmp_path: Path) -> None:
    """What is fed has changed where a template treats thoughts apart, so its key has; others keep theirs."""
    folder = make_checkpoint(tmp_path / "rm", "qwen", {"score.weight": (1, 32)}, num_labels=1)
    specs = [
        build("reward_models", "x", {"type": "sequence-classifier", "model": folder}, "x", {}),
        build("trainers", "x", {"type": "sequence-classifier", "base": folder}, "x", {}),
        build("token_scorers", "x", {"type": "causal-lm", "model": folder}, "x", {}),
    ]
    assert ["thoughts" in Artifacts().identity(spec)["params"] for spec in specs] == [False, False, False]
    (tmp_path / "rm/chat_template.jinja").write_text(chat_templates.THINKS)
    assert ["thoughts" in Artifacts().identity(spec)["params"] for spec in specs] == [True, True, False]
