"""From an answer's text to what it may mean. Each distinct text is interpreted once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from bonbench.verifiers.reading.answers import Answer, Text
from bonbench.verifiers.reading.bases import prefixed
from bonbench.verifiers.reading.boxes import boxes
from bonbench.verifiers.reading.callings import called
from bonbench.verifiers.reading.chemistry import formula
from bonbench.verifiers.reading.extraction import extract
from bonbench.verifiers.reading.formulas import MATHS, inner_maths, is_money
from bonbench.verifiers.reading.markup import plain
from bonbench.verifiers.reading.number_words import NUMERALS
from bonbench.verifiers.reading.numerals import other_readings
from bonbench.verifiers.reading.statements import stated_value
from bonbench.verifiers.reading.structure import parse
from bonbench.verifiers.reading.tokens import Token, Unreadable, clean, tokenize
from bonbench.verifiers.reading.unit_runs import settled

# Three capitals and more; a short name; a consonant, a vowel and a consonant.
_SPELLED = re.compile(r"\s*(?:[A-Z]{3,}|[A-Z](?=[a-z]*[aeiouy])[a-z]{2}|[b-df-hj-np-tv-z][aeiou][b-df-hj-np-tv-z])\s*")
# Begins with words, as a statement does and maths does not.
_STATEMENT = re.compile(r"\s*[A-Za-z]{2,}[a-z']*[ ,:]")
# A line break after the sign that should open inline maths.
_BROKEN_INLINE = re.compile(r"(?<![\\$])\$[ \t]*\n|\\\([ \t]*\n")
_MAX_STATEMENT = 120
_PROSE = re.compile(r"(?:[A-Za-z]{2,}(?:'[a-z]+)?[ ,;:]+){3,}")
# A sentence has a verb; without one, words are the answer itself ("all multiples of 5").
_VERB = re.compile(
    r"\b(?:is|are|was|were|be|equals|has|have|had|gives?|gets?|got|needs?|there|will|would|can|answer|takes?|makes?|"
    r"costs?|pays?|spends?|earns?|sells?|buys?|left|remains?|becomes?|contains?|requires?|uses?|saves?|sold|paid|it's)\b|=",
    re.IGNORECASE,
)
# How sure a model says it is, after its answer.
_CONFIDENCE = re.compile(
    r"\s*(?:[,;(\[]|\n)\s*(?:with\s+)?(?:(?:my\s+)?confidence\b[^\n]*"
    r"|(?:\d+\s*\\?%|high|low|medium|moderate)\s+(?:confidence|confident)[)\]]?\.?)\s*\Z",
    re.IGNORECASE,
)
_MAX_REMARK = 120
_POLAR = re.compile(r"\s*(?:yes|no|true|false)\s*[,.;:]", re.IGNORECASE)
_WRAPPED = re.compile(r"\s*(?:\$\$(.*)\$\$|\$([^$]*)\$|\\\[(.*)\\\]|\\\((.*)\\\))\s*\.?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """``text`` is the spelling-independent text, ``answers`` what it may mean, the likeliest first."""

    text: str
    answers: tuple[Answer, ...]


@lru_cache(maxsize=65536)
def interpret(text: str) -> Interpretation:
    r"""What ``text`` says as an answer; no answers where it cannot be read.

    >>> interpret(r"$x = \dfrac34$").text
    'x = \\frac 34'
    >>> [type(answer).__name__ for answer in interpret("100,200,300").answers]  # one number, or three
    ['Scalar', 'Listing']
    >>> interpret("not 5").answers
    ()
    """
    answer = unwrap(plain(text))
    if answer is None:
        return Interpretation("", ())
    try:
        cleaned = clean(answer)
        raw = tokenize(cleaned)
        tokens = settled(raw)
    except Unreadable:
        return Interpretation(answer, ())
    spelled_out = _spelled_out(cleaned)
    canonical = cleaned.strip() if spelled_out else " ".join(t.text for t in tokens)
    answers: list[Answer] = []
    try:
        answers.append(spelled_out or parse(tokens))
        if any(t.kind == "unit?" for t in raw) and (symbols := settled(raw, symbols=True)) != tokens:
            answers.append(parse(symbols))  # 5 m may be five times m
        answers += [parse(_tokens(other)) for other in (*other_readings(cleaned), *called(cleaned))]
    except (Unreadable, RecursionError):
        pass
    return Interpretation(canonical, tuple(answers))


def _tokens(cleaned: str) -> list[Token]:
    return settled(tokenize(cleaned))


def _spelled_out(text: str) -> Answer | None:
    """Letters that are a word, an order or a name; as a product their order would not count."""
    is_spelled = _SPELLED.fullmatch(text) is not None and text.strip().lower() not in NUMERALS
    return Text((text.strip().lower(),)) if is_spelled else prefixed(text) or formula(text)


def unwrap(text: str) -> str | None:
    r"""The answer itself, where ``text`` wraps it in a box, in dollars, or in a statement; None where it states none.

    >>> unwrap(r"\[ \boxed{12} \]"), unwrap("The area is $12$."), unwrap("12")
    ('12', '12', '12')
    """
    text = text[:-_MAX_REMARK] + _CONFIDENCE.sub("", text[-_MAX_REMARK:])
    for _ in range(3):
        wrapped = _WRAPPED.fullmatch(text)
        if wrapped is not None and len(MATHS.findall(text)) <= 1:
            inner: str | None = next(g for g in wrapped.groups() if g is not None)
        elif "box" in text and boxes(text):
            inner = extract(text)
        elif _POLAR.match(text):
            return text
        elif _STATEMENT.match(text):
            maths = [m for m in MATHS.finditer(text) if not is_money(m)]
            if len(maths) == 1 and len(text) < _MAX_STATEMENT:
                inner = inner_maths(maths[0]) if maths[0].end() > len(text) - 2 else stated_value(text)
                return text if inner is None else inner
            if _BROKEN_INLINE.search(text):
                return None
            if not _PROSE.search(text) or not _VERB.search(text) or (len(maths) > 1 and len(text) < _MAX_STATEMENT):
                return text
            inner = extract(text)
            if inner is None:
                return text
        else:
            return text
        if inner is None or inner == text:
            return inner
        text = inner
    return text
