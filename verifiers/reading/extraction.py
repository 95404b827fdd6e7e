"""The final answer stated in a response.

In this order: the last balanced ``\\boxed{}`` (or the boxes that end the response together), GSM8K's ``#### 42``,
"the answer is …", then the last statement, understood as a person would (``statements``). Where nothing settles it, or
the response breaks off, there is no answer.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.choice_statements import stated_choice
from bonbench.verifiers.reading.statements import MATHS, inner_maths, plain, stated_value

#: Only this much of the end of a response is searched.
MAX_TAIL = 100_000

# Control tokens of chat formats that leaked into the text; what follows belongs to another turn.
_TURN_END = re.compile(r"<\|[a-z_]{2,20}\|>|</s>|\[/?INST\]")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])\s*")
# Boxes belong together when only a short connection stands between them: "and", a comma, no new sentence.
_CONNECTION = re.compile(
    r"(?!.*(?:\n\s*\n|[.!?]\s|\\\]))(?=.*(?:\band\b|\bor\b|,|;|\\quad)).{1,80}|\s*[,;]?\s*", re.DOTALL
)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(?=[-$\\\d.(])(\S.*?)[ \t]*$", re.MULTILINE)
_DECLARATION = re.compile(
    r"(?:final\s+answer|\b(?:the|our|my|correct|required)\s+answer|\banswer\s*(?=:))\s*(?:\*\*)?\s*"
    r"(?:\bis\b|\bare\b|:|=|would be|must be)\s*:?\s*(?:\*\*(?=\s))?(?:that\b)?",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\n\s*\n|(?<=[\w)}$\]*%])\.(?=\s|$)(?<!\bvs\.)")
_MAX_DECLARED = 200


def extract(text: str) -> str | None:
    r"""The final answer stated in ``text``, or None. An empty box is no answer.

    >>> extract(r"First \boxed{3}. No: it is \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    >>> extract(r"So \boxed{1} and \boxed{2}")
    '1, 2'
    >>> extract("The correct answer is (B).")
    '(B)'
    >>> extract("Thus, there are 3 ways to put 5 balls into 2 boxes.")
    '3'
    >>> extract("From 3 and 4 and 5 one gets nothing.") is None
    True
    """
    tail = _TURN_END.split(text[-MAX_TAIL:], maxsplit=1)[0] if "<" in text else text[-MAX_TAIL:]
    boxed = _boxed(tail)
    if boxed is not None:
        return boxed
    if "####" in tail and (hashes := _HASHES.findall(tail)):
        return str(hashes[-1])
    if breaks_off(tail):
        return None
    return stated_choice(tail) or _declared(tail) or _last_statement(tail)


def boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every balanced box, outermost ones only."""
    found_boxes = []
    position = 0
    while (match := _BOX.search(text, position)) is not None:
        start, position = match.start(), match.end()
        if text[position : position + 1] == "{":
            end = closing_brace(text, position)
            if end is None:
                break  # cut off inside; no later brace can close an outer one
            content, position = text[position + 1 : end], end + 1
        else:
            word = _BARE_CONTENT.match(text, position)
            if word is None:
                continue
            content, position = word[0], word.end()
        if content.strip():
            found_boxes.append((start, position, content.strip()))
    return found_boxes


_BARE_CONTENT = re.compile(r"\\?\w+")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def closing_brace(text: str, opening: int) -> int | None:
    """Offset of the brace that closes the one at ``opening``; escaped braces do not count."""
    depth = 0
    for match in _BRACE.finditer(text, opening):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None


def breaks_off(text: str) -> bool:
    """Whether a response ends in the middle of something."""
    text = text.rstrip()
    if text.count("\\(") != text.count("\\)") or text.count("\\[") != text.count("\\]"):
        return True
    return not text or (text[-1] in ",;:([{+-*/=\\<>&|^_~" and not text.endswith(("**", "\\\\")))


def _boxed(text: str) -> str | None:
    if "box" not in text:
        return None
    text_boxes = boxes(text)
    if not text_boxes:
        return None
    contents = [text_boxes[-1][2]]
    for (_, end, content), (start, _, _) in zip(text_boxes[-2::-1], text_boxes[:0:-1], strict=True):
        if _CONNECTION.fullmatch(text[end:start]) is None:
            break
        contents.append(content)
    return ", ".join(dict.fromkeys(reversed(contents)))


def _declared(text: str) -> str | None:
    """What follows the last "the answer is"."""
    matches = list(_DECLARATION.finditer(text))
    if not matches:
        return None
    rest = text[matches[-1].end() :].strip()
    sentence = _SENTENCE_END.split(rest, maxsplit=1)[0].strip()
    maths = MATHS.match(sentence)
    if maths is not None and len(sentence) <= maths.end() + 1:
        return inner_maths(maths)
    value = stated_value(sentence, text[: matches[-1].start()])
    if value is not None or not sentence:
        return value
    sentence = plain(sentence)
    return sentence if len(sentence) <= _MAX_DECLARED and "\n" not in sentence else None


def _last_statement(text: str) -> str | None:
    """The answer in the last sentence of a response that ends properly."""
    text = text.rstrip()
    last = re.split(r"\n\s*\n", text)[-1].strip()
    sentence = re.split(r"(?<=[a-z)\]}*$%\"\d])[.!?]\s+(?=[A-Z\\$*])|\n(?![^\n]*(?:\\\]|\$\$))", last)[-1].strip()
    if sentence.endswith(("\\]", "$$")):
        sentence = last
    return stated_value(sentence, text[: len(text) - len(sentence)])
