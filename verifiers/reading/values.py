r"""Texts that are a value and little else: a whole response, a line, or what follows "the answer is".

The values at the head of a text are the answer where only a unit or a remark follows them.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.clauses import first_part, without_denied
from bonbench.verifiers.reading.formulas import MATHS, delimited, inner_maths, last_side
from bonbench.verifiers.reading.heads import NUMBER_TEXT, leading_values
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.statements import MAX_SENTENCE, plain, stated_value

# After a value: the end, or what only remarks on it.
_REMARK = re.compile(
    r"\s*(?:$|[.!?;](?:\s|$)|\n|\s[-–—]+\s|\((?!\s*\\?b?mod\b)|[\u3000-\u9fff\uac00-\ud7af]|,\s*(?![\d\\(])|(?:because|since|as|for|so|where|when|if|which|that|after|by|"
    r"using|with|at|based|hence|due|from|according|rounded|per|in|on|to\s+the\s+nearest|i\.e|e\.g|respectively)\b)",
    re.IGNORECASE,
)
# A word after a number that makes another value of it.
_CHANGES = re.compile(
    r"\s*[万亿億千百兆]|\s*-?\s*(?:hundred|thousand|million|billion|trillion|dozen|score|lakh|crore|percent|per\s+cent|squared|cubed|factorial|times|"
    r"plus|minus|divided|multiplied|over|mod|modulo|choose|halves|thirds|quarters?|fourths?|fifths?|sixths?|tenths?|more|less|fewer|"
    r"root|pi|degrees?|to\s+the\s+power|out\s+of|base|in\s+base|remainder|and\s+a|or\s+(?:more|less|fewer|greater|higher|above|below)|and\s+(?:above|up|more|over|below))\b",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s?(?:(?!(?:fails?|works?|does|holds?|because|since|when|if|where|or|and|but|is|are|not|for|as|so|by|which)\b)[A-Za-z°²³€£µ]+(?:\^\{?-?[1-4]\}?)?(?:[/-][A-Za-z²³]+)?"
    r"(?:\s+|(?=[^A-Za-z]|$))){1,4}"
)
_COMPARED = re.compile(
    r"(?:(?:strictly|no|not|any|all|every)\s+)*(?:(?:more|less|greater|fewer|larger|smaller|bigger|higher|lower)\s+than|at\s+(?:least|most)|"
    r"up\s+to|over|under|above|below|between|almost|nearly|(?:a\s+)?multiples?\s+of|divisible|twice|half|double|triple|the\s+(?:square|cube)|"
    r"(?:the\s+)?negative|minus|plus|not|all|any|every|none|never)\b",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"(yes|no|true|false|none|never|always|sometimes)\b(?=\s*(?:[.,;:!(—–-]|$|because|since|as\b))", re.IGNORECASE
)
_CHOICE = re.compile(r"(?:\([A-Z]\)|[A-J](?=[).:,\s]|$))")
_ITEM = re.compile(
    r"[ \t]*(?:[-*•+]|\d{1,2}[.)]|\(?(?:[a-h]|i{1,3}|iv|v)[.)]|(?:[Cc]ase|[Pp]art)[ \t]+\(?[a-h\d]\)?[.:])[ \t]+(\S.*)"
)
_SENTENCE_END = re.compile(
    r"\n\s*\n|(?<=[\w)}$\]*%'’\"”`π°!²³])\.(?=\s|$)(?<!\bvs\.)(?<![ap]\.m\.)|[。！？]|(?<=[\d)$*])[!?](?=\s|$)"
)
_FACTORIAL = re.compile(r"\d+!{1,2}")
_NUMBER_LINE = re.compile(rf"\$?(?:[A-Za-z](?:_?\d|[₀-₉])?\s*=\s*)?{NUMBER_TEXT}\$?")
_FENCE = re.compile(r"\s*```[a-z]*[ \t]*\n?(.*?)\n?\s*```\s*", re.DOTALL)
_WRAPPED = re.compile(r"\s*(?:\$\$(.*)\$\$|\$([^$]*)\$|\\\[(.*)\\\]|\\\(((?:(?!\\\)).)*)\\\))\s*\.?\s*", re.DOTALL)
_WORDS = re.compile(r"[^\W\d_]+(?:[-'’ ][^\W\d_]+){0,3}")
_VOWEL = re.compile("[aeiouyáéíóúäöüàèìòù]", re.IGNORECASE)
# "3 hours and 20 minutes"
_AMOUNTS = re.compile(rf"{NUMBER_TEXT}\s*[A-Za-z]+(?:,?\s+(?:and\s+)?{NUMBER_TEXT}\s*[A-Za-z]+)+")
_PROSE_START = re.compile(r"(?!(?:sqrt|sin|cos|tan|log|ln|pi|max|min|gcd|lcm|exp|abs)\b)[A-Za-z][A-Za-z']+[ ,:;.]")
#: With these begins what is said about an answer.
_REMARKS = words(
    "correct right wrong incorrect verified confirmed consistent shown given above below as reasonable indeed"
)
_MAX_TEXT = 200
_MAX_BARE = 300
#: Words of sentences and of small talk, which no answer in a few words has.
_NO_ANSWER = words(
    "i we you he she it they this that these those there here let so is are was were be been am do does did done have "
    "has had can could cannot will would should shall may might must need please sorry okay ok wait hmm well thanks "
    "thank hello hi final answer solution result conclusion therefore thus hence step explanation proof qed sure "
    "unclear unknown nothing nice great good what how why who next check note error"
)


def declared_value(text: str, before: str = "", *, only_values: bool = False) -> str | None:
    """The value that ``text`` begins with, as it stands after "the answer is"; ``before`` led to it.

    ``only_values``: a statement that has the value further on does not count, nor do other words.

    >>> declared_value(" 7, because 3 + 4 = 7."), declared_value("**2π** cm"), declared_value(" x = 2 or x = -3.")
    ('7', '2π', 'x = 2, x = -3')
    >>> declared_value(" 5 million people")
    '5 million people'
    """
    text = text[: 2 * MAX_SENTENCE].lstrip(" \t\n*_#:=：")
    if not text:
        return None
    fence = _FENCE.match(text)
    if fence is not None:
        return fence[1].strip() or None
    maths = MATHS.match(text)
    if maths is not None and text[:2] in ("$$", "\\["):
        return last_side(inner_maths(maths))
    if (items := _listed(text.split("\n\n")[0])) is not None:
        return items
    sentence = _SENTENCE_END.split(text, maxsplit=1)[0]
    line = sentence.partition("\n")[0]
    value = _declared_in(line)
    if value is not None:
        return value
    if only_values:
        return None
    value = stated_value(sentence, before)
    if value is not None:
        return value
    line = plain(line)
    is_remark = not line or line.endswith(":") or line.split(maxsplit=1)[0].lower() in _REMARKS
    return None if is_remark or len(line) > _MAX_TEXT else line


def bare(text: str) -> str | None:
    r"""``text`` where it is nothing but an answer: a formula, a number with its unit, a list, a choice, a few words.

    >>> bare("$\\frac{3}{4}$"), bare("(2, 3)"), bare("`x > 5`"), bare("Evelyn"), bare("- 3\n- 5")
    ('\\frac{3}{4}', '(2, 3)', 'x > 5', 'Evelyn', '3, 5')
    >>> bare("I cannot solve this."), bare("Take 3 and 4.")
    (None, None)
    """
    if len(text) > _MAX_BARE:
        return None
    return _bare_value(text) or _few_words(plain(text))


def bare_value(text: str) -> str | None:
    """Like :func:`bare`, without answers in words."""
    return _bare_value(text) if len(text) <= _MAX_BARE else None


def listed_values(text: str) -> str | None:
    """The values of the list that ``text`` ends with, where its items are nothing but values."""
    lines = [line for line in text.split("\n") if line.strip()]
    start = len(lines)
    while start and _ITEM.fullmatch(lines[start - 1]):
        start -= 1
    return _listed("\n".join(lines[start:]))


def _joined(values: list[str]) -> str:
    return last_side(values[0]) if len(values) == 1 else ", ".join(values)


def _declared_in(line: str) -> str | None:
    """The value at the head of a line after "the answer is"."""
    if len(line) > MAX_SENTENCE:
        return None
    sentence, denied = without_denied(delimited(line))
    values, rest = leading_values(sentence)
    if values and not denied.intersection(values):
        if _CHANGES.match(rest):
            return plain(first_part(line))
        unit = _UNIT.match(rest)
        if _REMARK.match(rest) or (unit is not None and _REMARK.match(rest, unit.end())):
            return _joined(values)
        return None
    if denied:
        return None
    line = plain(line)
    if _CHOICE.match(line) or _COMPARED.match(line):
        return plain(first_part(line))
    verdict = _VERDICT.match(line)
    return verdict[1] if verdict is not None else None


def _bare_value(text: str) -> str | None:
    fence = _FENCE.fullmatch(text)
    if fence is not None:
        text = fence[1]
    text = text.strip().strip('*_`"').strip()
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped is not None:
        inner = next(g for g in wrapped.groups() if g is not None).strip()
        inner = last_side(inner) if "\\\\" in inner and "\\begin" not in inner else inner
        return inner if inner and "$" not in inner else None
    if "\n" in text:
        return _listed(text) or _lines(text)
    text = plain(text.lstrip("= "))
    if not text or text.endswith("?"):
        return None
    if _FACTORIAL.fullmatch(text):
        return text
    label = _CHOICE.match(text)
    if label is not None and (label.end() == len(text) or text[label.end() :].strip(" ).:") == ""):
        return text
    if _AMOUNTS.fullmatch(text) is not None:
        return text
    if _PROSE_START.match(text) is not None:
        return None
    values, rest = leading_values(delimited(text))
    if not values:
        return None
    if not rest.strip(" .!") or ((unit := _UNIT.match(rest)) is not None and unit.end() >= len(rest.rstrip(" .!"))):
        return text if len(values) == 1 else ", ".join(values) + rest.rstrip(" .!")
    return None


def _listed(text: str) -> str | None:
    """The values of the lines of ``text``, where every line is an item of a list and nothing but a value."""
    lines = [line for line in text.split("\n") if line.strip()]
    items = [_ITEM.fullmatch(line) for line in lines]
    if len(lines) < 2:
        return None
    values = [_bare_value(item[1]) if item is not None else None for item in items]
    return None if None in values else ", ".join(v for v in values if v is not None)


def _lines(text: str) -> str | None:
    """The values of the lines of ``text``, where each line is a number or gives one to a letter."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not all(_NUMBER_LINE.fullmatch(line) for line in lines):
        return None
    return ", ".join(dict.fromkeys(lines))


def _few_words(text: str) -> str | None:
    wrapped = re.fullmatch(r"\\text(?:bf|it|rm)?\{(.*)\}", text)
    spoken = wrapped[1].strip() if wrapped is not None else text
    if _WORDS.fullmatch(spoken) is None:
        return None
    if spoken[:3].lower() == "no ":
        return text
    if _NO_ANSWER.intersection(re.split(r"[- ]", spoken.lower())):
        return None
    return text if _VOWEL.search(spoken) or not spoken.isascii() else None
