"""Multiple choice: which options an answer names, by letter, and the text of the option where it is written too.

:func:`read_choice` reads a whole answer, :func:`leading_choice` the part of a sentence that names an option. Both walk
over the text once: words that announce an option ("so the correct answer is"), the letter, then what stands after it.
Whatever else stands there makes the text no choice: ``A = 5``, ``A triangle``, ``A or B``, ``not A``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from bonbench.verifiers.reading.spelling import words

#: Longer texts name no option; a sentence that explains an option is shorter.
MAX_CHARS = 600


@dataclass(frozen=True, slots=True)
class Choice:
    """The letters of the options that an answer names, as capitals, and the text of the option ("" without one)."""

    letters: frozenset[str]
    text: str = ""


# -- spelling --------------------------------------------------------------------------------------------------

_HAS_LETTER = re.compile(r"(?<![A-Za-z])[A-Ja-j](?![A-Za-z])")
_SMALL = re.compile(r"(?<![A-Za-z])[a-dfghj](?![A-Za-z])")
_FORMAT = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|textrm|textsf|textnormal|mathbf|mathrm|mathsf|mathit|mathtt|operatorname|mbox|"
    r"underline|emph|boldsymbol|bm|bf|rm)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_LAYOUT = re.compile(r"(?<!\\)\\[ ,;:!]|\\q?quad(?![A-Za-z])|\\(?:left|right|displaystyle|bf|rm)(?![A-Za-z])|~|\*\*|__")
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]")
_HAN = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_BESIDE_HAN = re.compile(rf"(?<=[{_HAN}])(?=[A-Za-z(\[])|(?<=[A-Ja-j)\]])(?=[{_HAN}])")
# The letters of options in Arabic and in Bengali, where they stand alone.
_FOREIGN_LETTERS = dict(zip("أبجدঅবডঢ", "ABCDABCD", strict=True))
_FOREIGN = re.compile("(?<![\u0600-\u06ff])[أبجد](?![\u0600-\u06ff])|(?<![\u0980-\u09ff])[অবডঢ](?![\u0980-\u09ff])")
_ENDS = ' \t\r\n.。*_`"“”‘’«»#'


_BRACKETS = str.maketrans("【】〔〕", "[][]")


def flat(text: str) -> str:
    """``text`` without fonts, boxes, markdown and spacing commands; dollars stay."""
    if not text.isascii():
        text = _FOREIGN.sub(lambda letter: _FOREIGN_LETTERS[letter[0]], text)
        text = _BESIDE_HAN.sub(" ", unicodedata.normalize("NFKC", text))
    for _ in range(4):
        text, replaced = _FORMAT.subn(r"\1", text)
        if not replaced:
            break
    return _DELIMITERS.sub("$", _LAYOUT.sub(" ", text)).translate(_BRACKETS).strip()


# -- the words before the letter -------------------------------------------------------------------------------

# These announce an option also where the letter is small or words follow it.
_ANNOUNCING = words(
    "answer answers ans option options choice choices letter letters alternative alternatives choose chose pick select "
    "selected selecting choosing picking antwort lösung réponse reponse respuesta risposta resposta odpowiedź ответ "
    "вариант jawaban cevap jibu idahun"
)
_PASSED_OVER = _ANNOUNCING | words(
    "the my our your final correct right best true appropriate suitable likely probably definitely clearly indeed "
    "most only so thus hence therefore then "
    "finally overall conclusion in and but is are be was would should must seems appears has to it solution "
    "that this i i'd i'll "
    "we'd we'll we will go going with say think believe conclude both das die der richtige korrekte ist la le el il "
    "est es è é bonne correcta correcte corretta правильный"
)
_AFTER_I = words("would will choose think pick select believe say go chose conclude am")
_HAN_DENIAL = re.compile("[不非错錯除没]")
_WORD = re.compile(r"[^\W\d_]+(?:['’](?:d|ll))?")
_JUNK = re.compile(r"(?:[\s$*_`\"“”‘’«»:=,{#→∴•]|[.>-](?=\s))*")


@dataclass(slots=True)
class _Head:
    """A letter, where it starts and ends with its brackets, and how it is written."""

    start: int
    end: int
    letter: str
    is_marked: bool  # in brackets, in quotes, or before a closing bracket
    is_announced: bool


_LETTER = re.compile(
    r"[(\[<{]{1,2}\s*[*$\"'“‘`]*(?P<ringed>[A-Ja-j])[*$\"'”’`]*\s*[)\]>}]{1,2}"
    r"|[\"'“‘`](?P<quoted>[A-J])[\"'”’`]"
    r"|(?P<half>[A-Ja-j])[*$]*\)"
    r"|(?P<bare>[A-Ja-j])(?![\w'’^(\[{\\])"
)


def _head(text: str, is_announced: bool) -> _Head | None:
    """The first option letter, where only words that announce it stand before."""
    position = 0
    while True:
        junk = _JUNK.match(text, position)
        assert junk is not None
        position = junk.end()
        word = _WORD.match(text, position)
        letter = _LETTER.match(text, position)
        if letter is not None and not _is_pronoun(letter, text):
            bare = letter["bare"]
            if bare is not None and bare.islower() and not is_announced:
                return None
            return _Head(position, letter.end(), _name(letter), bare is None, is_announced)
        if word is None:
            return None
        if re.match(f"[{_HAN}]", word[0]):
            if _HAN_DENIAL.search(word[0]) or len(word[0]) > 12:
                return None
            is_announced = True
        elif word[0].lower().replace("’", "'") in _PASSED_OVER:
            is_announced = is_announced or word[0].lower() in _ANNOUNCING
        else:
            return None
        position = word.end()


def _name(letter: re.Match[str]) -> str:
    return letter[letter.lastgroup or 0].upper()


def _is_pronoun(letter: re.Match[str], text: str) -> bool:
    if letter["bare"] not in ("I", "i"):
        return False
    word = _WORD.match(text, letter.end() + 1)
    return word is not None and word[0].lower() in _AFTER_I


# -- what stands after the letter ------------------------------------------------------------------------------

_AND = re.compile(
    r"[\"'”’*$]*\s*(?:[,;、，]\s*(?:and\s+)?|\band\b|&|和|及)\s*(?:(?:options?|choices?)\s+)?[*$]*", re.IGNORECASE
)
_LIST_END = re.compile(
    r"\s*(?:[\])}'\"*$]*|only|都?正确"
    r"|(?:are|is)\b(?!\s+(?:both\s+|all\s+)?(?:wrong|incorrect|false|not|eliminated|excluded|out)\b).*)\s*"
)
_OPERATOR = re.compile(
    r"\s*(?:[+*/^_=<>|!&]|\\(?:cup|cap|times|cdot|to|in|le|leq|ge|geq|lt|gt|ne|neq|setminus|subset|subseteq|equiv|"
    r"approx|sim|div|pm|mp|land|lor|wedge|vee|perp|parallel|rightarrow|Rightarrow|implies|circ)(?![A-Za-z]))"
)
DENIAL = re.compile(
    r"\b(?:not|never|neither|incorrect|wrong|false|eliminat\w*|exclud\w*|except|but|cannot|rul(?:e|es|ed|ing)\s+out)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_VERB = re.compile(r"\s+(?:is|was|must be|would be|should be|seems|appears|fits|matches|gives)\b", re.IGNORECASE)
_AFFIRMED = re.compile(
    r"\s+(?:is|was|must be|would be|should be|seems|appears)\s+(?:\w+\s+){0,3}?(?:correct|right|true|answer|best|one|"
    r"choice|option)\b",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\s*,?\s*\b(?:because|since|as|which|where|due|based|given|by|for|so|from|fits|matches|only|instead|rather|not)\b"
    r"|\s*(?:选项|项|です|是?正确|是?对的?)|\s*,\s*(?:but\b|i\.e\.|that is\b)",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"[\s,;(]*(?:or|/|\||\\lor|oder|ou|或)(?![A-Za-z])", re.IGNORECASE)
_SEPARATOR = re.compile(
    r"\s*[:：、]\s*|\s*\.(?=[\s\d$\\(])\s*|\s*[–—]\s*|\s+-\s+(?=[A-Za-z]{2})|\s*,\s+(?=[A-Za-z]{2})"
)
_OTHER_LABEL = re.compile(
    r"(?:^|[\s,;])(?:[(\[][A-Ja-j][)\]]|[A-Ja-j]\)|[A-J][:.](?=\s))(?=\s|$|[\d$\\])|^[A-Ja-j][\s.)]*$|\bor\s+[A-J]\b"
)
_REJECTED = re.compile(r"^not\s+\(?[A-J]\)?\s*,?\s*(?:but|so|hence|therefore)\s+(?:rather\s+)?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?][*_$]*\s+(?=[A-Z])")
_SENTENCE = re.compile(r"(?:This|The|It|Because|Since|As|So|Therefore|Hence|Explanation|Reason\w*|Here|We|I|That)\b")


@lru_cache(maxsize=65536)
def read_choice(text: str) -> Choice | None:
    r"""The options that ``text``, a whole answer, names; None where it is something else.

    >>> read_choice(r"\textbf{(C)}\ 12"), read_choice("So the answer is b.")
    (Choice(letters=frozenset({'C'}), text='12'), Choice(letters=frozenset({'B'}), text=''))
    >>> sorted(read_choice("Options A and C").letters)
    ['A', 'C']
    >>> [read_choice(text) for text in ("A = 5", "A triangle", "A or B", "not A", "f(A)", "x")]
    [None, None, None, None, None, None]
    """
    read = _read(text, is_announced=False)
    return None if read is None else read[0]


def leading_choice(text: str, is_announced: bool = False) -> str | None:
    """The part of ``text`` that names an option, from the letter on, where the words before only announce it.

    ``is_announced``: "the answer is" stands before ``text``.

    >>> leading_choice("Therefore, I would choose **D) 12 m/s**."), leading_choice("B because a car moves")
    ('D) 12 m/s', 'B')
    """
    read = _read(text, is_announced)
    return None if read is None else read[1]


def glued_letters(text: str) -> frozenset[str]:
    """The letters of ``ACD``, several options in the order of the alphabet without anything between; else none."""
    letters = text.strip(_ENDS)
    is_glued = 2 <= len(letters) <= 10 and list(letters) == sorted(set(letters)) and set(letters) <= set("ABCDEFGHIJ")
    return frozenset(letters) if is_glued else frozenset()


def capital(text: str) -> str | None:
    """The capital of a small letter that stands alone and could name an option; e and i are numbers."""
    letter = flat(text).strip(_ENDS + "$") if len(text) < 40 and _SMALL.search(text) is not None else ""
    return letter.upper() if len(letter) == 1 and letter in "abcdfghj" else None


def _read(text: str, is_announced: bool) -> tuple[Choice, str] | None:
    """The choice, and the text from its letter to its end."""
    if len(text) > MAX_CHARS or (text.isascii() and _HAS_LETTER.search(text) is None):
        return None
    line, _, later = flat(text).partition("\n")
    if _OTHER_LABEL.search(later):
        return None
    line = _REJECTED.sub("", line.strip(_ENDS))
    if line[:2] in ("['", '["') and line.endswith("]"):
        line = line[1:-1]
    elif line.startswith(("\\{", "{")) and line.endswith("}"):
        line = line.removeprefix("\\")[1:].removesuffix("}").removesuffix("\\")
    head = _head(line, is_announced)
    if head is None:
        return _at_the_end(line)
    several = _several(line, head)
    if several is not None:
        return several
    option = _option_text(line[head.end :], head)
    if option is None:
        return None
    end = line.index(option, head.end) + len(option) if option else head.end
    return Choice(frozenset(head.letter), option), line[head.start : end]


def _several(text: str, head: _Head) -> tuple[Choice, str] | None:
    """Two or more letters with commas or "and" between, and nothing after them."""
    letters, position = [head.letter], head.end
    while (link := _AND.match(text, position)) is not None:
        letter = _LETTER.match(text, link.end())
        if letter is None:
            return None
        letters.append(_name(letter))
        position = letter.end()
    if len(letters) < 2 or len(set(letters)) < len(letters) or _LIST_END.fullmatch(text, position) is None:
        return None
    return Choice(frozenset(letters)), text[head.start : position]


def _option_text(rest: str, head: _Head) -> str | None:
    """The option's text after its letter, "" without one; None where what follows makes it no choice."""
    rest = rest.lstrip('*_`$"”’')
    if not rest.strip(_ENDS + "$}'\\" + "!" * head.is_announced):
        return ""
    if _OPERATOR.match(rest) or _ALTERNATIVE.match(rest):
        return None
    if (verb := _VERB.match(rest)) is not None:
        is_affirmed = head.is_announced or _AFFIRMED.match(rest) is not None
        return "" if is_affirmed and not DENIAL.search(rest[: verb.end() + 30]) else None
    if _REMARK.match(rest):
        return "" if _OTHER_LABEL.search(rest[:12]) is None else None
    text = _after_separator(rest, head)
    if text is None:
        return None
    text = _SENTENCE_END.split(text, maxsplit=1)[0].strip(_ENDS)
    if text.count("$") % 2:  # the other dollar stands before the letter
        text = text.removesuffix("$").rstrip()
    if _OTHER_LABEL.search(text) or _ALTERNATIVE.match(text):
        return None
    if DENIAL.fullmatch(text) or (re.match(r"(?:is|isn't|was)\b", text) and DENIAL.search(text)):
        return None
    return "" if _SENTENCE.match(text) and len(text.split()) > 3 else text


def _after_separator(rest: str, head: _Head) -> str | None:
    separator = _SEPARATOR.match(rest)
    if separator is not None:
        return rest[separator.end() :]
    if head.is_marked:
        return rest if rest[:1].isspace() or rest[:1].isdigit() or rest[:1] in "-\\$" else None
    return rest if re.fullmatch(r"\s+\([^()]*\)\s*", rest) else None


_AT_THE_END = re.compile(
    r"(?P<text>.*?\S)[\s,;(–—→-]+(?:(?:which|that|this|it)\s+(?:is|corresponds to|matches|gives)\s+)?"
    r"(?:the\s+)?(?:answer\s+)?(?:option|choice|answer)\s+\(?(?P<letter>[A-J])\)*"
)


def _at_the_end(text: str) -> tuple[Choice, str] | None:
    """``12 m/s (option C)``, ``12 m/s, which is choice C``."""
    match = _AT_THE_END.fullmatch(text)
    if match is None or DENIAL.search(match["text"]) or _OTHER_LABEL.search(match["text"]):
        return None
    return Choice(frozenset(match["letter"]), match["text"]), text
