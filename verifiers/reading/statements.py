"""The value that a statement in words gives, as in "Therefore, she pays **$52,500** after 30 years."

Cues are tried from the surest on: emphasis, the last maths, a value at the very end after "is", "there are 3 ways",
the number that repeats the result just computed, the only number of the main clause. Nothing is guessed beyond them.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.spelling import words

#: Maths in delimiters; inline maths stands within one line, and a dollar before a digit may be money instead.
MATHS = re.compile(
    r"\$\$(.+?)\$\$|(?<![\\\w])\$(?![\s$])((?:[^$\n\\]|\\.)+?)(?<![\s\\])\$(?!\d)"
    r"|\\\(((?:(?!\\\)|\n).)+?)\\\)|\\\[((?:(?!\\\]).)+?)\\\]",
    re.DOTALL,
)
_EMPHASIS = re.compile(r"\*\*(?!\s)((?:(?!\*\*).)+?)(?<!\s)\*\*|\\textbf\{([^{}]+)\}")
_NUMBER_TEXT = r"-?(?:\\?\$\s?)?-?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?(?:\s?\\?%)?"
_NUMBER = re.compile(rf"(?<![\w.,])(?<!\d[-–]){_NUMBER_TEXT}(?![\w]|[-–][A-Za-z])")
_PROSE = re.compile(r"(?<![\\{A-Za-z])[A-Za-z]{3,}(?![}A-Za-z])")
_HEDGES = r"(?:(?:only|exactly|approximately|about|now|still|just|thus|therefore|the|a total of|equal to|:)\s+)*"
_COPULA = rf"(?:\b(?:is|are|was|were|be|equals?|becomes?|it's|(?:in|de)creases? (?:by|to))|=)\s+{_HEDGES}"
_FINAL_VALUE = re.compile(
    rf"{_COPULA}({_NUMBER_TEXT})(?:(?:st|nd|rd|th)?(?:\s+[A-Za-z°²³/%\\$€]+){{0,2}}|\s?[A-Za-z€£°]+[²³]?)\s*[.!]?$"
)
_EXISTS = re.compile(
    rf"\bthere (?:is|are|were|was|will be|would be)\s+{_HEDGES}({_NUMBER_TEXT})|\btotal of\s+{_HEDGES}({_NUMBER_TEXT})",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"(?:=|≈|\\approx|\\leq?\b|\\geq?\b)\s*(?:\\?\$)?\s*(?:\\\()?\s*(-?\d[\d,]*(?:\.\d+)?)"
    r"(?![\d/]*\s*(?:[-+*/=×]|\\times|\\cdot|\\div))"
)
_LEADING_CLAUSE = re.compile(
    r"^(?:(?:so|therefore|thus|hence|finally|then|(?:in )?conclusion)\b[,:]?\s*)?"
    r"(?:if|after|when|since|given|with|by|for|because|in|at|over|to|from|during)\b[^,]*,\s*",
    re.IGNORECASE,
)
_COMPARISON = re.compile(
    r"\s(?:compared|than|versus|instead of|rather than|as opposed)\b.*$", re.IGNORECASE | re.DOTALL
)
_TRAILING_CLAUSE = re.compile(
    r"\s(?:after|while|if|when|because|since|given|so that|in order|by \w+ing|before|until|once|without|within|"
    r"including|who|which|where|even|assuming|considering|over|during|from|among|as|"
    r"to (?:ensure|save|reach|afford|get|have|make|buy|pay|cover|complete|finish))\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_NAMED = re.compile(r"\b(?:is|are|was|were|be)\s+(?:an?\s+|the\s+)?((?:[A-Z][a-z]+)(?=\b)|[a-z]+(?=[.!]?$))")
_NO_NAMES = words(
    "not correct true false possible impossible required needed given shown satisfied valid done follows solution "
    "answer result"
)
#: How much of the text before a statement is searched for the result it repeats.
_CONTEXT = 2000


def stated_value(sentence: str, before: str = "") -> str | None:
    """The value that ``sentence`` gives, or None. ``before`` is the text that led to it.

    >>> stated_value("If she stays for 30 years, her pension will be **$52,500**.")
    '$52,500'
    >>> stated_value("The fastest student is Evelyn.")
    'Evelyn'
    """
    sentence = sentence.strip()
    emphasised = [v for m in _EMPHASIS.finditer(sentence) if (v := _emphasised(m)) is not None]
    if emphasised:
        return emphasised[-1]
    maths = [m for m in MATHS.finditer(sentence) if not is_money(m)]
    after_maths = sentence[maths[-1].end() :] if maths else sentence
    end = _FINAL_VALUE.search(after_maths)
    if end is not None:
        return end[1]
    exists = _EXISTS.search(sentence)
    if exists is not None:
        return exists[1] or exists[2]
    named = _NAMED.search(after_maths)
    if named is not None and _is_name(named[1], sentence) and (not maths or not after_maths[: named.start()].strip()):
        return named[1]
    if maths:
        return last_side(inner_maths(maths[-1]))
    return _from_numbers(sentence, before)


def _is_name(word: str, sentence: str) -> bool:
    """Whether what follows "is" names something: a proper noun, or a noun in a sentence without numbers."""
    return word.lower() not in _NO_NAMES and (word[0].isupper() or _NUMBER.search(MATHS.sub("", sentence)) is None)


def last_side(equation: str) -> str:
    """The last side of a chain of equations."""
    return re.split(r"(?<![<>\\!])=(?!=)", equation)[-1].strip(" .")


def inner_maths(match: re.Match[str]) -> str:
    """What stands between the delimiters of a match of ``MATHS``."""
    return next(g for g in match.groups() if g is not None).strip()


def plain(text: str) -> str:
    """``text`` without emphasis and final stop."""
    return text.strip().strip("*").strip().rstrip(".").strip()


def _emphasised(match: re.Match[str]) -> str | None:
    """The value inside emphasis; None for headings and for emphasis on plain words."""
    text = plain(match[1] or match[2])
    if text.endswith(":") or match.string[match.end() :].lstrip().startswith(":"):
        return None
    maths = MATHS.search(text)
    if maths is not None and not is_money(maths):
        return last_side(inner_maths(maths))
    number = _NUMBER.search(text)
    if number is not None:
        return number[0]
    return text if len(text.split()) <= 2 else None


def is_money(match: re.Match[str]) -> bool:
    """Whether a pair of dollar signs is two sums of money with words between."""
    return match[2] is not None and match[2][0].isdigit() and _PROSE.search(match[2]) is not None


def _from_numbers(sentence: str, before: str) -> str | None:
    numbers = [m[0] for m in _NUMBER.finditer(sentence)]
    if len({_bare(n) for n in numbers}) == 1:
        return numbers[0]
    for cut in (_COMPARISON, _TRAILING_CLAUSE):
        sentence = cut.sub("", _LEADING_CLAUSE.sub("", sentence))
        main = [m[0] for m in _NUMBER.finditer(sentence)]
        if len({_bare(n) for n in main}) == 1:
            return main[0]
    results = _RESULT.findall(before[-_CONTEXT:])
    if results and _bare(results[-1]) in {_bare(n) for n in numbers}:
        return str(results[-1])
    return None


def _bare(number: str) -> str:
    number = re.sub(r"[,$\\\s%]", "", number)
    return re.sub(r"\.0+$", "", number)
