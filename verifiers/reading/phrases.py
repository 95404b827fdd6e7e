"""Mathematics in words: "square root of 5", "5 squared", "at least 5", "half of 6", "5 less than x".

:func:`worked_out` writes an answer that has words of operations as mathematics. What it does not understand wholly it
leaves to be text, so that a number never decides alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.brackets import OPENING, closing_index, with_depth
from bonbench.verifiers.reading.operations import AFTER, BEFORE, BETWEEN, RELATION, RELATION_AFTER, spelled
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token, Unreadable

_UNSIGNED = frozenset({"+", "-", r"\pm", r"\mp"})
_NEVER_INSIDE = frozenset({
    *("=", "<", ">", r"\le", r"\ge", r"\ne", r"\in", ",", ";", ":", r"\cup", r"\approx", r"\pm", r"\mp"),
})  # fmt: skip
#: What a sum or comparison of nothing but words begins with; it adds nothing.
_NEUTRAL = words("the a an exactly only just is are was equals equal be it its about approximately around roughly all")
_ORDINAL_ENDINGS = ("st", "nd", "rd", "th", "nth")
_EXCEPTING = words("except excluding but") | {"except for", "other than"}
_REALS = words("real reals number numbers value values all any every")
_MAX_OPERATIONS = 40
#: The unknown of "at least 5".
UNKNOWN = Token("let", "\u25a1")


def without_exceptions(tokens: list[Token]) -> list[Token]:
    """``all real numbers except 1 and 2`` as a difference of sets; other tokens as they are."""
    end = next((i for i, t in enumerate(tokens) if t.kind == "word" and spelled(t) in _EXCEPTING), None)
    if end is None or end + 1 >= len(tokens):
        return tokens
    spoken = {spelled(t) for t in tokens[:end]}
    if not spoken & {"real", "reals"} or not spoken <= _REALS | {"x", "y", "t"}:
        return tokens
    reals = [Token("cmd", r"\mathbb"), *_braced([Token("let", "R")]), Token("cmd", r"\setminus")]
    rest = tokens[end + 1 :]
    named = len(rest) > 2 and rest[0].kind == "let" and rest[1].text == "="
    return [*reals, *_in("\\{", rest[2:] if named else rest, "\\}")]


def worked_out(tokens: list[Token]) -> list[Token] | None:
    """``tokens`` as mathematics, where their words mean operations; None where these are not understood.

    >>> from bonbench.verifiers.reading.operations import merged
    >>> from bonbench.verifiers.reading.tokens import tokenize
    >>> def spell(text): return " ".join(t.text for t in worked_out(merged(tokenize(text))))
    >>> spell("5 squared"), spell("square root of 5"), spell("5 or more"), spell("5 less than x")
    ('{ 5 } ^ { 2 }', '\\\\sqrt { 5 }', '□ \\\\ge 5', 'x - 5')
    """
    if not any(_is_operation(tokens, index) for index in range(len(tokens))):
        return tokens
    try:
        return _Phrase(tokens).relation()
    except Unreadable:
        return None


def _is_operation(tokens: Sequence[Token], index: int) -> bool:
    token = tokens[index]
    if token.kind != "word":
        return False
    word = spelled(token)
    if word in ("of", "to", "over", "times", "in", "above", "below"):  # between values only
        inside = 0 < index < len(tokens) - 1
        return (inside and tokens[index - 1].kind != "word") or word in ("above", "below")
    if word == "root":
        return index < len(tokens) - 1 and tokens[index + 1].kind != "word"
    return any(word in table for table in (BEFORE, BETWEEN, AFTER, RELATION, RELATION_AFTER))


class _Phrase:
    """A parser of values joined by words. Values are tokens of mathematics, which it leaves as they are."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        if sum(_is_operation(tokens, index) for index in range(len(tokens))) > _MAX_OPERATIONS:
            raise Unreadable("too many operations")
        self.tokens = tokens
        self.position = 0

    def word(self) -> str:
        if self.position >= len(self.tokens) or self.tokens[self.position].kind != "word":
            return ""
        return spelled(self.tokens[self.position])

    def skip(self, neutral: frozenset[str]) -> None:
        while self.word() in neutral or (
            self.position + 1 < len(self.tokens)
            and self.tokens[self.position] in (Token("let", "a"), Token("let", "A"))
            and self.tokens[self.position + 1].kind == "word"
        ):
            self.position += 1

    def relation(self) -> list[Token]:
        """``at least 5``, ``x is more than 5``, ``5 or more``, or a sum."""
        self.skip(_NEUTRAL)
        start = self.position
        self.skip(_NEUTRAL | _REALS)
        if self.word() in RELATION:
            reals = any(spelled(t) in ("real", "reals") for t in self.tokens[start : self.position])
            if self.position > start and not reals:
                raise Unreadable("numbers of some kind")
            return [UNKNOWN, *self.compared()]
        self.position = start
        left = self.sum()
        self.skip(words("is are"))
        if self.word() in RELATION:
            return self.between(left, RELATION[self.word()])
        if self.word() in RELATION_AFTER:
            sign = Token("cmd", RELATION_AFTER[self.word()])
            self.position += 1
            return self.end([UNKNOWN, sign, *left])
        return self.end(left)

    def compared(self) -> list[Token]:
        sign = RELATION[self.word()]
        self.position += 1
        return self.end([Token("cmd" if sign[0] == "\\" else "op", sign), *self.sum()])

    def between(self, left: list[Token], sign: str) -> list[Token]:
        """``5 more than x`` is a sum, ``5 less than x`` a difference, ``x more than 5`` a comparison."""
        word = self.word()
        if _has_letters(left):
            return [*left, *self.compared()]
        self.position += 1
        right = self.sum()
        if word in ("below", "above") and [t.text for t in right] == ["0"]:
            return self.end([Token("op", "-"), *left] if word == "below" else left)
        if word not in ("more than", "less than", "fewer than") or not _has_letters(right):
            raise Unreadable("ambiguous comparison")
        return self.end([*right, Token("op", "+" if sign == ">" else "-"), *_grouped(left)])

    def end(self, result: list[Token]) -> list[Token]:
        """``result`` with the unit or noun that stands at the end; other words there are not understood."""
        return [*result, *self.tokens[self.position :]]

    def sum(self) -> list[Token]:
        result = self.product()
        while BETWEEN.get(self.word()) in _UNSIGNED:
            sign = BETWEEN[self.word()]
            self.position += 1
            result += [Token("cmd" if sign[0] == "\\" else "op", sign), *self.product()]
        return result

    def product(self) -> list[Token]:
        result = self.factor()
        while True:
            sign = BETWEEN.get(self.word(), "")
            if sign == ":" and self.starts_value(1):
                self.position += 1
                result = [*_numbers_only(result), Token("op", ":"), *_numbers_only(self.factor())]
            elif sign in ("*", "/") and self.starts_value(1):
                self.position += 1
                operator = Token("cmd", r"\cdot") if sign == "*" else Token("op", "/")
                result = [*_grouped(result), operator, *_grouped(self.factor())]
            elif self.word() == "in" and self.starts_value(1):
                self.position += 1
                result = [*_numbers_only(result), Token("op", "/"), *_numbers_only(self.factor())]
            elif self.word() == "root":
                result = [*_grouped(result), Token("cmd", r"\cdot"), *self.factor()]
            else:
                return result

    def starts_value(self, ahead: int) -> bool:
        """Whether a value, and not a noun, comes next: "3 times 4", but "3 times"."""
        index = self.position + ahead
        while index < len(self.tokens) and spelled(self.tokens[index]) in ("the", "a"):
            index += 1
        if index >= len(self.tokens):
            return False
        return self.tokens[index].kind != "word" or spelled(self.tokens[index]) in BEFORE

    def factor(self) -> list[Token]:
        self.skip(words("the a an"))
        sign = BEFORE.get(self.word())
        if sign is not None:
            self.position += 1
            return _applied(sign, self.factor())
        result = self.value()
        while True:
            after, between = AFTER.get(self.word()), BETWEEN.get(self.word())
            if after is not None:
                self.position += 1
                result = _postfixed(result, after)
            elif between == "choose":
                self.position += 1
                result = [Token("cmd", r"\binom"), *_braced(result), *_braced(self.value())]
            elif between == "^":
                self.position += 1
                result = [*_braced(result), Token("op", "^"), *_braced(self.factor())]
            elif between == "^th":
                result = self.ordinal_power(result)
            elif self.word() in _ORDINAL_ENDINGS and self.position + 1 < len(self.tokens):
                self.position += 1
                if self.word() != "root of":
                    raise Unreadable("a rank")
            elif self.word() == "root of":
                self.position += 1
                result = [Token("cmd", r"\sqrt"), *_in("[", result, "]"), *_braced(_one_factor(self.factor()))]
            else:
                return result

    def ordinal_power(self, base: list[Token]) -> list[Token]:
        """``x to the fifth power``, ``2 to the 10th``."""
        self.position += 1
        exponent = self.value()
        if self.word() in _ORDINAL_ENDINGS:
            self.position += 1
        if self.word() == "power":
            self.position += 1
        return [*_braced(base), Token("op", "^"), *_braced(exponent)]

    def value(self) -> list[Token]:
        """The tokens of mathematics up to the next word."""
        start = self.position
        depth = 0
        while self.position < len(self.tokens) and (depth or self.tokens[self.position].kind != "word"):
            text = self.tokens[self.position].text
            depth += (text in OPENING) - (text in (")", "]", "}", "\\}"))
            self.position += 1
        result = list(self.tokens[start : self.position])
        if not result:
            raise Unreadable("no value")
        for index, (token, level) in enumerate(with_depth(result)):
            if level == 0 and (token.text in _NEVER_INSIDE or (index and token.text in _UNSIGNED)):
                raise Unreadable("no single value")
        return result


def _has_letters(tokens: Sequence[Token]) -> bool:
    return any(t.kind == "let" and t.text not in ("e", "i") for t in tokens)


def _numbers_only(tokens: list[Token]) -> list[Token]:
    if len(tokens) != 1 or tokens[0].kind != "num":
        raise Unreadable("no plain number")
    return tokens


def _in(opening: str, tokens: list[Token], closing: str) -> list[Token]:
    return [Token("op", opening), *tokens, Token("op", closing)]


def _braced(tokens: list[Token]) -> list[Token]:
    return _in("{", tokens, "}")


def _grouped(tokens: list[Token]) -> list[Token]:
    """``tokens`` as one factor."""
    if len(tokens) == 1 or (tokens[0].text in ("(", "{") and closing_index(tokens) == len(tokens) - 1):
        return tokens
    return [Token("op", "("), *tokens, Token("op", ")")]


def _postfixed(value: list[Token], sign: str) -> list[Token]:
    """``value`` with a power, ``!`` or ``%`` after it."""
    if sign == "%":
        return [*_grouped(value), Token("op", sign)]
    value = _one_factor(value)
    if sign == "!":
        return [*_grouped(value), Token("op", sign)]
    return [*_braced(value), Token("op", "^"), *_braced([Token("num", sign[1])])]


def _one_factor(value: list[Token]) -> list[Token]:
    """``value``, which must be no product or negative: "2x squared" has two readings."""
    factors = sum(level == 0 and token.kind in ("num", "let") for token, level in with_depth(value))
    if factors > 1 or value[0].text == "-":
        raise Unreadable("no single factor")
    return value


def _applied(sign: str, value: list[Token]) -> list[Token]:
    """The operation that stands before ``value``."""
    match sign:
        case "+" | "-" | r"\pm":
            return [Token("cmd" if sign[0] == "\\" else "op", sign), *_grouped(value)]
        case "2*" | "3*":
            return [Token("num", sign[0]), Token("cmd", r"\cdot"), *_grouped(value)]
        case "sqrt":
            return [Token("cmd", r"\sqrt"), *_braced(_one_factor(value))]
        case "cbrt":
            index = (Token("op", "["), Token("num", "3"), Token("op", "]"))
            return [Token("cmd", r"\sqrt"), *index, *_braced(_one_factor(value))]
        case "1/":
            return [Token("cmd", r"\frac"), *_braced([Token("num", "1")]), *_braced(_one_factor(value))]
        case "||":
            return [Token("op", "|"), *value, Token("op", "|")]
        case _:
            return _postfixed(_grouped(value), sign)
