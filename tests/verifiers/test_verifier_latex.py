"""Rarer LaTeX and markup, sets of numbers, repeating and long decimals, forms of equations."""

from __future__ import annotations

import pytest
from verdicts import assert_different, assert_same

from bonbench.verifiers.math import MathParams, MathVerifier

EQUAL = [
    # what an unescaping too many has left of commands
    ("\x0crac{1}{2}", r"\frac12"),
    ("\neq 2", r"\neq 2"),
    ("2 \times 3", "6"),
    ("\theta + 1", r"1+\theta"),
    ("&lt; 5", "< 5"),
    ("x &le; 5", r"x \le 5"),
    ("2 &times; 3", "6"),
    ("x<sup>2</sup>", "x^2"),
    ("<b>42</b>", "42"),
    (r"\color{red}{42}", "42"),
    (r"{\color{blue} 42}", "42"),
    (r"\textcolor{red}{\frac12}", "0.5"),
    (r"\therefore x=42", "42"),
    (r"\Rightarrow x = 42", "42"),
    (r"{5 \choose 2}", "10"),
    (r"5 \choose 2", "10"),
    (r"{n+1 \choose 2}", r"\frac{n(n+1)}{2}"),
    ("{}_5C_2", "10"),
    ("^5C_2", "10"),
    ("{}_5P_2", "20"),
    ("{}^{6}C_{3}", "20"),
    (r"\begin{pmatrix} 1 \cr 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"\operatorname{cis} 60^\circ", r"\frac12+\frac{\sqrt3}{2}i"),
    (r"2\text{cis}(\frac{\pi}{2})", "2i"),
    (r"\operatorname{arctg} 2", r"\arctan 2"),
    (r"\arctg 2", r"\tan^{-1}(2)"),
    (r"\tg x", r"\tan x"),
    (r"\ctg x", r"\frac{1}{\tg x}"),
    (r"\text{arccot } 2", r"\arctan\frac12"),
    (r"\arg z = \frac{\pi}{3}", r"\frac{\pi}{3}"),
    (r"\overline{AB}", r"\overline{BA}"),
    (r"\zeta(2)", r"\frac{\pi^2}{6}"),
    (r"\Gamma(\frac12)", r"\sqrt{\pi}"),
    (r"\Gamma(5)", "24"),
    ("7!!", "105"),
    ("8!!", "384"),
    ("(3!)!", "720"),
    ("]0,1[", "(0,1)"),
    ("[0,1[", "[0,1)"),
    (r"\left]0,1\right]", "(0,1]"),
    (r"]-\infty, 2[ \cup ]3, +\infty[", r"(-\infty,2)\cup(3,\infty)"),
    (r"]-\infty;2]", r"x\le 2"),
    (r"\stackrel{?}{=} 5", "5"),
    (r"x \in \R", r"\mathbb{R}"),
    (r"\Bbb{R}", r"\mathbb R"),
    (r"\mathbb{R} - \{2\}", r"(-\infty,2)\cup(2,\infty)"),
    (r"\mathbb{R}\setminus\{0\}", r"x \ne 0"),
    (r"R \ {0}", r"\mathbb{R} \backslash \{0\}"),
    (r"\mathbb{R}\setminus[0,1]", r"(-\infty,0)\cup(1,\infty)"),
    (r"\mathbb{R}\setminus\{0, 1\}", r"x \ne 0, 1"),
    (r"\mathbb{R}\setminus\{-1, 1\}", r"x \ne \pm 1"),
    (r"(-\infty,3)\cup(1,5)", r"(-\infty,5)"),
    (r"[0,1]\cup[1,2]", "[0,2]"),
    (r"x>1 \text{ and } x<3", "(1,3)"),
    ("x>1, x<3", "1<x<3"),
    ("x < -3, x > 3", "|x|>3"),
    (r"x \in \mathbb{R}, x\ne 0", r"\mathbb{R}\setminus\{0\}"),
    (r"(-\sqrt2,\sqrt2)\cup(1,2)", r"(-\sqrt2, 2)"),
    (r"\mathbb{R}\setminus\{\sqrt2\}", r"(-\infty,\sqrt2)\cup(\sqrt2,\infty)"),
    (r"[0,2)\setminus\{1\}", r"[0,1)\cup(1,2)"),
    (r"(0,5)\cap(2,8)", "(2,5)"),
    (r"0.\overline{142857}", r"\frac17"),
    (r"0.\dot{3}", r"\frac13"),
    (r"0.\dot{1}4285\dot{7}", r"\frac17"),
    (r"0.1\dot{6}", r"\frac16"),
    ("0.(3)", r"\frac13"),
    ("0.1(6)", r"\frac16"),
    (r"0.\bar{6}", r"\frac23"),
    (r"3.\overline{14}", r"\frac{311}{99}"),
    ("3.14159265358979323846", r"\pi"),
    ("0.333333333333333333", r"\frac13"),
    ("1.41421356237309505", r"\sqrt2"),
    (r"2.71828182845905^{\cosh x}", r"e^{\cosh x}"),
    (r"1, 3, 5, \ldots", "1, 3, 5, ..."),
    (r"y=-\frac{x}{2}+\frac34", "2x+4y-3=0"),
    (r"\frac{x}{2}+\frac{y}{3}=1", "3x+2y=6"),
    ("y-1=2(x-3)", "y=2x-5"),
    ("(x-1)^2+y^2=4", "x^2+y^2-2x-3=0"),
    ("x &ne; 2", r"x \ne 2"),
]

DIFFERENT = [
    ("<b>42</b>", "43"),
    (r"{5 \choose 2}", r"\frac52"),
    ("{}_5C_2", "20"),
    (r"\operatorname{cis} 60^\circ", r"\frac12-\frac{\sqrt3}{2}i"),
    (r"\tg x", r"\ctg x"),
    (r"\overline{AB}", r"\overline{AC}"),
    (r"\vec{AB}", r"\vec{BA}"),
    ("7!!", "5040"),
    ("]0,1[", "[0,1]"),
    (r"\mathbb{R}\setminus\{0\}", r"\mathbb{R}"),
    (r"\mathbb{R}\setminus\{0\}", r"\mathbb{R}\setminus\{1\}"),
    (r"x \in \mathbb{R}, x\ne 0", r"\mathbb{R}"),
    (r"[0,2)\setminus\{1\}", "[0,2)"),
    (r"0.\dot{3}", "0.3"),
    ("3.14159265", r"\pi"),
    ("0.333333333", r"\frac13"),
    ("3.14159265358979323847", "3.14159265358979323846"),
    ("3.14159265358979324900", r"\pi"),
    (r"1, 3, 5, \ldots, 2n-1", r"1, 2, 3, \ldots, n"),
    (r"1, 3, 5, \ldots", r"1, 2, 3, \ldots"),
    ("y-1=2(x-3)", "y=2x+5"),
]


@pytest.fixture(scope="module")
def verifier() -> MathVerifier:
    return MathVerifier(MathParams(timeout_s=20))


@pytest.mark.parametrize(("pred", "gold"), EQUAL)
def test_same_meaning(verifier: MathVerifier, pred: str, gold: str) -> None:
    assert_same(verifier, pred, gold)


@pytest.mark.parametrize(("pred", "gold"), DIFFERENT)
def test_different_meaning(verifier: MathVerifier, pred: str, gold: str) -> None:
    assert_different(verifier, pred, gold)
