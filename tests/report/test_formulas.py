r"""Where texts have formulas: what is one between which delimiters, and what is money or code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.page.formulas import LONGEST_FORMULA, Formula, find_formulas, find_in_answer


def latex(text: str) -> list[tuple[str, bool]]:
    return [(formula.latex, formula.display) for formula in find_formulas(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \(x^2\), $y$ and $ z + 1 $.", [("x^2", False), ("y", False), ("z + 1", False)]),
        ("\\[\na\n\n= b\n\\] $$c$$", [("a\n\n= b", True), ("c", True)]),
        (r"\begin{align*} a &= b \\ c &= d \end{align*}!", [(r"\begin{align*} a &= b \\ c &= d \end{align*}", True)]),
        (r"$\begin{cases} 1 \\ 2 \end{cases}$", [(r"\begin{cases} 1 \\ 2 \end{cases}", False)]),
        ("the form $(r,\\theta),$ where $r > 0$", [("(r,\\theta),", False), ("r > 0", False)]),
        (
            r"$5 \text{ cm}$, $1,000$, $2xy+3$ and $-5$",
            [(r"5 \text{ cm}", False), *((s, False) for s in ("1,000", "2xy+3", "-5"))],
        ),
        (r"$a$$b$ **$c$** $\$5$", [("a", False), ("b", False), ("c", False), (r"\$5", False)]),
        (r"\(\(a\)", [("a", False)]),
    ],
)
def test_formulas_are_found_in_their_delimiters(text: str, expected: list[tuple[str, bool]]) -> None:
    assert latex(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "between $5 and $6", "$5, $6 or $7.50", "$20-$30", "it costs $ 5 and $ 6 there", "$3+$5=$8", "US$5, AU$6",
        "from $5 to 10$", "$1.50 per kilo, so 3$", r"\$5 and \$6", "$HOME/$USER", "$5*2=$<<5*2=10>>10",
    ],
)  # fmt: skip
def test_money_is_no_formula(text: str) -> None:
    assert latex(text) == []


def test_money_before_a_formula_swallows_nothing() -> None:
    assert latex("It was $10. Then $x$ of $20 were left, \\(y\\) in all.") == [("x", False), ("y", False)]


def test_code_is_left_alone() -> None:
    assert latex("```python\nf($x$)\n``` $y$ and `$z$`, but ``$w$''") == [("y", False), ("w", False)]
    assert latex("``` open: $x$ and \\(y\\)") == []


@pytest.mark.parametrize(
    "text", ["$x\n\ny$", r"\(x" + "\n \n" + r"y\)", "$$$$", "$", "$$", r"\(\)", r"\\(x\\)", r"\[x", "$ $"]
)
def test_what_is_no_whole_formula_is_text(text: str) -> None:
    assert latex(text) == []


def test_a_formula_of_any_kind_has_a_longest_length() -> None:
    for before, after in (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("$$", "$$")):
        assert len(latex(before + LONGEST_FORMULA * "x" + after)) == 1
        assert latex(before + (LONGEST_FORMULA + 1) * "x" + after) == []


@pytest.mark.parametrize(
    "answer", [r"\frac{1}{2}", "x^2", "2516_8", r"50\%", r"\text{east}", r"x \in \mathbb{R}", r"5 \text{ inches}"]
)
def test_an_answer_in_latex_is_one_formula(answer: str) -> None:
    assert find_in_answer(answer) == [Formula(0, len(answer), answer, False)]


@pytest.mark.parametrize("answer", ["12", "east", "option_a", "the value is x^2", "$5", r"\$5", "1,000", ""])
def test_an_answer_in_words_or_plain_numbers_is_text(answer: str) -> None:
    assert find_in_answer(answer) == []


def test_delimiters_in_an_answer_count() -> None:
    assert find_in_answer("$x^2$ or 3") == [Formula(0, 5, "x^2", False)]


PIECES = st.sampled_from(
    [
        "$",
        "$$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "\\",
        "`",
        "```",
        "\n",
        " ",
        "x",
        "5",
        "word ",
        "\\begin{align}",
        "\\end{align}",
        "\U0001d465",
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_formulas_tile_parts_of_any_text(text: str) -> None:
    at = 0
    for formula in find_formulas(text):
        assert at <= formula.start < formula.end <= len(text)
        assert formula.latex and formula.latex in text[formula.start : formula.end]
        at = formula.end
