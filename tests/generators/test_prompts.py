"""How a problem becomes a prompt: the same text and tokens whichever sampler asks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tiny_models import make_tokenizer
from tokenizers.processors import TemplateProcessing

from bonbench.generators.prompts import Codec
from harness.core.errors import UserError
from harness.core.prompt import PromptParams, conversation, raw_prompt

EXAMPLES = [{"problem": "1 + 1?", "solution": "\\boxed{2}"}, {"problem": "2 + 1?", "solution": "\\boxed{3}"}]


def codec(**params: object) -> Codec:
    return Codec(PromptParams.model_validate(params), make_tokenizer(), "m", None)


def test_chat_prompt() -> None:
    full = codec(system_prompt="Be brief.", few_shot=EXAMPLES)
    assert full.prompt("5?") == (
        "<|bos|><|system|>Be brief.<|end|><|user|>1 + 1?<|end|><|assistant|>\\boxed{2}<|end|>"
        "<|user|>2 + 1?<|end|><|assistant|>\\boxed{3}<|end|><|user|>5?<|end|><|assistant|>"
    )
    assert codec().prompt("5?") == "<|bos|><|user|>5?<|end|><|assistant|>"
    # What a server is sent says the same.
    assert conversation(PromptParams.model_validate({"system_prompt": "", "few_shot": EXAMPLES[:1]}), "5?") == [
        {"role": "system", "content": ""},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "\\boxed{2}"},
        {"role": "user", "content": "5?"},
    ]


def test_raw_prompt_takes_braces_and_the_problem_as_they_are() -> None:
    params = PromptParams.model_validate(
        {"system_prompt": "Sums.", "template": "Q: {problem} in \\frac{a}{b}\nA: ", "few_shot": EXAMPLES}
    )
    assert raw_prompt(params, "Is {problem} {0} a set?") == (
        "Sums.\n\nQ: 1 + 1? in \\frac{a}{b}\nA: \\boxed{2}\n\nQ: 2 + 1? in \\frac{a}{b}\nA: \\boxed{3}\n\n"
        "Q: Is {problem} {0} a set? in \\frac{a}{b}\nA: "
    )


def test_one_bos_token_however_the_tokenizer_and_the_prompt_write_it() -> None:
    plain, eager = make_tokenizer(), make_tokenizer()
    bos, end = eager.bos_token_id, eager.eos_token_id
    eager.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|bos|> $A <|end|>", special_tokens=[("<|bos|>", bos), ("<|end|>", end)]
    )
    assert eager("x")["input_ids"][0] == bos  # such a tokenizer would double the chat template's, and end the turn
    cases = [
        (plain, "{problem}", 0),
        (plain, "<|bos|>{problem}", 1),
        (eager, "{problem}", 1),
        (eager, "<|bos|>{problem}", 1),
        (plain, None, 1),
        (eager, None, 1),
    ]
    for tokenizer, template, n_bos in cases:
        ids = Codec(PromptParams(template=template), tokenizer, "m", None).encode("2 + 2?")
        assert ids.count(bos) == n_bos, (template, n_bos)
        assert ids[-1] != end
        assert ids[: ids.count(bos)] == [bos] * n_bos
        text = plain.decode([i for i in ids if i != bos])
        assert text == ("2 + 2?" if template else "<|user|>2 + 2?<|end|><|assistant|>")


def test_decoded_text_continues_the_prompt() -> None:
    tokenizer = make_tokenizer()
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    codec = Codec(PromptParams(), tokenizer, "m", [7, 9])
    assert codec.stop_ids == sorted({7, 9, end})
    assert Codec(PromptParams(), tokenizer, "m", 7).stop_ids == sorted({7, end})
    assert Codec(PromptParams(), tokenizer, "m", None).stop_ids == [end]
    for text in (" = 4", "\n\nSo \\boxed{4}", "", "é∑"):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert codec.decode(codec.encode("2 + 2"), [*tokens, end]) == text
        assert codec.decode(codec.encode("2 + 2"), [pad, *tokens]) == text
    # An end-of-turn token of the generation config is not written though the tokenizer knows it as a usual one.
    assert codec.decode([end], [20, 9]) == tokenizer.decode([20])


def test_mistakes() -> None:
    without = make_tokenizer(template=None)
    with pytest.raises(UserError, match="m: its tokenizer has no chat template: give the prompt as `template`"):
        Codec(PromptParams(), without, "m", None)
    assert Codec(PromptParams(template="{problem}"), without, "m", None).prompt("1") == "1"
    strict = make_tokenizer("{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}")
    with pytest.raises(UserError, match="m: its chat template refuses turns of system, user: no system role"):
        Codec(PromptParams(system_prompt="x"), strict, "m", None).encode("1")
    with pytest.raises(ValidationError, match=r"\{problem\} is missing"):
        PromptParams(template="Q: {question}")
    with pytest.raises(ValidationError, match="solutions"):
        PromptParams.model_validate({"few_shot": [{"problem": "1", "solutions": "2"}]})
