"""Identities hold wherever both sides are real; what is undefined equals nothing."""

from __future__ import annotations

import pytest
from verdicts import assert_different, assert_same

from bonbench.verifiers.math import MathParams, MathVerifier

EQUAL = [
    (r"\tan^{-1}(1)", r"\frac{\pi}{4}"),
    (r"\log_2 8", "3"),
    (r"\ln 4", r"2\ln 2"),
    (r"x\sqrt x", r"\sqrt{x^3}"),
    (r"\ln a+\ln b", r"\ln(ab)"),
    (r"2\ln x", r"\ln x^2"),
    (r"\ln a-\ln b", r"\ln\frac ab"),
    (r"\sqrt{\frac{2h}{g}}", r"\frac{\sqrt{2gh}}{g}"),
    (r"\sqrt{\frac{k}{m}}", r"\frac{\sqrt{k}}{\sqrt{m}}"),
    (r"\sqrt{x^2}", "|x|"),
    (r"\arcsin x+\arccos x", r"\frac{\pi}{2}"),
    (r"\ln(2x)", r"\ln 2+\ln x"),
    (r"\ln(x^2)", r"2\ln|x|"),
    (r"-\frac{2}{3x^{5/3}}", r"-\frac{2}{3\sqrt[3]{x^5}}"),
    ("x^{-3/2}", r"\frac{1}{\sqrt{x^3}}"),
    ("x^{-3/2}", r"\frac{1}{x\sqrt{x}}"),
    (r"\frac12\ln\frac{1+x}{1-x}", r"\operatorname{artanh} x"),
    (r"\arcsin\frac35+\arcsin\frac45", r"\frac{\pi}{2}"),
    (r"\pi-\arccos\frac13", r"\arccos\left(-\frac13\right)"),
    (r"\arcsin\frac{1}{\sqrt5}", r"\arctan\frac12"),
    (r"\arctan 1+\arctan 2+\arctan 3", r"\pi"),
    (r"2\arctan\frac12", r"\arctan\frac43"),
    (r"\arctan\frac12+\arctan\frac13", r"\frac{\pi}{4}"),
    (r"4\arctan\frac15-\arctan\frac1{239}", r"\frac{\pi}{4}"),
    (r"\arccos(-\frac12)", r"120^\circ"),
    (r"\sin^{-1}\frac12", r"30^\circ"),
    (r"\cos^{-1}\frac{1}{3}", r"\arcsin\frac{2\sqrt2}{3}"),
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
    (r"\sqrt{7-4\sqrt3}", r"2-\sqrt3"),
    (r"\sqrt[3]{2+\sqrt5}+\sqrt[3]{2-\sqrt5}", "1"),
    (r"\log_4 8", r"\frac32"),
    (r"\log_{10}2+\log_{10}5", "1"),
    (r"\log_2 3\cdot\log_3 4", "2"),
    (r"\log_9 x", r"\frac12\log_3 x"),
    (r"\frac{\ln x}{\ln 2}", r"\log_2 x"),
    (r"\ln\sqrt{x}", r"\frac12\ln x"),
    (r"\ln(x^2-1)", r"\ln(x-1)+\ln(x+1)"),
    (r"e^{2\ln x}", "x^2"),
    (r"\log(1000)", "3"),
    ("a^{1/2}b^{1/2}", r"\sqrt{ab}"),
    (r"\sqrt{\frac{3kT}{m}}", r"\left(\frac{3kT}{m}\right)^{1/2}"),
    (r"2\pi\sqrt{\frac{l}{g}}", r"\frac{2\pi\sqrt{l}}{\sqrt g}"),
    (r"2\pi\sqrt{\frac{l}{g}}", r"\frac{2\pi}{\sqrt{g/l}}"),
    (r"\sqrt{8x^3}", r"2x\sqrt{2x}"),
    (r"\sqrt[4]{x^2}", r"\sqrt{|x|}"),
    ("x^{2/3}", r"\sqrt[3]{x^2}"),
    (r"\ln(e^x)", "x"),
    (r"\sinh^{-1} x", r"\ln(x+\sqrt{x^2+1})"),
    (r"\cosh^{-1} x", r"\ln(x+\sqrt{x^2-1})"),
    (r"\cosh^2x-\sinh^2x", "1"),
    (r"\sqrt{1-\sin^2 x}", r"|\cos x|"),
    (r"\frac{x}{|x|}", r"\frac{|x|}{x}"),
    (r"\arctan x + \arctan y", r"\arctan y+\arctan x"),
    (r"-\infty", r"- \infty"),
    (r"+\infty", r"\infty"),
    (r"\sqrt{x}\sqrt{x}", "x"),
    (r"(\sqrt{x})^2", "x"),
    (r"\sqrt{(x-1)^2}", "|x-1|"),
    (r"\frac{x-4}{\sqrt{x}-2}", r"\sqrt{x}+2"),
    (r"\frac{1}{\sqrt{x+1}+\sqrt{x}}", r"\sqrt{x+1}-\sqrt{x}"),
    (r"\log_a b", r"\frac{1}{\log_b a}"),
    (r"\log_{a^2} b", r"\frac12\log_a b"),
    (r"x^{\ln y}", r"y^{\ln x}"),
    (r"\frac{\sqrt{x^2+1}}{x}", r"\sqrt{1+\frac1{x^2}}\cdot\frac{|x|}{x}"),
    (r"\ln\frac{1}{\sqrt{x}}", r"-\frac{\ln x}{2}"),
]

DIFFERENT = [
    (r"\sqrt{\frac{2h}{g}}", r"\sqrt{\frac{h}{2g}}"),
    (r"\sqrt{x^2}", "x"),
    (r"\tan^{-1}x+\tan^{-1}\frac1x", r"\frac{\pi}{2}"),
    (r"\arctan 1+\arctan 2+\arctan 3", r"2\pi"),
    (r"\cos^{-1}\frac{1}{3}", r"\arcsin\frac{\sqrt2}{3}"),
    (r"\sqrt{7-4\sqrt3}", r"\sqrt3-2"),
    (r"\ln(a+b)", r"\ln a+\ln b"),
    (r"\sqrt{a+b}", r"\sqrt a+\sqrt b"),
    (r"\sqrt{a^2+b^2}", "a+b"),
    (r"2\pi\sqrt{\frac{l}{g}}", r"2\pi\sqrt{\frac{g}{l}}"),
    (r"\sqrt{1-\sin^2 x}", r"\cos x"),
    (r"\frac{x}{|x|}", "1"),
    (r"\frac{1}{0}", r"\frac{2}{0}"),
    (r"\frac00", r"\frac10"),
    (r"\tan 90^\circ", r"\frac10"),
    (r"\tan 90^\circ", r"\sec 90^\circ"),
    (r"\frac{1}{0}", r"\infty"),
    (r"\infty-\infty", "0"),
    (r"\frac{\infty}{\infty}", "1"),
    (r"\frac{5}{1-1}", r"\frac{7}{2-2}"),
    (r"\log_1 5", r"\log_1 7"),
    (r"\ln 0", r"-\infty"),
    (r"\infty", r"-\infty"),
    (r"0\cdot\infty", "0"),
    (r"\sqrt{(x-1)^2}", "x-1"),
    (r"\log_a b", r"\log_b a"),
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
