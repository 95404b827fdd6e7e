"""Functions by cases, domains of parameters, congruences, constants of integration."""

from __future__ import annotations

import pytest
from verdicts import assert_different, assert_same

from bonbench.verifiers.math import MathParams, MathVerifier

EQUAL = [
    (r"\begin{cases} x & x\ge 0 \\ -x & x<0\end{cases}", "|x|"),
    (r"\begin{cases} x & x>0 \\ -x & x\le 0\end{cases}", r"\begin{cases} x & x\ge 0 \\ -x & x<0\end{cases}"),
    (
        r"\begin{cases} x^2 & \text{if } x>0 \\ 0 & \text{if } x \le 0\end{cases}",
        r"\begin{cases} 0, & x\le 0 \\ x^2, & x>0\end{cases}",
    ),
    (
        r"\begin{cases} x^2 & x>0 \\ 0 & \text{otherwise}\end{cases}",
        r"\begin{cases} x^2, & x>0, \\ 0, & \text{otherwise}.\end{cases}",
    ),
    (
        r"\begin{cases} x^2 & x>0 \\ 0 & \text{otherwise}\end{cases}",
        r"\begin{cases} x^2, & x>0, \\ 0, & x \le 0.\end{cases}",
    ),
    (r"f(x)=\begin{cases} 2 & x>1 \\ 3 & x\le 1\end{cases}", r"\begin{cases} 3 & x\le 1 \\ 2 & x>1\end{cases}"),
    (r"f(t)=\begin{cases} 2t & t>1 \\ 3 & t\le 1\end{cases}", r"f(x)=\begin{cases} 2x & x>1 \\ 3 & x\le 1\end{cases}"),
    (
        r"\begin{cases} 1, & n \text{ odd} \\ 2, & n \text{ even}\end{cases}",
        r"\begin{cases} 2, & n \text{ is even} \\ 1, & \text{if } n \text{ is odd}\end{cases}",
    ),
    (
        r"\begin{cases} 1, & n \text{ odd} \\ 2, & n \text{ even}\end{cases}",
        r"\begin{cases} 2, & n \text{ is even} \\ 1, & \text{otherwise}\end{cases}",
    ),
    (
        r"0 \text{ for } n \text{ even}, 1 \text{ for } n \text{ odd}",
        r"\begin{cases} 1 & n \text{ odd} \\ 0 & n \text{ even}\end{cases}",
    ),
    ("1 if n is odd, 0 if n is even", r"0 \text{ if } n \text{ is even and } 1 \text{ if } n \text{ is odd}"),
    ("x if x >= 0, -x otherwise", "|x|"),
    ("x if x >= 0, otherwise -x", "|x|"),
    (r"x^2 \text{ if } x>0; 0 \text{ otherwise}", r"\begin{cases} x^2 & x>0 \\ 0 & x \le 0\end{cases}"),
    (r"\left\{\begin{array}{ll} x & x \geq 0 \\ -x & x<0 \end{array}\right.", "|x|"),
    (
        r"\begin{cases} x+1 & 0<x<1 \\ 2 & 1\le x<2 \end{cases}",
        r"\begin{cases} 2 & 1\le x<2 \\ 1+x & 0<x<1 \end{cases}",
    ),
    (
        r"\begin{cases} 0 & x<0 \\ 1 & x=0 \\ 2 & x>0\end{cases}",
        r"\begin{cases} 2 & x>0 \\ 0 & x<0 \\ 1 & x=0\end{cases}",
    ),
    (r"\begin{cases} x-1 & x\ge 1 \\ 1-x & x<1\end{cases}", "|x-1|"),
    (r"\begin{cases} 2x & x\ge 1 \\ 2 & -1<x<1 \\ -2x & x\le -1\end{cases}", "|x-1|+|x+1|"),
    (
        r"\begin{cases} 1 & x \in \mathbb{Q} \\ 0 & x \notin \mathbb{Q}\end{cases}",
        r"\begin{cases} 0 & x \notin \mathbb{Q} \\ 1 & x\in\mathbb{Q}\end{cases}",
    ),
    (
        r"\begin{cases} 1 & x \text{ is prime} \\ 0 & \text{otherwise}\end{cases}",
        r"\begin{cases} 1 & \text{if } x \text{ is prime} \\ 0 & \text{otherwise}\end{cases}",
    ),
    (
        r"\begin{cases} n/2 & n \equiv 0 \pmod 2 \\ 3n+1 & n \equiv 1 \pmod 2\end{cases}",
        r"\begin{cases} \frac n2 & n \text{ even} \\ 3n+1 & n \text{ odd}\end{cases}",
    ),
    (r"\begin{cases} 0 & n \ne 3 \\ 1 & n=3\end{cases}", r"\begin{cases} 1 & n=3 \\ 0 & \text{otherwise}\end{cases}"),
    (r"\begin{cases}x=1\\y=2\end{cases}", "(1,2)"),
    (r"\left\{\begin{array}{l}x=1\\y=2\end{array}\right.", "(1,2)"),
    (r"\begin{aligned}x&=1\\y&=2\end{aligned}", "(1,2)"),
    (r"\begin{cases}x+y=3\\x-y=1\end{cases}", r"\begin{cases}x-y=1\\x+y=3\end{cases}"),
    (r"7 \text{ when } x=2", "7"),
    (r"x=1 \text{ where } a=2", r"x=1 \text{ where } a=2"),
    (r"\frac{x+1}{x-1}, x \ne 1", r"\frac{x+1}{x-1}"),
    (r"y=\sqrt{x}, x\ge 0", r"\sqrt{x}"),
    (r"f(x)=2x \text{ for all } x", "f(x)=2x"),
    (r"f(x)=2x \text{ for all real numbers } x", r"2x, x \in \mathbb{R}"),
    (r"2k+1, k\in\mathbb{Z}", r"2n+1, n\in\mathbb{Z}"),
    (r"2k+1, k\in\mathbb{Z}", r"2k-1, k\in\mathbb{Z}"),
    (r"2k \text{ where } k \in \mathbb{Z}", r"2k, k\in\mathbb{Z}"),
    (r"2k+1 (k \in Z)", r"2m+1 \text{ for integer } m"),
    (r"n=3k, k\in\mathbb{Z}", "3k"),
    (r"x=\frac{\pi}{4}+k\pi, k\in\mathbb{Z}", r"\frac{\pi}{4}+n\pi"),
    (r"\frac{5\pi}{4}+k\pi", r"\frac{\pi}{4}+k\pi"),
    (r"\frac{\pi}{4}+k\pi, \frac{3\pi}{4}+k\pi", r"\frac{\pi}{4}+\frac{k\pi}{2}"),
    (r"\pm\frac{\pi}{3}+2k\pi, k \in \mathbb{Z}", r"\frac{\pi}{3}+2n\pi \text{ or } \frac{5\pi}{3}+2n\pi"),
    (r"30^\circ+180^\circ k", r"\frac{\pi}{6}+k\pi"),
    (r"f(x)=cx, c\in\mathbb{R}", r"f(x)=kx, k\in\mathbb{R}"),
    (r"f(x)=cx \text{ where } c \text{ is a constant}", r"f(x)=kx, k\in\mathbb{R}"),
    (r"f(x)=ax+b, a,b\in\mathbb{R}", r"f(x)=cx+d, c,d\in\mathbb{R}"),
    (r"x \equiv 3 \pmod{7}", r"x \equiv 3 \pmod 7"),
    (r"(-32 + 3t, 64 - 5t) \text{ for some integer } t", r"(k, \ell) = (-32 + 3x, 64 - 5x)"),
    (r"n \equiv 3 \pmod{5}", r"n \equiv 8 \pmod{5}"),
    (r"n \equiv 3 \pmod{5}", r"n \equiv -2 \pmod{5}"),
    ("3 mod 7", r"3 \pmod{7}"),
    ("3 (mod 7)", r"10 \bmod 7"),
    (r"x \equiv 1, 3 \pmod 4", r"x \equiv 1 \pmod 2"),
    (r"x \equiv 1 \pmod 4 \text{ or } x \equiv 3 \pmod 4", r"x\equiv 1,3 \pmod 4"),
    (r"n=5k+3, k\in\mathbb{Z}", r"n \equiv 3 \pmod 5"),
    (r"n \text{ is even}", r"\text{even } n"),
    (r"n \text{ is even}", r"n=2k, k \in \mathbb{Z}"),
    (r"f(x) = 0 \text{ for all } x", r"f \equiv 0"),
    (r"\frac{x^3}{3}+c", r"\frac13 x^3 + C"),
    ("C_1e^x+C_2e^{-x}", "C_2e^{x}+C_1e^{-x}"),
    ("c_1e^x+c_2e^{-x}", "Ae^{x}+Be^{-x}"),
    ("y=Ce^{2x}", "y=ce^{2x}"),
    (r"y=Ce^{2x} \text{ where } C \text{ is a constant}", "y=Ae^{2x}"),
    ("2k+1", "2n+1"),
]

DIFFERENT = [
    (r"\begin{cases} -x & x\ge 0 \\ x & x<0\end{cases}", "|x|"),
    (r"\begin{cases} x+1 & x>0 \\ -x & x\le 0\end{cases}", r"\begin{cases} x+1 & x\ge 0 \\ -x & x<0\end{cases}"),
    (r"\begin{cases} 1 & x>0 \\ 0 & x\le 0\end{cases}", r"\begin{cases} 0 & x>0 \\ 1 & x\le 0\end{cases}"),
    (
        r"\begin{cases} x^2+1 & x>0 \\ 0 & \text{otherwise}\end{cases}",
        r"\begin{cases} x^2+1, & x>0, \\ 0, & x < 0.\end{cases}",
    ),
    (r"f(x)=\begin{cases} 2 & x>1 \\ 3 & x\le 1\end{cases}", r"f(x)=\begin{cases} 3 & x>1 \\ 2 & x\le 1\end{cases}"),
    (
        r"\begin{cases} 1, & n \text{ odd} \\ 2, & n \text{ even}\end{cases}",
        r"\begin{cases} 1, & n \text{ is even} \\ 2, & \text{otherwise}\end{cases}",
    ),
    (
        r"0 \text{ for } n \text{ even}, 1 \text{ for } n \text{ odd}",
        r"1 \text{ for } n \text{ even}, 0 \text{ for } n \text{ odd}",
    ),
    ("1 if n is odd, 0 if n is even", "0, 1"),
    ("1 if n is odd, 0 if n is even", "1"),
    (
        r"\begin{cases} x+1 & 0<x<1 \\ 2 & 1\le x<2 \end{cases}",
        r"\begin{cases} 2 & 1\le x<3 \\ 1+x & 0<x<1 \end{cases}",
    ),
    (r"\begin{cases} 0 & x<0 \\ 1 & x=0 \\ 2 & x>0\end{cases}", r"\begin{cases} 2 & x>0 \\ 0 & x\le 0 \end{cases}"),
    (r"\begin{cases} x-1 & x\ge 1 \\ 1-x & x<1\end{cases}", "|x+1|"),
    (
        r"\begin{cases} 1 & x \in \mathbb{Q} \\ 0 & x \notin \mathbb{Q}\end{cases}",
        r"\begin{cases} 1 & x \notin \mathbb{Q} \\ 0 & x\in\mathbb{Q}\end{cases}",
    ),
    (r"\begin{cases}x=1\\y=2\end{cases}", r"\begin{cases}x=2\\y=1\end{cases}"),
    (r"x^2 \text{ if } n \text{ is even}", r"x^2 \text{ if } n \text{ is odd}"),
    (r"x=1 \text{ where } a=2", r"x=1 \text{ where } a=3"),
    (r"f(x)=2x \text{ for all } x>0", r"f(x)=2x \text{ for all } x<0"),
    (r"2k+1, k\in\mathbb{N}", r"2k-1, k\in\mathbb{N}"),
    (r"2k, k\in\mathbb{Z}", r"2k, k\in\mathbb{N}"),
    (r"2k, k\in\mathbb{Z}", r"4k, k\in\mathbb{Z}"),
    (r"\frac{5\pi}{4}+2k\pi", r"\frac{\pi}{4}+k\pi"),
    (r"(n-2)\pi", r"n\pi"),
    (r"\pm\frac{\pi}{3}+2k\pi, k \in \mathbb{Z}", r"\pm\frac{2\pi}{3}+2k\pi, k \in \mathbb{Z}"),
    (r"f(x)=cx, c\in\mathbb{R}", r"f(x)=kx^2, k\in\mathbb{R}"),
    (r"f(x)=cx, c\in\mathbb{R}", r"f(x)=cx+1, c\in\mathbb{R}"),
    (r"n \equiv 3 \pmod{5}", r"n \equiv 4 \pmod{5}"),
    (r"n \equiv 3 \pmod{5}", r"n \equiv 3 \pmod{10}"),
    ("5 modulo 7", "5"),
    (r"4 \pmod 5", "3"),
    (r"4 \pmod 5", r"4 \pmod 6"),
    (r"n \text{ is even}", r"\text{odd } n"),
    (r"\frac{x^3}{3}", r"\frac13 x^3 + C"),
    (r"\frac{x^3}{3}+x", r"\frac13 x^3 + C"),
    ("C_1e^x+C_2e^{-x}", "C_1e^{x}+C_2e^{-2x}"),
    ("2k+1", "2n-3"),
    ("n+1", "k+1"),
    ("3n", "3k"),
    (r"(-32 + 3t, 64 + 5t) \text{ for some integer } t", r"(k, \ell) = (-32 + 3x, 64 - 5x)"),
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
