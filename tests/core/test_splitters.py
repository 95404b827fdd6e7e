"""Every way to cut a response into steps tiles it, does what a plain version does, and refuses nonsense in a line."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core import splitters
from harness.core.errors import UserError
from harness.core.splitters import StepSplitter, available, canonical, splitter
from harness.core.steps import step_ends

EVERY: list[Any] = [
    "auto",
    "numbered",
    "paragraphs",
    "lines",
    "sentences",
    {"delimiter": "\n\n"},
    {"delimiter": "ab"},
    {"characters": 5},
    {"at_most": 2},
    {"at_most": {"k": 3, "of": {"characters": 4}}},
]
TEXTS = st.text(alphabet="aB \n\t.!3:。", max_size=60) | st.lists(
    st.sampled_from(["Step 1: ", "\n", "\n\n", "ab", " ", "e.g. ", "X. ", "1. "]), max_size=25
).map("".join)


def cut(text: str, steps: Any) -> list[str]:
    return [text[a:b] for a, b in pairwise((0, *splitter(steps).checked_ends(text)))]


@given(TEXTS)
def test_steps_tile_the_text_and_none_is_blank(text: str) -> None:
    for steps in EVERY:
        found = cut(text, steps)
        assert "".join(found) == text
        assert all(step.strip() for step in found) or not text.strip()


def test_every_splitter_is_tried_here() -> None:
    assert {next(iter(steps)) if isinstance(steps, dict) else steps for steps in EVERY} == set(available())
    assert splitter("auto").ends("a\nb\n\nc") == step_ends("a\nb\n\nc")


@given(st.lists(st.sampled_from(["\n\n", "\n", "x", "y ", " "]), max_size=20).map("".join))
def test_a_delimiter_does_what_splitting_at_it_does(text: str) -> None:
    pieces = [piece for piece in text.split("\n\n") if piece.strip()]
    found = cut(text, {"delimiter": "\n\n"})
    assert [step.strip() for step in found] == [piece.strip() for piece in pieces] or not text.strip()
    assert all(step.endswith("\n\n") for step in found[:-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<s>a<s><s>b<s>", ["<s>a<s><s>", "b<s>"]),
        ("<s><s>", ["<s><s>"]),
        ("no mark", ["no mark"]),
        (" <s>\n<s> a", [" <s>\n<s> a"]),
    ],
)
def test_delimiters_alone_are_no_step(text: str, expected: list[str]) -> None:
    assert cut(text, {"delimiter": "<s>"}) == expected


@given(TEXTS, st.integers(1, 9))
def test_at_most_k_steps_of_whole_neighbours(text: str, k: int) -> None:
    ends = splitter("lines").ends(text)
    merged = splitter({"at_most": {"k": k, "of": "lines"}}).ends(text)
    assert len(merged) == min(len(merged), k) and set(merged) <= set(ends)
    if len(ends) <= k:
        assert merged == ends
        return
    # Plainly: every step goes to the k-th part of the text that has its middle.
    parts: dict[int, int] = {}
    for begin, end in pairwise((0, *ends)):
        parts[next(i for i in range(k) if (begin + end) / 2 < len(text) * (i + 1) / k)] = end
    assert merged == tuple(parts[i] for i in sorted(parts))


def test_a_long_trace_has_few_steps_of_about_equal_length() -> None:
    trace = "".join(f"Then {i} is {'so ' * (i % 7)}.\n\n" for i in range(3000))
    lengths = [len(step) for step in cut(trace, {"at_most": 16})]
    assert len(lengths) == 16 and max(lengths) < 1.1 * min(lengths)


@given(TEXTS, st.integers(1, 9))
def test_windows_are_no_longer_than_asked(text: str, size: int) -> None:
    for step in cut(text, {"characters": size})[1:]:  # the first may have the blanks before it
        assert len(step.rstrip()) <= size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So x = 3.5. Then y.", ["So x = 3.5. ", "Then y."]),
        ("See Eq. (3), e.g. Tom. He left.", ["See Eq. (3), e.g. Tom. ", "He left."]),
        ('He said "no." Then?! $x$ is.', ['He said "no." ', "Then?! ", "$x$ is."]),
        ("1. Add. Then stop\n2. Go", ["1. Add. ", "Then stop\n", "2. Go"]),
        ("It is 2. Next", ["It is 2. ", "Next"]),
        ("Is it? No. So 3", ["Is it? ", "No. ", "So 3"]),
        ("一。二。", ["一。", "二。"]),
        ("approx. three", ["approx. three"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert cut(text, "sentences") == expected


def test_texts_that_repeat_themselves_take_no_time() -> None:
    for unit in (".", "\n", ". ", "? a", "<", "\n\n", " "):
        for steps in EVERY:
            assert splitter(steps).checked_ends(unit * 20_000)[-1] == 20_000 * len(unit)


def test_one_value_is_the_first_option_and_equal_steps_are_equal() -> None:
    spelled = [{"at_most": 4}, {"at_most": {"k": 4}}, {"at_most": {"of": "auto", "k": 4}}]
    assert all(canonical(steps) == {"at_most": {"k": 4, "of": "auto"}} for steps in spelled)
    assert canonical(canonical({"delimiter": "\n"})) == {"delimiter": {"text": "\n"}}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("line", "no step splitter is named 'line'; did you mean lines?"),
        ("delimiter", "delimiter.text: missing"),
        ({"delimiter": ""}, "at least 1 character"),
        ({"delimiter": "\\n\\n"}, "double quotes"),
        ({"at_most": 0}, "at_most.k: input should be greater than or equal to 1"),
        ({"at_most": {"k": 2, "of": "x"}}, "at_most.of: no step splitter is named 'x'"),
        ({"at_most": {"k": 2, "off": "x"}}, "at_most.off: unknown key"),
        ({"lines": 2}, "lines has no options"),
        ({"lines": None, "at_most": 2}, "the name of a splitter is expected"),
        (3, "the name of a splitter is expected"),
    ],
)
def test_mistakes_are_one_line(steps: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        canonical(steps)
    assert message in str(error.value) and "\n" not in str(error.value)


class Wild(StepSplitter):
    """Gives whatever it is told."""

    at: tuple[int, ...]

    def ends(self, text: str) -> tuple[int, ...]:
        return self.at


@pytest.mark.parametrize("at", [(), (1, 2), (2, 2, 3), (0, 3), (3, 1), (4,)])
def test_a_splitter_that_does_not_tile_is_refused(at: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"Wild cuts a text of 3 characters at .* must give increasing offsets"):
        Wild(at=at).checked_ends("abc")
    assert Wild(at=(1, 3)).checked_ends("abc") == (1, 3)


def test_what_is_no_splitter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = available()["lines"]
    for value, message in (("harness.core.steps:step_ends", "is no harness.StepSplitter"), ("no.where:X", "imported")):
        other = type(entry)("mine", value, entry.group)
        monkeypatch.setattr(splitters, "available", lambda other=other: {"mine": other})
        with pytest.raises(ValueError, match=message):
            canonical("mine")
