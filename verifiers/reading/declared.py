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
#: So many declarations are looked at, from the last one back, until one has a value.
_MAX_DECLARATIONS = 4
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
    rf"(?:\s+(?:choice|option))?(?:\s+(?:to|for|of|in)\s[^.:=\n\d]{{1,60}}?(?:\s\d{{1,3}})?)?(?:\s*\([^()\n]{{1,40}}\))?{_MARKUP}{_VERB}",
    re.IGNORECASE,
)
_ENGLISH_WORD = re.compile(
    r"ans(?:wers?)?(?![a-z])|final[_ ](?:result|response)|(?:correct|right|best) (?:option|choice)(?![a-z])"
)
_ENGLISH_HINTS = ("answer", "ans ", "ans:", "ans.", "ans=", "ans*", "final re", "final_re", "t option", "t choice")
_NOT_OURS = re.compile(
    r"(?:\b(?:an|any|another|each|every|no|wrong|incorrect|possible|such|this|that|whose)\s+|[a-z\"'])$", re.IGNORECASE
)
# "If the answer is 5, then …", "Could the answer be 5?"
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|assume|assuming|whether|unless|can|could|might|is|was|say)\s+(?:that\s+)?(?:the\s+|my\s+|our\s+)?"
    r"(?:final\s+|correct\s+|right\s+)?$",
    re.IGNORECASE,
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
# A value that was being written when the text ended.
_DANGLING = re.compile(r"[-+/=\\<>^_&({\[]\s*$")
_KEYED = re.compile(
    r"[\"'](?:final[_ ]?|correct[_ ]?)?answer[\"']\s*:\s*(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|(-?[\d.,/]*\d)|"
    r"\[([^\[\]]*)\])",
    re.IGNORECASE,
)


def declared(text: str, start: int = 0) -> tuple[str, int] | None:
    """(what ``text`` declares as its answer the last time, where this stands); None where it declares none.

    Only declarations that end after ``start`` are looked for; there something has answered before, and what is said
    of the answer without giving its value ("the answer is in cm") is a remark.

    >>> declared("The answer is 12. No: the answer is 15.")
    ('15', 35)
    >>> declared('{"answer": "7"}')
    ('7', 14)
    """
    lowered = text.lower() if start == 0 else text[start:].lower()
    if len(lowered) != len(text) - start:
        lowered = text[start:]
    ends = _foreign(text, lowered, start)
    if any(map(lowered.__contains__, _ENGLISH_HINTS)):
        ends += [*_english(text, lowered, start), *(match.end() for match in _HEADING.finditer(text, start))]
        if (keyed := last_match(_KEYED, text, start)) is not None and keyed.end() > max(ends, default=0):
            value = next(g for g in keyed.groups() if g is not None)
            return re.sub(r"[\"']", "", value).strip(), keyed.end()
    for end in sorted(ends, reverse=True)[:_MAX_DECLARATIONS]:
        if "\n" not in text[end:] and _DANGLING.search(text) is not None:
            continue
        value_or_none = declared_value(text[end:], text[:end], only_values=start > 0)
        if value_or_none is not None:
            return value_or_none, end
    return None


def _english(text: str, lowered: str, start: int) -> list[int]:
    """Where the last few "the answer is" end."""
    ends: list[int] = []
    for word in reversed(list(_ENGLISH_WORD.finditer(lowered))):
        at = start + word.start()
        match = _ENGLISH.match(text, start + word.end())
        if match is not None and not _NOT_OURS.search(text[max(0, at - 12) : at]) and not _supposed(text, at):
            ends.append(match.end())
            if len(ends) == _MAX_DECLARATIONS:
                break
    return ends


def _supposed(text: str, at: int) -> bool:
    """Whether the words before the "answer" at ``at`` only suppose it."""
    return _SUPPOSED.search(text[max(0, at - 40) : at]) is not None


def _foreign(text: str, lowered: str, start: int) -> list[int]:
    """Where the last "answer:" of other languages end; in an English text, only near its end."""
    if len(lowered) > _FOREIGN_REGION and " the " in lowered:
        start += len(lowered) - _FOREIGN_REGION
        lowered = lowered[-_FOREIGN_REGION:]
    ends = []
    if any(map(lowered.__contains__, _ASCII_HINTS if lowered.isascii() else _HINTS)):
        ends += [match.end() for match in _FOREIGN.finditer(text, start)]
    if "选" in lowered:
        ends += [match.end() for match in _CHOSEN.finditer(text, start)]
    return ends
