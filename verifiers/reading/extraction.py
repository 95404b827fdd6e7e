r"""The final answer stated in a response: the order of the rules that look for it.

1. The model's own turn (``chat_tokens``), and in it what follows its thoughts (``thinking``).
2. The last explicit answer: a box, GSM8K's ``#### 42``, an answer tag, "the answer is …".
3. An option of a multiple-choice problem (``choice_statements``).
4. A response that is nothing but an answer (``values``).
5. The last statement, understood as a person would (``conclusion``), unless the response breaks off.

Where nothing settles it, there is no answer.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.answer_tags import tagged
from bonbench.verifiers.reading.boxes import boxed, cut_off
from bonbench.verifiers.reading.chat_tokens import before_other_speaker, own_turn
from bonbench.verifiers.reading.choice_statements import stated_choice
from bonbench.verifiers.reading.conclusion import concluded
from bonbench.verifiers.reading.declared import declared
from bonbench.verifiers.reading.matches import last_match
from bonbench.verifiers.reading.thinking import without_thoughts
from bonbench.verifiers.reading.values import bare, declared_value

#: Only this much of the end of a response is searched.
MAX_TAIL = 100_000

# Before words it is a heading, unless it ends the response.
_HASHES = re.compile(r"^[ \t]*####[ \t]*(?:(?=\**[-$\\\d.(])(\S.*?)[ \t]*$|([^\s#].*?)\s*\Z)", re.MULTILINE)
_HTML = re.compile(r"</?(?:b|i|u|em|strong|p|div|span|center|code|pre|h[1-6])(?:\s[^<>\n]{0,80})?>|<br\s*/?>")
_UNFINISHED = re.compile(
    r"(?:[,;:(\[{+\-*/=\\<>&|^_~]|\b(?:is|are|the|of|and|or|be|equals|by|an|that|to|get|have|obtain|then|hence|thus|"
    r"therefore|so|we|with|for|when|where|if|because|since|and\s+so\s+on[. ]*|etc\.?))$"
)
_MAX_TAGGED = 200
# Environments that only set equations in lines of their own.
_DISPLAY = re.compile(r"\\(begin|end)\{(?:align|equation|gather|eqnarray|multline|displaymath|math)\*?\}")


def extract(text: str) -> str | None:
    r"""The final answer stated in ``text``, or None. An empty box is no answer.

    >>> extract(r"First \boxed{3}. No: it is \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    >>> extract(r"So \boxed{1} and \boxed{2}")
    '1, 2'
    >>> extract("<think>Is it (A)? No.</think>The correct answer is (B).")
    '(B)'
    >>> extract("Thus, there are 3 ways to put 5 balls into 2 boxes.")
    '3'
    >>> extract("From 3 and 4 and 5 one gets nothing.") is None
    True
    """
    said, thought = text[-MAX_TAIL:], ""
    if "\\begin{" in said:
        said = _DISPLAY.sub(lambda match: "\\[" if match[1] == "begin" else "\\]", said)
    if _may_have_marks(said):
        said, thought = own_turn(said)
        said, more = without_thoughts(said)
        said, thought = _HTML.sub("", said), thought or more
    if not said.strip():
        return _answer(thought)
    answer = _answer(said)
    return explicit(thought) if answer is None and thought and not breaks_off(said) else answer


def _may_have_marks(text: str) -> bool:
    """Whether ``text`` may have control tokens, or marks of thoughts; nearly all responses have none."""
    return "<" in text or "[/" in text or "◁" in text or "assistant" in text or text.lstrip()[:1] == "["


def _answer(text: str) -> str | None:
    first = before_other_speaker(text)
    if first is not None and (answer := explicit(first)) is not None:
        return answer
    box = cut_off(text)
    answer = explicit(text if box is None else text[:box])
    if answer is not None or box is not None or breaks_off(text):
        return answer
    return stated_choice(text) or bare(text) or concluded(text)


def explicit(text: str) -> str | None:
    """The last answer that ``text`` marks as its answer: by a box, hashes, a tag, or a declaration."""
    answer, end = None, 0
    for rule in EXPLICIT:
        later = rule(text, end)
        if later is not None:
            answer, end = later
    return answer


def _hashes(text: str, start: int) -> tuple[str, int] | None:
    """GSM8K's ``#### 42``."""
    match = last_match(_HASHES, text, start) if "####" in text else None
    if match is None:
        return None
    answer = declared_value(match[1]) or match[1] if match[1] else bare(match[2].strip("*"))
    return (answer, match.end()) if answer is not None else None


def _tagged(text: str, start: int) -> tuple[str, int] | None:
    """The answer inside an answer tag."""
    content_and_end = tagged(text, start)
    if content_and_end is None:
        return None
    content, end = content_and_end
    answer = explicit(content) or stated_choice(content) or bare(content) or concluded(content)
    if answer is None and "\n" not in content and len(content) <= _MAX_TAGGED:
        answer = content
    return (answer, end) if answer is not None else None


def _declared(text: str, start: int) -> tuple[str, int] | None:
    """What the response declares as its answer; an option, where it declares one."""
    answer_and_end = declared(text, start)
    if answer_and_end is None:
        return None
    answer, end = answer_and_end
    return answer if ", " in answer else stated_choice(text) or answer, end


def breaks_off(text: str) -> bool:
    """Whether a response ends in the middle of something."""
    text = text.rstrip()
    if text.count("\\(") != text.count("\\)") or text.count("\\[") != text.count("\\]"):
        return True
    return not text or (_UNFINISHED.search(text[-16:]) is not None and not text.endswith(("**", "\\\\", "|")))


#: Each gives (answer, where it ends in the text) of the last answer of its kind that ends after ``start``.
EXPLICIT = (boxed, _hashes, _tagged, _declared)
