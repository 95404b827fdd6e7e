r"""Thoughts that a reasoning model writes before its answer, between marks like ``<think>`` and ``</think>``.

The opening mark is often part of the prompt, and then missing from the response. What stands after the last closing
mark is the answer.
"""

from __future__ import annotations

import re

# <think> </think> <|begin_of_thought|> <|END_THINKING|> [THINK] ◁think▷ <seed:think> <reasoning_process>
_NAMES = "think|thinking|thought|thoughts|reasoning|reason|scratchpad|analysis|reflection|deliberation|monologue"
_MARK = re.compile(
    rf"[<\[◁][|｜]?(?P<close>/|end_of_|end_)?(?:[a-z]{{2,8}}:)?[a-z_]{{0,20}}?(?:{_NAMES})(?:_process|_on|_off|_start)?"
    r"(?P<closed>_end)?(?:[\s:][^<>\n]{0,60})?[|｜]?[>\]▷]"
    r"|<unused94>|(?P<unused><unused95>)"
    r'|<details type="reasoning"[^<>]{0,80}>|(?P<details></details>)',
    re.IGNORECASE,
)
_HINTS = ("<unused9", "think", "thought", "reason", "scratchpad", "analysis", "reflection", "deliberation", "monologue")


def without_thoughts(text: str) -> tuple[str, str]:
    r"""(what is said, what is thought) in ``text``, which has both without their marks.

    >>> without_thoughts("<think>Maybe 12? No.</think>The total is 15.")
    ('The total is 15.', 'Maybe 12? No.')
    >>> without_thoughts("Maybe 12? No.</think>The total is 15.")
    ('The total is 15.', 'Maybe 12? No.')
    >>> without_thoughts("[THINK]Let me see: 12, so")
    ('', 'Let me see: 12, so')
    """
    if not any(map(text.lower().__contains__, _HINTS)):
        return text, ""
    marks = [(m.start(), m.end(), m.lastgroup is not None) for m in _MARK.finditer(text)]
    if not marks:
        return text, ""
    said: list[str] = []
    thought: list[str] = []
    position = 0
    thinks = marks[0][2]  # the opening mark was in the prompt
    for start, end, closes in marks:
        (thought if thinks else said).append(text[position:start])
        thinks, position = not closes, end
    (thought if thinks else said).append(text[position:])
    last = next((part for part in reversed(said) if part.strip()), "")
    return last.strip(), "\n".join(thought).strip()
