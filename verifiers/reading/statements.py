"""The value that a statement in words gives, as in "Therefore, she pays **$52,500** after 30 years."

Cues are tried from the surest on: emphasis, the last maths, a value at the very end after "is", "there are 3 ways",
the number that repeats the result just computed, the only number of the main clause. Nothing is guessed beyond them.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.clauses import main_clause, without_denied, without_leading
from bonbench.verifiers.reading.formulas import MATHS, delimited, inner_maths, is_money, last_side
from bonbench.verifiers.reading.heads import NUMBER_TEXT, leading_values
from bonbench.verifiers.reading.matches import last_match
from bonbench.verifiers.reading.spelling import words

_EMPHASIS = re.compile(r"(?<![\d)])(?<!\b[a-z])\*\*(?!\s)((?:(?!\*\*).)+?)(?<!\s)\*\*|\\textbf\{([^{}]+)\}")
_NUMBER = re.compile(rf"(?a:(?<![\w.,])(?<!\d[-–]){NUMBER_TEXT}(?![\w万亿億千百兆]|[-–][A-Za-z\d]))")
# "of the 12" in "5 of the 12"
_OF_ALL = re.compile(rf"(?<=\d)(\s+[a-z]+)?\s+(?:out\s+)?of\s+(?:the|all|these|those|all\s+the)\s+{NUMBER_TEXT}(?!\w)")
_HEDGES = r"(?:(?:only|exactly|approximately|about|now|still|just|thus|therefore|the|a total of|equal to|:)\s+)*"
_COPULA = (
    r"(?:\b(?:is|are|was|were|be|equals?|becomes?|it's|(?:in|de)creases? (?:by|to))|=|,\s*(?:so|hence|thus|giving)"
    r"|\b(?:maximum|minimum|value|average|probability)\s+of)"
    rf"\s+{_HEDGES}"
)
_LISTING = re.compile(r"\b(?:is|are|was|were|be|equals?)\b:?|(?i:\b(?:solutions?|roots?|zeros|values))\s*:")
# "36 $cm^2$"
_UNIT_IN_MATHS = re.compile(
    r"(?<=\d)\s*(?:\$|\\\()\s*(?:\\(?:text|mathrm)\{\s*)?(?:[cdkm]?m|in|ft|units?)\}?(?:\^\{?[23]\}?)?\s*(?:\$|\\\))"
)
_UNITS_TO_END = re.compile(r"(?:\s+[A-Za-z°%\\$€]+){0,2}\s*[.!]?")
# A word after a number that makes another value of it.
_SCALE = re.compile(
    r"\s*(?:hundred|thousand|million|billion|trillion|lakh|crore|squared|cubed|factorial|"
    r"out\s+of\s+\d+|or\s+(?:more|less|fewer|greater)|and\s+(?:above|below))\b"
)
# A bound or a property, which the number alone does not say.
_QUALIFIER = re.compile(
    r"\b((?:more|less|greater|fewer|larger|smaller|higher|lower)\s+than(?:\s+or\s+equal\s+to)?|at\s+(?:least|most)|"
    r"(?:all\s+)?(?:real\s+)?(?:numbers?|integers?)\s+(?:except|excluding|other\s+than)|(?:a\s+)?multiples?\s+of|divisible\s+by|"
    r"(?:half|(?:a|one)\s+(?:third|quarter|fourth|fifth)|(?:square|cube)\s+root|square|cube|reciprocal|logarithm|log|factorial)\s+of|"
    r"nearly|almost|over|under|twice|double|triple|thrice)\s+$",
    re.IGNORECASE,
)
# What one needs at least is the answer to how much one needs.
_NEEDED = re.compile(r"\b(?:must|needs?|needed|ha(?:s|ve)\s+to|should|requires?|required|minimum)\b")
# "15 chickens and 20 rabbits"
_COORDINATED = re.compile(rf"\s+[a-z-]+(?:\s+[a-z-]+){{0,2}}?\s+and\s+({NUMBER_TEXT})\s+[a-z]")
# "Evelyn runs the fastest."
_SUPERLATIVE = re.compile(
    r"(?:^|,\s+)([A-Z][a-z]+)\s+(?:(?:would|will|can)\s+)?[a-z]+\s+the\s+(?:most|least|[a-z]+est)\b[^\d]*$"
)
_FINAL_VALUE = re.compile(
    rf"{_COPULA}({NUMBER_TEXT})(?:(?:st|nd|rd|th)?(?:\s+[A-Za-z°²³/%\\$€-]+(?:\^\{{?[1-4]\}}?)?){{0,2}}|\s?[A-Za-z€£°]+[²³]?|\s+out\s+of\s+\d+)\s*[.!]?$"
)
_EXISTS = re.compile(
    rf"\bthere (?:is|are|were|was|will be|would be)\s+{_HEDGES}({NUMBER_TEXT})|\btotal of\s+{_HEDGES}({NUMBER_TEXT})",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"(?:=|≈|\\approx|\\leq?\b|\\geq?\b)\s*(?:\\?\$)?\s*(?:\\\()?\s*(-?\d[\d,]*(?:\.\d+)?)"
    r"(?![\d/]*\s*(?:[-+*/=×]|\\times|\\cdot|\\div))"
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
# A question, or what the speaker does not know: it states no value.
_OPEN = re.compile(
    r"\?\s*$|\b(?:cannot|can['’]?t|could\s+not|couldn['’]t|unable\s+to)\s+(?:\w+\s+)?(?:determine|tell|say|decide|verify|be\s+sure)\b"
    r"|\b(?:do\s+not|don['’]t|not)\s+(?:know|sure|certain)\b|\b(?:unsure|uncertain|unclear|whether|suppose|assume|doubt|if\s+(?:the|our|my)\s+answer)\b",
    re.IGNORECASE,
)
_OPEN_HINTS = (
    "?", "cannot", "can't", "can’t", "could", "unable", "not ", "don", "uns", "unc", "whether", "ppose", "ssume",
    "doubt", "answer",
)  # fmt: skip
_NO_NAMES = words(
    "solutions answers roots not "
    "correct true false possible impossible required needed given shown satisfied valid done follows solution "
    "answer result"
)
_PART_OF = re.compile(r"\s+(?:out\s+)?of\s+(?:the\s+|all\s+)?(?:total\s+(?:of\s+)?)?")
_LIST = re.compile(r"\s*(?:[,;]|,?\s*\b(?:and|or)\b|\\(?:text|quad)\b[^,]{0,20})\s*")
#: Longer ones state nothing that could be read with certainty.
MAX_SENTENCE = 1500
#: An emphasised text of more words is a sentence.
_MAX_LABEL = 2
#: How much of the text before a statement is searched for the result it repeats.
_CONTEXT = 2000


def stated_value(sentence: str, before: str = "") -> str | None:
    """The value that ``sentence`` gives, or None. ``before`` is the text that led to it.

    >>> stated_value("If she stays for 30 years, her pension will be **$52,500**.")
    '$52,500'
    >>> stated_value("The fastest student is Evelyn.")
    'Evelyn'
    """
    if len(sentence) > MAX_SENTENCE:
        return None
    if any(map(sentence.__contains__, _OPEN_HINTS)) and _OPEN.search(sentence) is not None:
        return None
    sentence, denied = without_denied(delimited(_UNIT_IN_MATHS.sub("", sentence.strip())))
    clause = main_clause(sentence)
    value = None
    for part in dict.fromkeys((clause, sentence)):
        value = value or _from_cues(part) or _from_numbers(part, before)
    return None if value in denied else value


def _from_cues(sentence: str) -> str | None:
    emphasised = _last_emphasised(sentence)
    if emphasised is not None:
        return emphasised
    if (listed := _listed(sentence)) is not None:
        return listed
    maths = [m for m in MATHS.finditer(sentence) if not is_money(m)]
    after_maths = sentence[maths[-1].end() :] if maths else sentence
    end = _FINAL_VALUE.search(after_maths)
    if end is not None:
        return _scaled(end, 1)
    exists = _EXISTS.search(sentence)
    if exists is not None and not any(m.start() < exists.end() < m.end() - 1 for m in maths):
        return _counted(exists, 1 if exists[1] else 2)
    named = _NAMED.search(after_maths)
    if named is not None and _is_name(named[1], sentence) and (not maths or not after_maths[: named.start()].strip()):
        return named[1]
    superlative = _SUPERLATIVE.search(sentence)
    if superlative is not None and superlative[1].lower() not in _NO_NAMES:
        return superlative[1]
    return _last_listed(sentence, maths) if maths else None


def _listed(sentence: str) -> str | None:
    """The values at the end of "the roots are 2 and -3"."""
    verb = last_match(_LISTING, sentence)
    if verb is None:
        return None
    values, rest = leading_values(sentence[verb.end() :])
    if len(values) > 1 and _UNITS_TO_END.fullmatch(rest):
        return ", ".join(values)
    return values[0] if len(values) == 1 and not rest.strip(" .!") else None


def _scaled(match: re.Match[str], group: int) -> str:
    """The number in ``group``, with the words that make it another value ("at least 5 million")."""
    scale = _SCALE.match(match.string, match.end(group))
    number = match[group] + (scale[0] if scale is not None else "")
    before = match.string[: match.start(group)]
    qualifier = _QUALIFIER.search(before)
    if qualifier is None or (qualifier[1].lower() == "at least" and _NEEDED.search(before) is not None):
        return number
    return f"{qualifier[1]} {number}"


def _counted(match: re.Match[str], group: int) -> str:
    """The number in ``group``, with the number of other things counted beside it."""
    other = _COORDINATED.match(match.string, match.end(group))
    return f"{match[group]}, {other[1]}" if other is not None else _scaled(match, group)


def _last_emphasised(sentence: str) -> str | None:
    """The last emphasised values; of "**5** of the **12** balls", the part."""
    values: list[str] = []
    previous = None
    for match in _EMPHASIS.finditer(sentence):
        value = _emphasised(match)
        if value is None:
            continue
        between = sentence[previous.end() : match.start()] if previous is not None else ""
        if previous is None or _PART_OF.fullmatch(between) is None:
            values = [*(values if previous is not None and _LIST.fullmatch(between) else []), value]
        previous = match
    return ", ".join(values) if values else None


def _last_listed(sentence: str, maths: list[re.Match[str]]) -> str:
    """The last formula, with those that stand before it in one list."""
    sides = [last_side(inner_maths(maths[-1]))]
    formulas = [inner_maths(maths[-1])]
    for match, after in zip(maths[-2::-1], maths[:0:-1], strict=True):
        if _LIST.fullmatch(sentence[match.end() : after.start()]) is None:
            break
        formulas.insert(0, inner_maths(match))
        sides.insert(0, last_side(formulas[0]))
    return sides[0] if len(sides) == 1 else ", ".join(formulas)


def _is_name(word: str, sentence: str) -> bool:
    """Whether what follows "is" names something: a proper noun, or a noun in a sentence without numbers."""
    return word.lower() not in _NO_NAMES and (word[0].isupper() or _NUMBER.search(MATHS.sub("", sentence)) is None)


def plain(text: str) -> str:
    """``text`` without emphasis and final stop."""
    return text.strip().strip("*").strip().rstrip(".").strip()


def _emphasised(match: re.Match[str]) -> str | None:
    """The value inside emphasis; None for headings and for emphasis on plain words."""
    text = plain(match[1] or match[2])
    if text.endswith(":") or match.string[match.end() :].lstrip().startswith(":"):
        return None
    if len(text.split()) > _MAX_LABEL and _NUMBER.match(text) is None:
        return stated_value(text)
    maths = [m for m in MATHS.finditer(text) if not is_money(m)]
    if maths:
        return _last_listed(text, maths)
    numbers = list(_NUMBER.finditer(text))
    if numbers:
        distinct = {_bare(n[0]) for n in numbers}
        return _scaled(numbers[0], 0) if len(distinct) == 1 or numbers[0].start() else text
    return text if len(text.split()) <= _MAX_LABEL else None


def _from_numbers(sentence: str, before: str) -> str | None:
    numbers = list(_NUMBER.finditer(sentence))
    if len({_bare(n[0]) for n in numbers}) == 1:
        return _scaled(numbers[0], 0)
    for cut in (_OF_ALL, _COMPARISON, _TRAILING_CLAUSE):
        sentence = cut.sub("", without_leading(sentence))
        main = list(_NUMBER.finditer(sentence))
        if len({_bare(n[0]) for n in main}) == 1:
            return _scaled(main[0], 0)
    results = _RESULT.findall(before[-_CONTEXT:])
    if results and _bare(results[-1]) in {_bare(n[0]) for n in numbers}:
        return str(results[-1])
    return None


def _bare(number: str) -> str:
    number = re.sub(r"[,$\\\s%]", "", number)
    return re.sub(r"\.0+$", "", number)
