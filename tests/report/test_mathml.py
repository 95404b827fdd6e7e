"""LaTeX to MathML: what is drawn of it, and that nothing else gets through whatever a model writes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.page.mathml import to_mathml

# Written anew, from MathML Core: elements that do nothing but hold others or text, attributes that only size and align.
ELEMENTS = {
    "mi", "mn", "mo", "mtext", "mrow", "mstyle", "mphantom", "msqrt", "mtable", "mtr", "mtd", "mspace", "mfrac",
    "mroot", "msub", "msup", "munder", "mover", "msubsup", "munderover",
}  # fmt: skip
ATTRIBUTES = {
    "stretchy", "fence", "movablelimits", "largeop", "displaystyle", "accent", "accentunder", "separator", "form",
    "scriptlevel", "linethickness", "minsize", "maxsize", "width", "columnalign", "mathvariant", "class",
}  # fmt: skip


def check(node: Any, depth: int = 1) -> None:
    assert depth < 60
    if isinstance(node, str):
        assert node[0] in "inot"
        return
    tag, attributes, *children = node
    assert tag in ELEMENTS
    assert attributes.keys() <= ATTRIBUTES
    for value in attributes.values():
        assert re.fullmatch(r"[a-z -]{1,20}|[+-]?\d(\.\d+)?(em|px)?", value), value
    for child in children:
        if tag in ("mi", "mn", "mo", "mtext"):
            assert isinstance(child, str)
        else:
            check(child, depth + 1)


def text_of(nodes: list[Any]) -> str:
    """What is read of it, in order."""
    parts = []
    for node in nodes:
        if isinstance(node, str):
            parts.append(node[1:])
        elif node[0] in ("mi", "mn", "mo", "mtext"):
            parts.append("".join(node[2:]))
        else:
            parts.append(text_of(node[2:]))
    return "".join(parts)


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("x^2", [["msup", {}, "ix", "n2"]]),
        (r"\dfrac{1}{2}", [["mstyle", {"displaystyle": "true", "scriptlevel": "0"}, ["mfrac", {}, "n1", "n2"]]]),
        (r"\sqrt[3]{x_1}", [["mroot", {}, ["msub", {}, "ix", "n1"], "n3"]]),
        (r"\boxed{5}", [["mrow", {"class": "box"}, "n5"]]),
        (r"\cancel{x}", [["mrow", {"class": "struck"}, "ix"]]),
        (r"\text{if }x", ["tif\xa0", "ix"]),
        (r"2\sin x", ["n2", ["mspace", {"width": "0.167em"}], "isin", ["mspace", {"width": "0.167em"}], "ix"]),
        (r"\sin^2 x", [["msup", {}, "isin", "n2"], ["mspace", {"width": "0.167em"}], "ix"]),
        ("10{,}000{,}000", ["n10,000,000"]),
        (r"1,\!000", ["n1", "n,000"]),
        (r"a < b", ["ia", "o<", "ib"]),
    ],
)
def test_latex_becomes_elements(latex: str, expected: list[Any]) -> None:
    assert to_mathml(latex, False) == expected


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\left(3,\frac{\pi}{2}\right)", "(3,π2)"),
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "(1234)"),
        (r"\begin{align} a &= b \\ c &= d \end{align}", "a=bc=d"),  # without the library's numbers of equations
        (r"\begin{gather*} a \\ b \end{gather*}", "ab"),
        (r"\begin{equation} a \end{equation}", "a"),
        (r"\angle ABC = 90^\circ", "∠ABC=90∘"),
        (r"50% of x", "50%ofx"),
        (r"\text{25% of \$4} = \$1", "25%\xa0of\xa0$4=$1"),
        (r"x \in \mathbb{R}", "x∈ℝ"),
        (r"\unicode{x3c}script\unicode{x3e}", "<script>"),
    ],
)
def test_nothing_of_a_formula_is_lost(latex: str, expected: str) -> None:
    nodes = to_mathml(latex, True)
    assert nodes is not None
    assert text_of(nodes) == expected


def test_lines_that_are_broken_are_rows() -> None:
    assert json.dumps(to_mathml(r"a = b \\ c = d", True)).count('"mtr"') == 2


def test_rows_of_an_environment_stay_rows() -> None:
    for name in ("align", "align*", "aligned", "gather", "multline", "cases", "matrix", "split"):
        nodes = to_mathml(rf"\begin{{{name}}} a \\ b \end{{{name}}}", True)
        assert json.dumps(nodes).count('"mtr"') == 2, name


@pytest.mark.parametrize(
    "latex",
    [
        r"\foo", r"\frac{1}", r"\left( x", "x^2^3", r"\begin{tikzpicture} x \end{tikzpicture}", r"\begin{matrix} x",
        r"\text{ if $x$}", r"a = b \\ c = d", "{" * 500, "x^{" * 200 + "}" * 200, r"\def\a{x}\a",
        r"\newcommand{\a}{\a\a}\a", "", " ", r"\(x\)",
        r"\newenvironment{a}{x}{y}\begin{a}\end{a}", r"\DeclareMathOperator{\a}{b}\a",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_to_its_source(latex: str) -> None:
    assert to_mathml(latex, False) is None


def test_commands_that_define_commands_do_not_grow_without_end() -> None:
    doubling = "".join(rf"\def\{chr(98 + i)}{{\{chr(97 + i)}\{chr(97 + i)}}}" for i in range(24))
    assert to_mathml(rf"\def\a{{xx}}{doubling}\y", False) is None


HOSTILE = [
    r"\href{javascript:alert(1)}{x}", r"\style{position:fixed;inset:0}{x}", r"\class{problem}{x}",
    r"\textcolor{white}{x}", r"\color{red} x", r"\colorbox{red}{x}", r"\hspace{-99em} x", r"\hspace{9999em} x",
    r"\rule{9999em}{9999em}",
    r"\raise{99em}{x}", r"\llap{xxxx}", r"\Huge x", r"\above{99em} x", r"\unicode{xD800}", r"\unicode{x110000}",
    r"\unicode{zz}", r"\text{<img src=x onerror=alert(1)>}", r"\operatorname{<script>}", "</math><script>x</script>",
    "&#x3c;b&#x3e;", "\x00\u202e\ufeff", r"\verb|<script>|", r"\genfrac(]{99em}{3}{a}{b}", r"\kern-99em x",
    r"\moveleft{9em}{x}",
]  # fmt: skip


@pytest.mark.parametrize("latex", HOSTILE)
def test_only_harmless_elements_and_attributes_come_out(latex: str) -> None:
    nodes = to_mathml(latex, False)
    for node in nodes or ():
        check(node)
    json.dumps(nodes, ensure_ascii=False).encode()  # no half characters


PIECES = st.sampled_from(
    [
        r"\frac", r"\sqrt", r"\left(", r"\right)", r"\begin{matrix}", r"\end{matrix}", r"\over", r"\text{", r"\color",
        r"\limits", r"\middle|", r"\genfrac", r"\not", r"\mathbb", r"\big", r"\hspace", *HOSTILE[:12], "{", "}", "^",
        "_", "&",
        r"\\", "'", "x", "1", "-", "[", "]", "%", "$", " ", "é", "em",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join), st.booleans())
def test_anything_may_be_written(latex: str, display: bool) -> None:
    for node in to_mathml(latex, display) or ():
        check(node)
