"""The answer in the last statement of a response that declares none."""

from __future__ import annotations

import re

from bonbench.verifiers.reading.clauses import without_chatter
from bonbench.verifiers.reading.statements import stated_value
from bonbench.verifiers.reading.values import bare_value, listed_values

_SENTENCES = re.compile(r"(?<=[a-z)\]}*$%\"\d])[.!?]\s+(?=[A-Z\\$*])|\n(?![^\n]*(?:\\\]|\$\$))")


def concluded(text: str) -> str | None:
    """The answer in the last sentence, line or list of ``text``.

    >>> concluded("We add. So the total is **15**. I hope this helps!")
    '15'
    >>> concluded("The roots are:\\n- $x=2$\\n- $x=-3$")
    'x=2, x=-3'
    """
    text = without_chatter(text.rstrip()).rstrip()
    last = re.split(r"\n\s*\n", text)[-1].strip()
    if (items := listed_values(last)) is not None:
        return items
    sentence = _SENTENCES.split(last)[-1].strip()
    if sentence.endswith(("\\]", "$$")):
        sentence = last
    return bare_value(sentence) or stated_value(sentence, text[: len(text) - len(sentence)])
