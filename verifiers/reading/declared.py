r"""Declared answers: "The answer is …", "**Final Answer:** …", "Antwort: …", ``{"answer": "…"}``."""

from __future__ import annotations

import re

from bonbench.verifiers.reading.matches import last_match
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.values import declared_value


def _one_of(alternatives: frozenset[str]) -> str:
    return "|".join(sorted((word.replace("_", " ") for word in alternatives), reverse=True))


# "answer" in the languages of the common multilingual benchmarks.
_LATIN_WORDS = words(
    "antwort endergebnis lösung respuesta resultado réponse résultat risposta risultato resposta cevap yanıt odpowiedź "
    "antwoord svar jawaban jibu vastaus răspuns válasz odpověď"
)
_OTHER_WORDS = words(
    "ответ відповідь απάντηση 答案 答え 答 解答 정답 답 الجواب الإجابة جواب תשובה उत्तर উত্তর సమాధానం คำตอบ đáp_án đáp_số"
)
#: In an English text another language's word for "answer" counts in this much of its end.
_FOREIGN_REGION = 300
_IS = words(
    "is are ist sind lautet es son est sont è sono é são är er jest to wynosi zijn adalah ni là on este "
    "είναι равен равно это — - は เป็น คือ হল হলো है هو هي"
)
_HINTS = tuple(word.partition("_")[0] for word in _LATIN_WORDS | _OTHER_WORDS)
_ASCII_HINTS = tuple(word for word in _HINTS if word.isascii())
_VERB = (
    r"(?:(?:is|are|was|equals?|becomes?|(?:would|should|must|will|can(?:\s+only)?|has\s+to|seems\s+to|appears\s+to|"
    r"turns\s+out\s+to)\s+be|(?:comes|works|turns)\s+out\s+(?:to\s+be|to|as|at)|(?:simplifies|evaluates|amounts)\s+to)\b"
    r"(?:\s+(?:given\s+by|therefore|thus|then|hence|indeed|equal\s+to|that)\b)?|[:：=→]|->|\\rightarrow\b)"
)
_MARKUP = r"[\s*_`#>}]*"
# What may stand between "answer" and its verb, and the verb; matched right after the word.
_ENGLISH = re.compile(
    rf"(?:\s+(?:choice|option))?(?:\s+(?:to|for|of|in)\s[^.:=\n\d]{{1,60}}?)?(?:\s*\([^()\n]{{1,40}}\))?{_MARKUP}{_VERB}",
    re.IGNORECASE,
)
_ENGLISH_WORD = re.compile(
    r"ans(?:wers?)?(?![a-z])|final[_ ](?:result|response)|(?:correct|right|best) (?:option|choice)(?![a-z])"
)
_ENGLISH_HINTS = ("answer", "ans ", "ans:", "ans.", "ans=", "ans*", "final re", "final_re", "t option", "t choice")
_NOT_OURS = re.compile(
    r"(?:\b(?:an|any|another|each|every|no|wrong|incorrect|possible|such|this|that|whose)\s+|[a-z\"'])$", re.IGNORECASE
)
# A line that is a heading ("## Answer"), or a line with a short value after the word ("Answer 42", "Ans. 42").
_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*[ \t]*|\\(?:sub)*section\*?\{|__)(?:the[ \t]+)?(?:final[ \t]+)?"
    r"(?:answer|ans|result|response)[ \t]*(?:\*\*|\}|__)?[ \t]*$"
    r"|^[ \t]*(?:\*\*|__)?(?:final[ \t]+)?(?:answer|ans)\b\.?(?:\*\*|__)?(?:[ \t]*[-–—](?=[ \t]))?[ \t]*"
    r"(?=[-$\\\d(\[][^\n]{0,60}$)",
    re.IGNORECASE | re.MULTILINE,
)
_FOREIGN = re.compile(
    rf"(?:(?<!\w)(?:{_one_of(_LATIN_WORDS)})(?:et)?|{_one_of(_OTHER_WORDS)}){_MARKUP}"
    rf"(?:[:：=是为為は은는]|(?:{_one_of(_IS)})(?=\W))",
    re.IGNORECASE,
)
_CHOSEN = re.compile(r"(?:故选|因此选|所以选|应选|选择)\s*[:：]?\s*(?=\(?[A-J](?![A-Za-z]))")
_KEYED = re.compile(
    r"[\"'](?:final[_ ]?|correct[_ ]?)?answer[\"']\s*:\s*(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|(-?[\d.,/]*\d)|"
    r"\[([^\[\]]*)\])",
    re.IGNORECASE,
)


def declared(text: str) -> tuple[str, int] | None:
    """(what ``text`` declares as its answer the last time, where this stands); None where it declares none.

    >>> declared("The answer is 12. No: the answer is 15.")
    ('15', 35)
    >>> declared('{"answer": "7"}')
    ('7', 14)
    """
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = text
    english = (_english, _heading) if any(hint in lowered for hint in _ENGLISH_HINTS) else ()
    ends = [end for rule in (*english, _foreign) if (end := rule(text, lowered)) is not None]
    if "answer" in lowered and (keyed := last_match(_KEYED, text)) is not None and keyed.end() > max(ends, default=0):
        value = next(g for g in keyed.groups() if g is not None)
        return re.sub(r"[\"']", "", value).strip(), keyed.end()
    if not ends:
        return None
    end = max(ends)
    value = declared_value(text[end:], text[:end])
    return (value, end) if value is not None else None


def _english(text: str, lowered: str) -> int | None:
    """Where the last "the answer is" ends."""
    for word in reversed(list(_ENGLISH_WORD.finditer(lowered))):
        match = _ENGLISH.match(text, word.end())
        if match is not None and _NOT_OURS.search(text[max(0, word.start() - 12) : word.start()]) is None:
            return match.end()
    return None


def _heading(text: str, lowered: str) -> int | None:
    """Where the last heading "Answer" ends."""
    match = last_match(_HEADING, text)
    return match.end() if match is not None else None


def _foreign(text: str, lowered: str) -> int | None:
    """Where the last "answer:" of another language ends; in an English text, only near its end."""
    start = max(0, len(text) - _FOREIGN_REGION) if " the " in lowered else 0
    region = lowered[start:]
    end = None
    if any(word in region for word in (_ASCII_HINTS if text.isascii() else _HINTS)):
        match = last_match(_FOREIGN, text[start:])
        end = start + match.end() if match is not None else None
    if "选" in region and (chosen := last_match(_CHOSEN, text)) is not None:
        end = max(end or 0, chosen.end())
    return end
