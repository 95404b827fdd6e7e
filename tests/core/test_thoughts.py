"""A response is cut where its thoughts end, wherever that is and whatever the marks are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.thoughts import thoughts


def parts(text: str) -> tuple[str | None, str | None, bool]:
    found = thoughts(text)
    reasoning, answer = (span and text[slice(*span)] for span in (found.reasoning, found.answer))
    return reasoning, answer, found.is_cut


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a</think>b", ("a", "b", False)),
        ("<think>\na\n</think>\n\nb\n", ("a\n", "b\n", False)),
        ("a</think>b", ("a", "b", False)),  # the opening mark was in the prompt
        ("  <think>a", ("a", None, True)),
        ("<think>", (None, None, True)),
        ("<think>a</think>", ("a", None, False)),
        ("<think>\n\n</think>\n\nb", (None, "b", False)),
        ("</think>b", (None, "b", False)),
        ("b", (None, "b", False)),
        ("I used <think> there", (None, "I used <think> there", False)),
        ("", (None, None, False)),
        (" \n", (None, None, False)),
        ("<think>a</think>b<think>c</think>d", ("a</think>b<think>c", "d", False)),
        ("<think>a</think> <think>c", ("a</think> <think>c", None, True)),
        ("<THINK>a</THINK>b", ("a", "b", False)),
        ("[THINK]a[/THINK]b", ("a", "b", False)),
        ("◁think▷a◁/think▷b", ("a", "b", False)),
        ("<seed:think>a</seed:think>b", ("a", "b", False)),
        ("<|begin_of_thought|>a<|end_of_thought|>b", ("a", "b", False)),
        ("<|START_THINKING|>a<|END_THINKING|>b", ("a", "b", False)),
        ("x < y </thin> z", (None, "x < y </thin> z", False)),
    ],
)
def test_examples(text: str, expected: tuple[str | None, str | None, bool]) -> None:
    assert parts(text) == expected


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "\n", "<"]), max_size=10).map("".join))
def test_the_answer_is_what_stands_after_the_last_closing_mark(text: str) -> None:
    reasoning, answer, is_cut = parts(text)
    before, mark, after = text.rpartition("</think>")
    cut = (after if mark else text).lstrip().startswith("<think>")
    assert is_cut == cut
    assert answer == (None if cut else after.lstrip() or None if mark else text if text.strip() else None)
    assert (reasoning is None) or (reasoning.strip() and reasoning in text)
    if mark and not cut:
        assert reasoning == (before.lstrip().removeprefix("<think>").lstrip() or None)
