"""The option of a multiple-choice problem that a response states in words: "Therefore, I would choose (D)."

The last line is read first, then what follows the last "the answer is", the last sentence, and a letter alone in the
first line. Where none of them names an option, the response is read as any other.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.choices import DENIAL, MAX_CHARS, flat, leading_choice, read_choice

_DECLARED = re.compile(
    r"\b(?:final|correct|right|best|closest|the|my|our)\s+(?:answer|option|choice|alternative)[\s*_]*"
    r"(?:is|:|=|would be|should be|must be)"
    r"|\b(?:answer|antwort|réponse|respuesta|risposta|resposta|ответ)[\s*_]*[:：]"
    r"|(?:答案|故选|答え|정답)\s*(?:是|为|は)?[:：]?",
    re.IGNORECASE,
)
_DECLARED_HINTS = (
    "answer", "option", "choice", "alternative", "antwort", "réponse", "respuesta", "risposta", "resposta", "ответ",
    "答", "故选", "정답",
)  # fmt: skip
# "Answer:" in a language that has no entry above: one or a few words and a colon.
_FOREIGN_LABEL = re.compile(r"[*_#\s]*(?P<label>[^:：ঃ\d=不非错]{2,40})[:：ঃ]")
_LABEL = re.compile(r"^[ \t*_-]*[(\[]?([A-Ja-j])[)\].:](?=[\s*_])", re.MULTILINE)
_NAMED = re.compile(
    r"\b(?:option|choice|alternative)\s+[*_$(]*(?P<named>[A-J])(?![\w^'])"
    r"|\b(?:choose|chose|pick|select|go(?:ing)?\s+with|opt\s+for)\s+(?:option|choice|answer)?\s*[*_$(]*(?P<chosen>[A-J])(?![\w^'])"
    r"|\b(?:[Ss]o|[Hh]ence|[Tt]hus|[Tt]herefore|elimination|leaves|leaving|matches|corresponds\s+to|get|[Ii]t(?:['’]s|\s+is)"
    r"|(?:option|choice|answer|one|alternative)\s+(?:left\s+)?is)\s*,?\s*[*_$(]*"
    r"(?P<left>[A-J])[)*_$]*[.!]?$"
    r"|(?<![\w\\])(?P<correct>[A-J])[)*_$]*\s+(?:is|must\s+be)\s+(?:therefore\s+)?(?:the\s+)?(?:only\s+)?"
    r"(?:correct|(?:right|best)\s+(?:answer|option|choice)|answer\b|option\b|choice\b)",
)
_NAMED_HINTS = (
    "option", "choice", "alternative", "choose", "chose", "pick", "select", "go", "opt", "correct", "answer", "is the",
    "so ", "so,", "hence", "thus", "therefore", "it's", "it’s", "it is", "one ",
    "eliminat", "leav", "match", "correspond",
)  # fmt: skip
_NEGATED = re.compile(r"\b(?:not|never|neither|or|but|except|rather\s+than|instead)\b|n['’]t\b", re.IGNORECASE)
_MAX_HEAD = 80
_SENTENCE_START = re.compile(r"(?<=[.!?*)\]$])\s+(?=[A-Z\\$*(])")


def stated_choice(text: str) -> str | None:
    """How ``text`` names an option, from the letter on; None where it names none.

    >>> stated_choice("The best answer is C) 12 m/s"), stated_choice("Hence option B fits the data best.")
    ('C) 12 m/s', 'B')
    >>> stated_choice("Option A is wrong."), stated_choice("Let A be the set. There are 5 elements.")
    (None, None)
    """
    lines = [line.strip() for line in text.rstrip().rsplit("\n", 12)[-12:] if line.strip()]
    if not lines:
        return None
    return _last_line(text, lines) or _declared(text) or _named(lines[-1]) or _first_line(text.lstrip())


def _last_line(text: str, lines: list[str]) -> str | None:
    """The option in the last line, unless the lines list several options."""
    if len(lines[-1]) > MAX_CHARS:
        return None
    foreign = None if lines[-1].isascii() else _FOREIGN_LABEL.match(lines[-1])
    if foreign is not None and not foreign["label"].isascii():
        return leading_choice(lines[-1][foreign.end() :], is_announced=True)
    choice = leading_choice(lines[-1])
    label = _LABEL.match(lines[-1]) if choice is not None else None
    if label is None:
        return choice
    # "(c)" after a line "(b)", and the first of its letter, is the next part or option of a list.
    others = {match[1].upper() for match in _LABEL.finditer(text[: text.rindex(lines[-1])])}
    letter = label[1].upper()
    return choice if letter in others or chr(ord(letter) - 1) not in others else None


def _declared(text: str) -> str | None:
    if not any(map(text.lower().__contains__, _DECLARED_HINTS)):
        return None
    declarations = list(_DECLARED.finditer(text))
    if not declarations:
        return None
    rest = text[declarations[-1].end() :].lstrip(" \t\r\n*_")
    return leading_choice(rest.partition("\n")[0][:MAX_CHARS], is_announced=True)


def _named(line: str) -> str | None:
    """The only option that the last sentence chooses, or names without denying it."""
    if not any(map(line.lower().__contains__, _NAMED_HINTS)):
        return None
    sentence = _SENTENCE_START.split(flat(line[-MAX_CHARS:]))[-1]
    named = [(match.lastgroup or "", match[match.lastgroup or 0]) for match in _NAMED.finditer(sentence)]
    is_denied = _NEGATED.search(sentence) or (DENIAL.search(sentence) and any(how == "named" for how, _ in named))
    letters = {letter for _, letter in named}
    return letters.pop() if len(letters) == 1 and not is_denied else None


def _first_line(text: str) -> str | None:
    """The letter that is all of the first line, before an explanation."""
    line, _, rest = text.partition("\n")
    choice = leading_choice(line) if len(line) <= _MAX_HEAD else None
    if choice is None or (named := read_choice(choice)) is None or named.text:
        return None
    return choice if read_choice(rest.lstrip().partition("\n")[0]) is None else None
