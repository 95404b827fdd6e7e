"""Whether two answers name the same options of a multiple-choice problem."""

from __future__ import annotations

import re
from collections.abc import Callable

from bonbench.verifiers.equivalence.verdict import DIFFERENT, SAME, Verdict
from bonbench.verifiers.reading.answers import Opaque, Text
from bonbench.verifiers.reading.choices import Choice, capital, glued_letters, read_choice
from bonbench.verifiers.reading.interpret import interpret

#: Whether two texts mean the same, options aside.
Compare = Callable[[str, str], Verdict]

_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


def by_choice(a: str, b: str, compare: Compare) -> Verdict | None:
    """The verdict where an answer names options; None where it rests on what the answers mean otherwise.

    Two answers that both have letters are equal where the letters are: the texts of the options are compared only
    where both are values, which may not contradict each other. Against an answer without a letter, the option's text
    counts; a sentence that is not read as naming an option does not name it.
    """
    x, y = read_choice(a), read_choice(b)
    if x is not None and y is not None:
        return DIFFERENT if x.letters != y.letters or _contradict(x, y, compare) else SAME
    if x is None and y is None:
        return None
    choice, other = (x, b) if x is not None else (y, a)
    assert choice is not None
    if len(choice.letters) > 1:
        return SAME if glued_letters(other) == choice.letters else None
    if choice.text:
        verdict = compare(choice.text, b) if choice is x else compare(a, choice.text)
        if verdict.equal:
            return verdict
    return DIFFERENT if _PROSE.search(other) else None


def as_option(answer: str, gold: str) -> str:
    """``answer`` in the spelling of options: where the gold answer is one, a small letter alone is one too."""
    letter = capital(answer)
    return letter if letter is not None and gold.strip() != answer.strip() and read_choice(gold) is not None else answer


def _contradict(x: Choice, y: Choice, compare: Compare) -> bool:
    """Whether both give the value of the option, and the values differ."""
    return _is_value(x.text) and _is_value(y.text) and not compare(x.text, y.text).equal


def _is_value(text: str) -> bool:
    answers = interpret(text).answers if text else ()
    return bool(answers) and not isinstance(answers[0], Text | Opaque)
