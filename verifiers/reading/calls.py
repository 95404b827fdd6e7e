"""Functions as computer languages call them: ``log10(x)``, ``Sqrt[2]``, ``factorial(5)``, ``comb(5, 2)``."""

from __future__ import annotations

import re

_BRACKETED = re.compile(
    r"(?<![A-Za-z\\])(Sqrt|Sin|Cos|Tan|Cot|Sec|Csc|ArcSin|ArcCos|ArcTan|Log|Exp|Abs|Floor|Max|Min|GCD|LCM)\[([^\[\]]*)\]"
)
_LOGARITHM = re.compile(r"(?<![A-Za-z\\])log(2|10)\s*\(")
_PAIR = re.compile(r"(?<![A-Za-z\\])(?:comb|binomial|binom|nCr|nchoosek)\s*\(([^(),]*),([^(),]*)\)")
_POWER = re.compile(r"(?<![A-Za-z\\])pow\s*\(([^(),]*),([^(),]*)\)")
_SINGLE = re.compile(r"(?<![A-Za-z\\])(factorial|cbrt)\s*\(([^()]*)\)")


def as_mathematics(text: str) -> str:
    r"""``text`` with calls in the notation of mathematics.

    >>> as_mathematics("log2(8)"), as_mathematics("Sqrt[2]"), as_mathematics("comb(5,2)")
    ('\\log_{2}(8)', '\\sqrt{2}', '\\binom{5}{2}')
    """
    text = _BRACKETED.sub(_lower, text)
    text = _LOGARITHM.sub(r"\\log_{\1}(", text)
    text = _PAIR.sub(r"\\binom{\1}{\2}", text)
    text = _POWER.sub(r"(\1)^{\2}", text)
    return _SINGLE.sub(lambda m: f"({m[2]})!" if m[1] == "factorial" else rf"\sqrt[3]{{{m[2]}}}", text)


def _lower(match: re.Match[str]) -> str:
    """A capital name with square brackets, whose ``Log`` is the natural one."""
    name = match[1].lower()
    if name == "sqrt":
        return rf"\sqrt{{{match[2]}}}"
    return rf"\{'ln' if name == 'log' else name}({match[2]})"
