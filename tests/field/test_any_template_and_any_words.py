"""Whatever a chat template does to whatever is said: what is fed is its own text, or a line says why not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_tokenizer

from bonbench.reward_models.text.chat import ChatTemplate
from bonbench.reward_models.text.layouts import Format, chat_turns, laid_out, qwen_prm, rlhflow, step_ends
from bonbench.reward_models.text.pieces import PieceEncoder
from harness.core.chat_template import Refused
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution

_HEADS = (
    "",
    "{{ bos_token }}",
    "{% if messages[0].role != 'system' %}<|system|>You help.<|end|>{% endif %}",
    "{{ strftime_now('%d %b %Y') }}",
    "{{ messages[0].content | length }}",
    "{% if '<think>' in messages[-1].content %}{{ 1 / 0 }}{% endif %}",
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}",
)
_CONTENTS = (
    "{{ m.content }}",
    "{{ m.content | trim }}",
    "{{ m.content.split('</think>')[-1].lstrip('\n') }}",
    "{{ m.content.replace('\n', ' ') }}",
    "{{ m.content | upper }}",
    "{{ m.content[:9] }}",
    "{% if m.role == 'assistant' and not '</think>' in m.content %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}",
    "{% if loop.last %}<think>{% endif %}{{ m.content }}",
)
_TEMPLATES = st.builds(
    lambda head, content, end, ready: (
        f"{head}{{% for m in messages %}}<|{{{{ m.role }}}}|>{content}{end}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{ready}{{% endif %}}"
    ),
    st.sampled_from(_HEADS),
    st.sampled_from(_CONTENTS),
    st.sampled_from(["<|end|>", "<|end|>\n", "", "\n\n"]),
    st.sampled_from(["<|assistant|>", "<|assistant|>\n<think>\n", ""]),
)
_WORDS = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "\n", "\n\n", " ", "Step 1: ", "two", "7", "<|end|>", "<|user|>", "ä", "😀"]
    ),
    max_size=9,
).map("".join)


@pytest.mark.thorough
@settings(max_examples=400, derandomize=True)
@given(_TEMPLATES, _WORDS, _WORDS)
def test_the_templates_own_text_or_a_line(template: str, problem: str, text: str) -> None:
    tokenizer = make_tokenizer(template)
    chat, encoder = ChatTemplate(tokenizer, "m"), PieceEncoder(tokenizer, "m", ["<extra_0>"])
    solution = Solution(Problem("p", problem, ""), Response("p", "g", 0, text, finish_reason="stop"))
    steps = [step.strip() for step in solution.steps]
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    turns: dict[Format, list[tuple[str, str]]] = {
        chat_turns: [("user", problem), ("assistant", text)],
        step_ends: [("user", problem)],
        rlhflow: [t for s in [f"{problem} {steps[0]}", *steps[1:]] for t in (("user", s), ("assistant", "+"))],
        qwen_prm: [("system", system), ("user", problem), ("assistant", "".join(f"{s}<extra_0>" for s in steps))],
    }
    for format_, said in turns.items():
        try:
            layout = laid_out(format_, chat, solution)
        except UserError as refused:  # at any words
            assert "\n" not in str(refused)
            continue
        if isinstance(layout, Refused):
            continue
        own = chat.render(said, ready=format_ is step_ends) + (text if format_ is step_ends else "")
        assert "".join(piece.text for piece in layout.pieces) == own
        tokens = encoder.encode_layouts([layout])[0]
        assert len(tokens.reads) == (1 if format_ is chat_turns else len(steps))
        assert list(tokens.reads) == sorted(tokens.reads)
        if not encoder.special.search(f"{problem}\0{text}") and format_ is not qwen_prm:
            assert tokens.ids == tokenizer(own, add_special_tokens=False)["input_ids"]
