"""A page's formulas: where texts have them, each rendered once, and how much of a page is rendered."""

from __future__ import annotations

from typing import Any

from harness.report.page.blocks import decode_block, encode_block
from harness.report.page.formulas import find_formulas
from harness.report.page.mathematics import Cost, render_mathematics
from harness.report.page.mathml import to_mathml

INDEX = {"problems": {"text": ["Find $x^2$, \U0001d465.", "How many?"], "gold": [r"\frac{1}{2}", "3"]}}
TEXTS = [
    "So \U0001d465 and \\(x^2\\), then $y$; \\foo is $\\foo$, \\[x^2\\]",
    "nothing",
    "$y$ again, and $z$",
    "last $w$",
]


def responses(texts: list[str], chosen: list[int]) -> str:
    extracted = [r"\frac{1}{2}", "3", None, "constructor"][: len(texts)]
    return encode_block(
        {
            "samples": list(range(10, 10 + len(texts))),
            "texts": texts,
            "extracted": extracted,
            "answers": [{"text": r"\pi"}, {"text": None}],
            "choosers": [{"chosen": [10 + row for row in chosen]}, {"chosen": None}],
        }
    )


def sources(text: str, places: list[int], formulas: list[Any]) -> list[str]:
    """As the page's script finds them."""
    found, at = [], 0
    for gap, number in zip(places[::2], places[1::2], strict=True):
        start = at + gap
        at = start + formulas[number][0]
        found.append(text[start:at])
    return found


def test_texts_say_where_they_have_which_formula() -> None:
    mathematics = render_mathematics(INDEX, {"block-0-1": responses(TEXTS, [2])})
    assert mathematics.source_only == 0
    problems = decode_block(mathematics.blocks["mathematics"])
    assert sources(INDEX["problems"]["text"][0], problems["texts"][0], problems["formulas"]) == ["$x^2$"]
    assert problems["texts"][1] == []
    assert problems["answers"].keys() == {r"\frac{1}{2}"}

    block = decode_block(mathematics.blocks["mathematics-block-0-1"])
    for text, places in zip(TEXTS, block["texts"], strict=True):
        readable = [f for f in find_formulas(text) if f.latex != r"\foo"]
        assert sources(text, places, block["formulas"]) == [text[f.start : f.end] for f in readable]
        for formula, number in zip(readable, places[1::2], strict=True):
            assert block["formulas"][number][1:] == [int(formula.display), *(to_mathml(*formula[2:]) or ())]
    assert block["answers"].keys() == {r"\frac{1}{2}", r"\pi"}
    assert len({str(formula) for formula in block["formulas"]}) == len(block["formulas"])


def test_a_page_renders_what_was_chosen_first_and_counts_the_rest() -> None:
    texts = [f"$a_{row}$" for row in range(8)]
    blocks = {f"block-0-{i}": responses([text.replace("a", "ab"[i]) for text in texts[:4]], [2]) for i in range(2)}
    index = {"problems": {"text": ["$p$", "q"], "gold": ["1", "2"]}}
    rendered = {}
    for limit in (0, 1, 37, 41, 10_000):
        mathematics = render_mathematics(index, blocks, Cost(limit, 10_000))
        assert mathematics == render_mathematics(index, blocks, Cost(limit, 10_000))
        assert mathematics.n_texts == 1 + 2 * (4 + 2)  # responses; answers of two kinds
        found = [decode_block(mathematics.blocks[f"mathematics-{name}"])["texts"] for name in blocks if limit > 1]
        rendered[limit] = [[bool(places) for places in block] for block in found]
        shown = sum(map(sum, rendered[limit]))
        if limit > 1:
            assert mathematics.source_only == 8 - shown
    # Of 36 characters each problem has half: its answers, 14, then the response that was chosen, 3. What one needs no
    # more because the other has rendered it is shared out again.
    assert rendered[37] == [[False, False, True, False], [True, True, True, True]]
    assert rendered[41] == [[True, False, True, False], [True, True, True, True]]
    assert rendered[10_000] == [[True] * 4] * 2
    assert render_mathematics(index, blocks, Cost(0, 10_000)).blocks == {}


def test_a_formula_is_rendered_once_for_all_problems() -> None:
    one, two = (
        render_mathematics(INDEX, {f"block-0-{i}": responses(TEXTS, []) for i in range(n)}, Cost(140, 10_000))
        for n in (1, 9)
    )
    assert one.source_only == two.source_only == 0


def test_formulas_that_are_rendered_already_still_take_room() -> None:
    """Each problem has the same formulas: they cost time once, and bytes each time."""
    blocks = {f"block-0-{i}": responses(["$x$", "$x$ $x$"], []) for i in range(40)}
    for size in (0, 300, 600, 100_000):
        mathematics = render_mathematics({"problems": {"text": [], "gold": []}}, blocks, Cost(10_000, size))
        rendered = [decode_block(block)["texts"] for block in mathematics.blocks.values()]
        places = sum(len(text) // 2 for block in rendered for text in block)
        assert 3 * places <= size
        assert (places == 3 * 40) == (size == 100_000)
        assert (mathematics.source_only == 0) == (size == 100_000)
