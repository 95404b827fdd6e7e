"""A determinant is its value, not its matrix."""

from __future__ import annotations

import pytest
from verdicts import assert_different, assert_same

from bonbench.verifiers.math import MathParams, MathVerifier

EQUAL = [
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "-2"),
    (r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}", "-2"),
    (r"\left|\begin{matrix}1&2\\3&4\end{matrix}\right|", "-2"),
    (r"\left|\begin{array}{cc}1&2\\3&4\end{array}\right|", "-2"),
    (r"2\begin{vmatrix}1&2\\3&4\end{vmatrix}", "-4"),
    (r"\begin{vmatrix}a&b\\c&d\end{vmatrix}", "ad-bc"),
    (r"\begin{vmatrix}2&0&1\\1&3&2\\0&1&4\end{vmatrix}", "21"),
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\begin{vmatrix}1&3\\2&4\end{vmatrix}"),
    (r"\begin{vmatrix} \cos x & -\sin x \\ \sin x & \cos x\end{vmatrix}", "1"),
]

DIFFERENT = [
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\begin{vmatrix}a&b\\c&d\end{vmatrix}", "ad+bc"),
    (r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\begin{vmatrix}1&3\\3&4\end{vmatrix}"),
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
