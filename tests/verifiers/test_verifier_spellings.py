"""Ranks, totals in words, markup around an answer, named points, sets and matrices as programs write them."""

from __future__ import annotations

import pytest
from verdicts import assert_different, assert_same

from bonbench.verifiers.math import MathParams, MathVerifier

EQUAL = [
    ("third", "3rd"),
    ("12th", "12"),
    ("12th grade", "12"),
    ("cube root of 27", "3rd root of 27"),
    ("dozen", "12"),
    ("the sum of 3 and 8", "11"),
    ("product of 2, 3 and 7", "42"),
    ("the difference between 9 and 4", "5"),
    ("a total of 9", "9"),
    ("nine (9)", "9"),
    ("14 (fourteen)", "14"),
    ("**3/8**", r"\frac38"),
    ("__11__", "11"),
    (r"\underline{32}", "32"),
    (r"\begin{pmatrix}5&6\\[2pt]7&8\end{pmatrix}", r"\begin{pmatrix}5&6\\7&8\end{pmatrix}"),
    ("[[5, 6], [7, 8]]", r"\begin{bmatrix}5&6\\7&8\end{bmatrix}"),
    ("<5, -6>", r"\langle 5, -6 \rangle"),
    ("Q(5, -6)", "(5, -6)"),
    ("C(6, 2)", "15"),
    ("6C2", "15"),
    ("P(6, 2)", "30"),
    ("n ∈ {4, 6, 9}", "4, 6, 9"),
    ("{t | t > 4}", r"(4, \infty)"),
    ("Carla and Tim", r"\text{Carla and Tim}"),
    ("Tim, Carla", r"\text{Carla and Tim}"),
    (r"\frac15 \text{ or } 0.2", "1/5"),
    ("There is no solution", "no solutions"),
    ("none", r"\emptyset"),
    ("8 Wb", "8"),
    ("8 GB", "8"),
    ("8 元", "8"),
    ("C_6^2", "15"),
    ("the set of all real numbers", r"\mathbb{R}"),
    ("all integers", r"\mathbb{Z}"),
    ("AB ⊥ CD", r"AB \perp CD"),
    ("4⅝", "4.625"),
    ("yes!", "Yes"),
    ("n+m=12", "m+n=12"),
    ("30 pct", "30%"),
    ("two and a half million", "2500000"),
    ("{4, 6, 9}", r"\{4, 6\} \cup \{9\}"),
    ("(a) 4 (b) 9", "(b) 9, (a) 4"),
    (r"\text{(a) } 4 \text{ (b) } 9", "4, 9"),
    ("not defined", "undefined"),
    (r"\text{lcm}(4, 6)", "12"),
]
DIFFERENT = [
    ("third", "3"),
    ("the 4th prime", "4"),
    ("4th root", "4"),
    ("4 percent more", "4"),
    (r"4\% \text{ off}", "4"),
    ("from 4", "4"),
    ("4 permute 2", "4"),
    ("dozen", "1"),
    ("the sum of 3 and 8", "3, 8"),
    ("the product of 3 and 8", "11"),
    ("9 (eight)", "9"),
    ("[[5, 7], [6, 8]]", r"\begin{pmatrix}5&6\\7&8\end{pmatrix}"),
    ("[5, 6, 7, 8]", r"\begin{pmatrix}5&6\\7&8\end{pmatrix}"),
    ("<-6, 5>", "(5, -6)"),
    ("Q(-6, 5)", "(5, -6)"),
    ("6C2", "62"),
    ("n ∈ {4, 6}", "4, 6, 9"),
    ("{t | t > 4}", r"[4, \infty)"),
    ("Carla", r"\text{Carla and Tim}"),
    ("Carla and Ann", r"\text{Carla and Tim}"),
    ("2, 1/2", "2"),
    ("there is one solution", "no solution"),
    ("none", "0"),
    ("0:30", "0"),
    ("m-n=12", "m+n=12"),
    ("C_6^2", "36"),
    ("all integers", r"\mathbb{R}"),
    ("4⅝", "45/8"),
    ("4 choose 2!", "4"),
    ("{4, 6}", r"\{4, 6\} \cup \{9\}"),
    ("(a) 4 (b) 9", "(a) 9 (b) 4"),
]


@pytest.fixture(scope="module")
def verifier() -> MathVerifier:
    return MathVerifier(MathParams())


@pytest.mark.parametrize(("answer", "gold"), EQUAL)
def test_spellings_of_one_answer_are_equal(verifier: MathVerifier, answer: str, gold: str) -> None:
    assert_same(verifier, answer, gold)


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_what_is_near_in_spelling_is_not_equal(verifier: MathVerifier, answer: str, gold: str) -> None:
    assert_different(verifier, answer, gold)


RESPONSES = [
    ("<unused94>thought\nmaybe 7<unused95>The sum is 26.", "26", True),
    ("Therefore\n\\begin{align}\nn &= 9+17\\\\ &= 26\n\\end{align}", "26", True),
    ("So\n\\begin{align*}\n2n &= 52 \\\\\nn &= 26\n\\end{align*}", "26", True),
    ("\\begin{align*}x&=9\\\\y&=26\\end{align*}", "26", False),
    ("\\begin{align*}x&=9\\\\y&=26\\end{align*}", "(9, 26)", True),
    ("Is it 26?", "26", False),
    ("Could the answer be 26?", "26", False),
    ("If the answer is 26, then n is even.", "26", False),
    ("I cannot tell whether it is 26.", "26", False),
    ("I doubt that it is 26.", "26", False),
    ("26 does not work.", "26", False),
    ("26 fails", "26", False),
    ("We have 26 = 2*13 and so on", "26", False),
    ("4!", "24", True),
    ("4!", "4", False),
    ("sqrt 26", "26", False),
    ("sqrt 26", r"\sqrt{26}", True),
    ("half of 26", "13", True),
    ("It is about half of 26.", "26", False),
    ("The chance is 3 out of 8.", r"\frac38", True),
    ("The chance is 3 out of 8.", "3", False),
    ("z**2 + 4", "z^2+4", True),
    ("z**2 + y**2", "z^2+y^2", True),
    ("It is **26**.", "26", True),
    ("First root: \\boxed{4}\nSecond root: \\boxed{9}", "4, 9", True),
    ("The first root is \\boxed{4}. The second root is \\boxed{9}.", "4, 9", True),
    ("First root: \\boxed{4}\nSecond root: \\boxed{9}\nSum: \\boxed{13}", "13", True),
    ("Part (a): 4\nPart (b): 9", "4, 9", True),
    ("Roots: 4 and 9", "9, 4", True),
    ("x=4 ∨ x=9", "4, 9", True),
    ("So $x = 4$ and $x = 9$ are the solutions.", "4, 9", True),
    ("Both A and C are wrong, so D.", "D", True),
    ("Both A and C are wrong, so D.", "A, C", False),
    ("Therefore D.", "D", True),
    ("It's D.", "D", True),
    ("ten", "10", True),
    ("The value is then 23 for t=4.", "23", True),
    ("The value is 23 for $t = 4$.", "23", True),
    ("for a total of $6 \\cdot 5 = 30$ ways", "30", True),
    ("The area is 26 $cm^2$.", "26", True),
    ("Answer to question 3: 26", "26", True),
    ("26 or more", "26", False),
]


@pytest.mark.parametrize(("response", "gold", "right"), RESPONSES)
def test_graded_responses(verifier: MathVerifier, response: str, gold: str, right: bool) -> None:
    answer = verifier.extract(response)
    assert verifier.verify([(answer, gold)])[0][0] is right, f"read as {answer!r}"
