r"""How a verdict is read from the reply of a judge.

A reader gets the text of a reply and the number of values that it should hold: one for a response or a step, one for
each step (``labels``), one for each response shown (``choice``, ``ranking``). It returns so many values in [0, 1], or
None for a reply that it cannot read. What counts is what a reply says last, and not what is thought before ``</think>``
(but see ``labels``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from harness.core.records import Response

Values = tuple[float, ...]
Reader = Callable[[str, int], Values | None]

_VERDICTS = {
    **dict.fromkeys(("yes", "correct", "right", "true", "valid"), 1.0),
    **dict.fromkeys(("no", "incorrect", "wrong", "false", "invalid", "not correct"), 0.0),
}
# \boxed{Yes}, \boxed{\text{Yes}}, \boxed Yes, [[Yes]]
_BOX = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}|\[\[([^\[\]]*)\]\]")
_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
# Is the solution correct? Yes; Verdict: **No**
_QUESTION = re.compile(
    r"(?:correct(?: \(yes/no\))?\?|verdict:|judge?ment:|final answer:)[\s*_]*(yes|no|correct|incorrect)\b",
    re.IGNORECASE,
)
# what may stand before a verdict where it begins
_AROUND = re.compile(r"[\s$*]*(?:\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname)\s*\{)?\s*")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
# Score: 7, Grade: 7/10, Rating: **7**
_GRADE = re.compile(r"(?:score|grade|rating)\s*(?:is)?\s*:?[\s*_]*([-+]?\d+(?:\.\d+)?)", re.IGNORECASE)
_CHOICES = {"a": 0, "1": 0, "b": 1, "2": 1}
_TIES = {"c", "tie", "equal", "both", "neither"}


def said(reply: Response, in_a_word: bool = False, with_thoughts: bool = False) -> str | None:
    """What a reply says besides thoughts; None where the reply, or a thought, is cut off.

    Args:
        in_a_word: whether a reply that is cut off after its first word, as by ``max_tokens: 1``, is whole.
        with_thoughts: whether thoughts count as said, once they are at an end.
    """
    if reply.finish_reason == "length" and not (in_a_word and len(reply.text.split()) == 1):
        return None
    text = reply.text.rpartition("</think>")[2]
    if "<think>" in text:
        return None
    return reply.text if with_thoughts else text


def yes_or_no(text: str, n: int = 1, *, yes: str = "Yes", no: str = "No") -> Values | None:
    """1 for yes, 0 for no: the last one in a box, else the last answer to whether it is correct, else the only word.

    ``yes`` and ``no`` are words for them besides those that are known.
    """
    verdict = _verdict(text, yes, no)
    return None if verdict is None else (verdict[0],) * n


def verdict_place(reply: Response, *, yes: str = "Yes", no: str = "No") -> int | None:
    """Where the verdict that :func:`yes_or_no` reads begins in a reply; None for a reply without one."""
    text = said(reply, in_a_word=True)
    verdict = None if text is None else _verdict(text, yes, no)
    return None if text is None or verdict is None else len(reply.text) - len(text) + verdict[1]


def _verdict(text: str, yes: str, no: str) -> tuple[float, int] | None:
    """1 for yes or 0 for no, and where the word begins."""
    words = {**_VERDICTS, _plain(yes): 1.0, _plain(no): 0.0}
    boxes = zip(_boxes(text), _BOX.finditer(text), strict=True)
    verdicts = [(words[word], _within(match)) for box, match in boxes if (word := _plain(box)) in words]
    if not verdicts:
        verdicts = [(_VERDICTS[match[1].lower()], match.start(1)) for match in _QUESTION.finditer(text)]
    if not verdicts and (word := _plain(text)) in words:
        verdicts = [(words[word], _AROUND.match(text).end())]  # type: ignore[union-attr]  # it matches anything
    return verdicts[-1] if verdicts else None


def _within(box: re.Match[str]) -> int:
    """Where the content of a box begins, behind a command of text in formulas."""
    start = box.start(1) if box[1] is not None else box.start(2)
    return _AROUND.match(box.string, start).end()  # type: ignore[union-attr]


def grade(text: str, n: int = 1, *, worst: float, best: float) -> Values | None:
    """The last grade, in a box or after a word such as Score, from 0 (``worst``) to 1 (``best``)."""
    numbers = [match[0] for box in _boxes(text) if (match := _NUMBER.match(box))]
    numbers = numbers or [match[1] for match in _GRADE.finditer(text)]
    if not numbers and _NUMBER.fullmatch(text.strip()):
        numbers = [text.strip()]
    if not numbers:
        return None
    value = (float(numbers[-1]) - worst) / (best - worst)
    return (value,) * n if 0 <= value <= 1 else None


def labels(text: str, n: int) -> Values | None:
    """The verdicts in boxes, one for each of ``n`` steps in order. Judges may stop at the first wrong step: the steps
    after it are not judged, and count as wrong. Where not every step is judged after the thoughts, all of the text is
    read: some judges give their verdicts there."""
    for part in (text.rpartition("</think>")[2], text):
        verdicts = [_VERDICTS[word] for box in _boxes(part) if (word := _plain(box)) in _VERDICTS]
        if len(verdicts) < n and verdicts and verdicts[-1] == 0.0:
            verdicts += [0.0] * (n - len(verdicts))
        if len(verdicts) == n:
            return tuple(verdicts)
    return None


def choice(text: str, n: int = 2) -> Values | None:
    """Of two responses 1 for the chosen one (A or B, in a box) and 0 for the other, 1/2 each for a tie."""
    for box in reversed(_boxes(text)):
        word = box.lower().removeprefix("response ").removeprefix("solution ").strip(" .")
        if word in _TIES:
            return 0.5, 0.5
        if word in _CHOICES:
            return (1.0, 0.0) if _CHOICES[word] == 0 else (0.0, 1.0)
    return None


def ranking(text: str, n: int) -> Values | None:
    """Of a ranking of ``n`` responses by their numbers from 1, best first, in a box: 1 for the first, 0 for the last
    one, equal distances between."""
    for box in reversed(_boxes(text)):
        places = [int(number) - 1 for number in re.findall(r"\d+", box)]
        if sorted(places) == list(range(n)) and n > 1:
            values = [0.0] * n
            for rank, place in enumerate(places):
                values[place] = (n - 1 - rank) / (n - 1)
            return tuple(values)
    return None


READERS: Mapping[str, Reader] = {"labels": labels, "choice": choice, "ranking": ranking}


def _boxes(text: str) -> list[str]:
    """What stands in boxes, in order, without the commands of text in formulas."""
    boxes = [match[1] if match[1] is not None else match[2] for match in _BOX.finditer(text)]
    return [_COMMAND.sub(r"\1", box).strip(" $*.") for box in boxes]


def _plain(text: str) -> str:
    """A verdict without what stands around it."""
    return " ".join(text.lower().strip(" $*.!\n").split())
