"""Steps tile every response, whatever is in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.steps import joined_steps, step_ends, step_of_token, step_spans


def steps(text: str) -> list[str]:
    return [text[a:b] for a, b in step_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Step 1: a\nStep 2: b", ["Step 1: a\n", "Step 2: b"]),
        ("Step 1: a\n\nmore of a\n\nStep 2: b\n", ["Step 1: a\n\nmore of a\n\n", "Step 2: b\n"]),
        ("Let us see.\nStep 1: a\nStep 2: b", ["Let us see.\n", "Step 1: a\n", "Step 2: b"]),
        ("\n\nStep 1: a\nStep 2: b", ["\n\nStep 1: a\n", "Step 2: b"]),
        ("**Step 1:** a\n**Step 2:** b", ["**Step 1:** a\n", "**Step 2:** b"]),
        ("## Step 1: a\n## Step 2: b", ["## Step 1: a\n", "## Step 2: b"]),
        ("As Step 2: shows, no marker\nsecond line", ["As Step 2: shows, no marker\n", "second line"]),
        ("first\nstill first\n\nsecond", ["first\nstill first\n\n", "second"]),
        ("first\n \n\n\nsecond\n\n", ["first\n \n\n\n", "second\n\n"]),
        ("a\nb\n\tc\n", ["a\n", "b\n\t", "c\n"]),
        ("one", ["one"]),
        ("", [""]),
        ("\n\n \n", ["\n\n \n"]),
    ],
)
def test_examples(text: str, expected: list[str]) -> None:
    assert steps(text) == expected


@given(
    st.text(alphabet="ab \n\t.:1Step", max_size=60)
    | st.lists(st.sampled_from(["Step 1: ", "\n", "\n\n", "x", " "])).map("".join)
)
def test_steps_tile_the_text(text: str) -> None:
    assert "".join(steps(text)) == text
    ends = step_ends(text)
    assert list(ends) == sorted(set(ends)) and ends[-1] == len(text)
    assert all(s.strip() for s in steps(text)) or not text.strip()


@given(st.text(alphabet="ab \n", min_size=1, max_size=40), st.data())
def test_every_token_belongs_to_the_step_of_its_last_character(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(1, len(text)), max_size=8).map(sorted))
    spans = step_spans(text)
    for end, step in zip(cuts, step_of_token(step_ends(text), tuple(cuts)), strict=True):
        begin, stop = spans[step]
        assert begin <= end - 1 < stop


@given(st.lists(st.text("aZ \n\tStep12345:.*# ", min_size=1).filter(str.strip), min_size=1, max_size=6))
def test_joined_steps_are_as_they_were(pieces: list[str]) -> None:
    text, ends = joined_steps(pieces)
    assert ends[-1] == len(text)
    found = [text[a:b] for a, b in zip((0, *ends[:-1]), ends, strict=True)]
    assert all(step.startswith(piece) for step, piece in zip(found, pieces, strict=True))


def test_joined_steps() -> None:
    assert joined_steps(["a\n\nb", " c "]) == ("a\n\nb\n\n c ", (6, 9))
    assert joined_steps(["**Step 3:** a"]) == ("**Step 3:** a", (13,))
