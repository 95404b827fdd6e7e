"""Clauses of a statement: the one that gives a value, and those around it that only explain it."""

from __future__ import annotations

import re

from bonbench.verifiers.reading.formulas import MATHS

# What stands after the value and says when, where or why it holds.
_WHERE = re.compile(
    r"[\s,;(]+(?:(?:and|which|that)\s+(?:it\s+)?(?:is\s+)?)?(?:"
    r"(?:is\s+|are\s+|being\s+)?(?:attained|achieved|reached|obtained|reali[sz]ed)\b|occurs?\b|occurring\b|happens\b"
    r"|(?:when|whenever|where|if|provided|for\s+which|with\s+equality|in\s+case|because|since|as\s+long\s+as|assuming)\b"
    r"|as\s+(?:required|desired|claimed|expected|needed|stated|requested|wanted|shown)\b"
    r"|for\s+(?=(?:\\\(|\$)?\s*[a-z]\s*=)"
    r"|for\s+(?:all|every|any)\s+(?=\\\(|\$|[a-z]\b)|as\s+(?=\\\(|\$|[a-z]\s*(?:→|->))"
    r"|at\s+(?=(?:the\s+points?\s+)?(?:\\\(|\$|\()|both\b)"
    r")"
)
# A head that gives a value has a verb before it, or sets the value apart between commas.
_GIVES_VALUE = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|has|have|had|gives?|becomes?|get|gets|got|obtain|find|found|need|needs|costs?|takes?"
    r"|there|of|to|at)\b|=|≈|:|\b(?:maximum|minimum|value|answer|sum|total|area|length|number)(?:,|(?=\s+[-\d$\\]))).*?(?:\d|\\[A-Za-z(\[]|\$)",
    re.IGNORECASE | re.DOTALL,
)
_LEADING = re.compile(
    r"^(?:(?:so|therefore|thus|hence|finally|then|(?:in )?conclusion)\b[,:]?\s*)?"
    r"(?:if|after|when|since|given|with|by|for|because|in|at|over|to|from|during)\b[^,]*,\s*",
    re.IGNORECASE,
)
_HAS_VALUE = re.compile(r"\d|\\\(|\$|\\\[|\*\*")
_CHATTER = re.compile(
    r"(?:\n|[.!?*$)\]}][ \t])[ \t]*(?:\*\*|\(|[-–—]+[ \t]*)?(?:"
    r"(?:I|We)\s+(?:really\s+|do\s+)?hope\b|Hope\s+(?:this|that|it)\b|(?:Please\s+)?(?:[Ll]et\s+me\s+know|[Ff]eel\s+free)\b"
    r"|(?:Would|Do)\s+you\s+(?:like|want|need)\b|Is\s+there\s+anything\b|If\s+you\s+(?:have|need|want|would)\b"
    r"|Thank(?:s|\s+you)\b|Have\s+a\s+(?:great|nice|good)\b|Happy\s+to\s+help|You(?:['’]re|\s+are)\s+welcome"
    r"|(?:My\s+|The\s+)?(?:[Cc]onfidence|[Cc]ertainty)(?:\s+(?:[Ll]evel|[Ss]core|[Rr]ating))?\s*(?:\*\*)?\s*(?:is\b|[:=(])"
    r"|(?:(?:E|e)xplanation|Justification|Reason(?:ing)?|Rationale|Notes?|Sources?|References?|Verification|Check)\s*(?:\*\*)?\s*:"
    r")"
)
_CHATTER_HINTS = (
    "hope", "let me", "feel free", "you ", "anything", "thank", "you'", "happy", "have a", "confidence", "certainty",
    "explanation", "justification", "reason", "rationale", "note", "source", "reference", "verification", "check",
)  # fmt: skip
_DENIAL_HINTS = (
    "not", "Not", "n't", "n’t", "never", "nor", "rule", "exclude", "discard", "reject", "wrong", "incorrect",
    "impossible", " too ", " fail",
)  # fmt: skip
#: Closing remarks begin in this much of the end of a response.
_CHATTER_REGION = 800
_PART_END = re.compile(
    r",\s|;|(?<=\w)\s+\((?!\w\))|\s[-–—]+\s|\s+(?:because|since|when|where|if|which|who|after|as|so|due|based|hence|given)\b"
)
_VALUE = r"\\\(.{1,60}?\\\)|\$[^$]{1,60}\$(?!\d)|-?\\?\$?\d[\d,]*(?:\.\d+)?%?|\*\*.{1,60}?\*\*"
_DENIED = re.compile(
    r"\b(?:[Nn]ot|cannot|never|[a-z]{2,5}n['’]t|neither|nor)\s+(?:(?:be|equal(?:\s+to)?|been|is|a|an|the|answer|necessarily|just|"
    rf"exactly|simply|equals)\s+)*({_VALUE})"
    rf"|\b(?:rules?\s+out|ruled\s+out|excludes?|excluded|discard(?:ed)?|rejects?|rejected)\s+({_VALUE})"
    rf"|({_VALUE})\s+(?:is|are|was|were)\s+(?:not\b|n[o']t\b|wrong|incorrect|impossible|excluded|ruled\s+out|too\s+\w+)"
    rf"|({_VALUE})\s+(?:fails?\b|(?:does\s+not|doesn['’]t|cannot|can['’]t)\s+(?:work|hold|satisfy|fit))"
)


def main_clause(sentence: str) -> str:
    r"""``sentence`` without what follows its value to say when or why it holds.

    >>> main_clause("The maximum is 7 when x = 2."), main_clause("When x = 2, the maximum is 7.")
    ('The maximum is 7', 'When x = 2, the maximum is 7.')
    """
    spans = None
    for match in _WHERE.finditer(sentence):
        if spans is None:
            spans = [maths.span() for maths in MATHS.finditer(sentence)]
        if any(start < match.start() < end for start, end in spans):
            continue
        head = sentence[: match.start()]
        if _GIVES_VALUE.search(without_leading(head)) is not None:
            return head
    return sentence


def without_leading(sentence: str) -> str:
    """``sentence`` without a clause before its main one ("After 3 years, …")."""
    return _LEADING.sub("", sentence)


def without_chatter(text: str) -> str:
    """``text`` up to closing remarks: confidence, explanations, offers of help. All of it where they come first.

    >>> without_chatter("So it is 42. I hope this helps!")
    'So it is 42.'
    """
    start = max(0, len(text) - _CHATTER_REGION)
    if not any(map(text[start:].lower().__contains__, _CHATTER_HINTS)):
        return text
    match = _CHATTER.search(text, start)
    while match is not None:
        head = text[: match.start()].rstrip()
        if head and _HAS_VALUE.search(head[-300:]):
            return head + text[match.start()].strip()
        match = _CHATTER.search(text, match.end())
    return text


def without_denied(sentence: str) -> tuple[str, frozenset[str]]:
    """(``sentence`` without the values that it denies, these values).

    >>> without_denied("It is not 5 but 7.")
    ('It is but 7.', frozenset({'5'}))
    """
    if not any(map(sentence.__contains__, _DENIAL_HINTS)):
        return sentence, frozenset()
    denied = frozenset(value for match in _DENIED.finditer(sentence) for value in match.groups() if value is not None)
    return (re.sub(r"\s+", " ", _DENIED.sub("", sentence)), denied) if denied else (sentence, denied)


def first_part(sentence: str) -> str:
    """``sentence`` up to the first comma, bracket, dash or clause after its first words.

    >>> first_part("B because a car moves"), first_part("more than 42, as shown")
    ('B', 'more than 42')
    """
    match = _PART_END.search(sentence, 1)
    return sentence[: match.start()] if match is not None else sentence
