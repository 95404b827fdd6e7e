"""From the text of an answer to tokens: the one place that knows how LaTeX and plain maths are spelled.

Spelling variants that mean the same (``\\dfrac``, ``\\left(``, ``²``, ``\\leqslant``, ``<=``, thin spaces, thousands
separators, ``\\text{}`` or bare words) become the same tokens here, so that everything after this module
compares meaning only.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from bonbench.verifiers.reading.calls import as_mathematics
from bonbench.verifiers.reading.numerals import plain_numbers, separate_circled
from bonbench.verifiers.reading.spelling import (
    CHARACTERS,
    FUNCTIONS,
    LAYOUT,
    PLAIN_COMMANDS,
    PREPOSITIONS,
    SHORT_NAMES,
    SHORT_WORDS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    SYNONYMS,
    TEXT_COMMANDS,
)
from bonbench.verifiers.reading.units import begins_unit, is_apart


class Unreadable(ValueError):
    """The text is beyond what the reader accepts (length, nesting) or is not of the form it was read as."""


class Token(NamedTuple):
    """``kind`` is one of num, let (one letter), cmd (``\\name``), word (plain language) and op (punctuation)."""

    kind: str
    text: str


#: Bounds on what is read at all. Real answers have tens of characters; anything near these is hostile or broken.
MAX_CHARS = 4000
MAX_DEPTH = 60

_LEXER = re.compile(
    r"""(?P<cmd>\\[A-Za-z]+|\\.)
    |(?P<num>(?!0,)\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?|\d+\.\d+|\d+\.(?=\s*\\overline|\s*\\dot|\s*\\bar)|\d+|\.\d+)
    |(?P<word>[A-Za-z]+)
    |(?P<space>\s+)
    |(?P<op><=|>=|!=|\*\*|.)""",
    re.VERBOSE | re.DOTALL,
)
_VOWEL = re.compile("[aeiouy]", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"\d+\.\d+|\d+|\.\d+")
_UNICODE_AREA = re.compile(r"(?<=[\d\s])(?:mm|cm|dm|m|km|ft|in|yd|mi)[²³]")
_NAMES = re.compile(r"\s*[A-Z][a-z]{2,20}(?:\s*(?:,|&|and)\s*(?:and\s+)?[A-Z][a-z]{2,20}){1,20}\.?\s*")
_CALLED = re.compile(r"\s*(?:\\left\s*)?\(")
_CAPITAL_UNION = re.compile(r"([)\]}])\s*U\s*(?=\\?[(\[{])")
_HALF_OF_DAY = re.compile(r"(?<![A-Za-z])([ap])\.\s?m\b\.?", re.IGNORECASE)
# Blank space between two equations: ``x=3 \quad y=4``.
_NEXT_EQUATION = re.compile(r"(=\s*[-+]?[\w./{}\\]{1,40}?)\s*(?:\\q?quad|\s)\s*(?=[A-Za-z](?:_\{?\w{1,9}\}?)?\s*=)")
_BEFORE_WORD = re.compile(r" +(?:[A-Za-z]{3,}|\d)")
_SCIENTIFIC = re.compile(r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,4})(?![\dA-Za-z.])")


def clean(text: str) -> str:
    r"""``text`` without invisible characters, with Unicode maths rewritten as LaTeX.

    >>> clean("x² ≤ ½"), clean("1.2e3"), clean(r"11,\!880")
    ('x^{2} \\le  \\frac{1}{2}', '1.2\\cdot 10^{3}', '11,880')

    Raises:
        Unreadable: for a text longer than ``MAX_CHARS``.
    """
    if len(text) > MAX_CHARS:
        raise Unreadable("too long")
    if not text.isascii():
        text = separate_circled(text)
        text = _UNICODE_AREA.sub("", text)
        text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", lambda m: "^{" + m[0].translate(SUPERSCRIPTS) + "}", text)
        text = re.sub("[₀₁₂₃₄₅₆₇₈₉]+", lambda m: "_{" + m[0].translate(SUBSCRIPTS) + "}", text)
        text = re.sub(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])", r"\\sqrt{\1}", text).replace("√", r"\sqrt ")
        text = unicodedata.normalize("NFKC", text.translate(CHARACTERS)).translate(CHARACTERS)
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Cs", "Co", "Cn") or c in "\n\t ")
    elif not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    text = as_mathematics(plain_numbers(text))
    # A form feed or tab where `\f`/`\t` of `\frac`/`\text` was unescaped once too often.
    text = re.sub(r"(?<![A-Za-z\\])ext\{", r"\\text{", text)
    if "\\\\" in text and "\\begin" not in text:
        text = re.sub(r"\\\\(?=[A-Za-z])", r"\\", text)  # escaped once too often
    text = _NEXT_EQUATION.sub(r"\1, ", text.replace("{:}", ":"))
    text = re.sub(r"(?<=\d)\s*\{,\s*\}\s*(?=\d)", ",", text)
    text = re.sub(r",\\!\s*(?=\d)", ",", text)
    text = re.sub(r"(?<=\d)(?:\\,|\\;|\\:|\\ |~|\{ \}| )(?=\d{3}(?:\D|$))(?<![\d]{4}.)", _join_thousands, text)
    text = _CAPITAL_UNION.sub(r"\1\\cup ", text)
    text = _HALF_OF_DAY.sub(lambda m: m[1].lower() + "m", text)
    return _SCIENTIFIC.sub(r"\1\\cdot 10^{\2}", text)


def _join_thousands(match: re.Match[str]) -> str:
    """A thin or plain space inside ``1 000``, read as a separator only after one to three digits."""
    before = match.string[: match.start()]
    lead = re.search(r"(?:^|[^\d.,])(\d{1,3})(?:(?:\\,|\\;|\\:|\\ |~| )\d{3})*$", before)
    return "" if lead else match[0]


def tokenize(text: str) -> list[Token]:
    r"""Tokens of a cleaned answer.

    >>> [token.text for token in tokenize(r"\dfrac12\left(x+1\right)\text{ cm}")]
    ['\\frac', '12', '(', 'x', '+', '1', ')', 'cm']
    >>> [token.kind for token in tokenize("2x miles")]
    ['num', 'let', 'word']

    Raises:
        Unreadable: for nesting deeper than ``MAX_DEPTH``.
    """
    return _Tokenizer(text).run()


class _Tokenizer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.brackets = 0  # depth of ( and [, inside which a comma always separates
        self.depth = 0

    def run(self) -> list[Token]:
        position = 0
        while position < len(self.text):
            match = _LEXER.match(self.text, position)
            assert match is not None
            position = match.end()
            kind, lexeme = match.lastgroup, match[0]
            if kind == "num":
                position = self._number(match)
            elif kind == "cmd":
                if lexeme in ("\\mu", "\\Omega") and begins_unit(
                    self.tokens, lexeme, is_apart(self.text, match.start()), upright=False
                ):
                    self._add("unit?", lexeme)
                else:
                    position = self._command(lexeme[1:], position)
            elif kind == "word" and self._is_between_words(lexeme, match.start(), position):
                self._add("word", lexeme)
            elif kind == "word":
                after_number = bool(self.tokens) and self.tokens[-1].kind == "num"
                apart = is_apart(self.text, match.start())
                before_ohm = lexeme in ("k", "M", "m") and self.text.startswith("\\Omega", position)
                if begins_unit(self.tokens, "\\Omega" if before_ohm else lexeme, apart, upright=False):
                    self._add("unit?", lexeme)
                else:
                    self._word(lexeme, counted=after_number and self.text[match.start() - 1].isspace())
            elif kind == "op":
                self._operator(lexeme)
        return self.tokens

    def _add(self, kind: str, text: str) -> None:
        self.tokens.append(Token(kind, text))

    def _is_between_words(self, lexeme: str, start: int, end: int) -> bool:
        """Whether a short run of letters stands as a word among words, as "at" in "at least"."""
        if lexeme in PREPOSITIONS:
            return _BEFORE_WORD.match(self.text, end) is not None
        is_short_word = 2 <= len(lexeme) <= 3 and lexeme.islower() and _VOWEL.search(lexeme) is not None
        before = self.tokens[-1].kind == "word" if self.tokens else False
        return is_short_word and before and self.text[start - 1] == " " and bool(_BEFORE_WORD.match(self.text, end))

    def _number(self, match: re.Match[str]) -> int:
        lexeme = match[0]
        if "," in lexeme and self.brackets:
            plain = _PLAIN_NUMBER.match(lexeme)
            assert plain is not None
            self._add("num", plain[0])
            return match.start() + plain.end()
        self._add("num", lexeme.replace(",", ""))
        return match.end()

    def _operator(self, op: str) -> None:
        if op in "([{":
            self.depth += 1
            self.brackets += op != "{"
            if self.depth > MAX_DEPTH:
                raise Unreadable("nested too deeply")
        elif op in ")]}":
            self.depth = max(0, self.depth - 1)
            if op != "}":
                self.brackets = max(0, self.brackets - 1)
        elif op == "$":
            return
        elif op == "**":
            op = "^"
        elif op in ("<=", ">=", "!="):
            self._add("cmd", {"<": r"\le", ">": r"\ge", "!": r"\ne"}[op[0]])
            return
        elif op == "~":
            return
        self._add("op", op)

    def _command(self, name: str, position: int) -> int:
        if not name.isalpha():
            if name in "{}":
                self._add("op", "\\" + name)
            elif name == "|":
                self._add("op", "|")
            elif name == "%":
                self._add("op", "%")
            elif name == "\\":
                self._add("op", "\\\\")
            elif name in "()[]":
                return position  # display delimiters
            return position  # spaces, \$, \#, \&
        if name in TEXT_COMMANDS:
            return self._text(position, math=name in ("mathrm", "operatorname"))
        name = SYNONYMS.get(name, name)
        if name.startswith("quad"):  # also glued to what follows, as in \quadx
            return position - len(name) + len("quad")
        if name in LAYOUT:
            if name in ("left", "right") and self.text[position : position + 1] == ".":
                return position + 1
            if name in ("hspace", "phantom") and (end := _group_end(self.text, position)) is not None:
                return end
            return position
        if len(name) == 1:
            if name in "{}":
                self._add("op", "\\" + name)
            elif name in "ei":
                self._add("let", name)
            elif name.isalpha():
                self._add("cmd", "\\" + name)
            else:
                self._operator(name)
            return position
        if name in ("begin", "end"):
            match = re.compile(r"\s*\{\s*([A-Za-z]+)\*?\s*\}").match(self.text, position)
            if match is None:
                return position
            position = match.end()
            if name == "begin" and match[1] in ("array", "tabular", "alignedat"):
                end = _group_end(self.text, position)
                position = position if end is None else end
            self._add("op", f"\\{name}{{{match[1]}}}")
            return position
        if name == "ell":
            self._add("let", "l")
        else:
            self._add("cmd", "\\" + name)
        return position

    def _text(self, position: int, math: bool) -> int:
        """The argument of ``\\text``-like commands: words, with numbers and punctuation among them kept."""
        end = _group_end(self.text, position)
        if end is None:
            return position
        start = self.text.index("{", position) + 1
        for match in _LEXER.finditer(self.text, start, end - 1):
            kind, lexeme = match.lastgroup, match[0]
            if kind == "num":
                self._add("num", lexeme.replace(",", ""))
            elif kind == "word":
                if lexeme in FUNCTIONS and (
                    math or (_CALLED.match(self.text, end) and lexeme == self.text[start : end - 1])
                ):
                    self._add("cmd", "\\" + lexeme)
                elif lexeme not in ("in", "th", "st", "nd", "rd") and begins_unit(
                    self.tokens, lexeme, True, upright=True
                ):
                    self._add("unit", lexeme)
                elif len(lexeme) == 1 and (math or end - 1 - start <= 5):
                    self._add("let", lexeme)
                elif lexeme in ("degrees", "degree"):
                    self._add("op", "^")
                    self._add("cmd", r"\circ")
                else:
                    self._add("word", lexeme)
            elif kind == "cmd" and lexeme == "\\%":
                self._add("op", "%")
            elif kind == "cmd" and lexeme in ("\\mu", "\\Omega"):
                is_unit = begins_unit(self.tokens, lexeme, True, upright=True)
                self._add("unit" if is_unit else "cmd", lexeme)
            elif kind == "cmd" and lexeme == "\\cdot":
                self._add("cmd", lexeme)
            elif kind == "op":
                self._operator(lexeme)
        return end

    def _is_name(self, lexeme: str) -> bool:
        """Whether a short run of letters is a name in a list of names: "Alice and Bob"."""
        is_titled = len(lexeme) == 3 and lexeme.istitle() and _VOWEL.search(lexeme[1:]) is not None
        return is_titled and _NAMES.fullmatch(self.text) is not None

    def _word(self, lexeme: str, counted: bool = False) -> None:
        """A bare run of letters: a function, a word, or a product of one-letter symbols.

        ``counted``: it stands apart after a number, as a unit does.
        """
        if len(lexeme) == 1:
            self._add("let", lexeme)
        elif lexeme in ("degrees", "degree", "deg"):
            self._add("op", "^")
            self._add("cmd", r"\circ")
        elif lexeme in PLAIN_COMMANDS:
            self._add("cmd", PLAIN_COMMANDS[lexeme])
        elif (
            lexeme in SHORT_NAMES
            or self._is_name(lexeme)
            or (lexeme in ("am", "pm", "AM", "PM") and bool(self.tokens) and self.tokens[-1].kind == "word")
            or (lexeme.lower() in SHORT_WORDS and (not lexeme.isupper() or lexeme == self.text.strip()))
            or (len(lexeme) >= (3 if counted else 4) and lexeme[1:].islower() and _VOWEL.search(lexeme) is not None)
        ):
            self._add("word", lexeme)
        else:
            for function in ("sqrt", "sin", "cos", "tan", "log", "ln"):
                if lexeme.startswith(function):
                    self._add("cmd", "\\" + function)
                    self._word(lexeme[len(function) :])
                    return
            for letter in lexeme:
                self._add("let", letter)


def _group_end(text: str, position: int) -> int | None:
    """Offset after the balanced ``{…}`` that starts at or after the blanks at ``position``; None without one."""
    while position < len(text) and text[position].isspace():
        position += 1
    if position >= len(text) or text[position] != "{":
        return None
    depth = 0
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return None
