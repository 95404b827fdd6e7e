"""Numbers in words: "forty-two", "one hundred and five", "two thirds", "5 million", "five and a half", "twentieth"."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from bonbench.verifiers.reading.tokens import Token

_UNDER_TWENTY = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: n for n, word in enumerate(_UNDER_TWENTY)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_SCALES = {
    "thousand": 10**3, "lakh": 10**5, "million": 10**6, "crore": 10**7, "billion": 10**9, "trillion": 10**12,
    "quadrillion": 10**15, "quintillion": 10**18,
}  # fmt: skip
_ORDINALS = {
    **{f"{word}th": n for word, n in _SMALL.items() if not word.endswith("y")},
    **{f"{word[:-1]}ieth": n for word, n in _SMALL.items() if word.endswith("y")},
    "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12, "hundredth": 100,
    "thousandth": 1000, "millionth": 10**6,
}  # fmt: skip
_PARTS = {word: n for word, n in _ORDINALS.items() if n > 2} | {"half": 2, "quarter": 4}
_PART_PLURALS = {f"{word}s": n for word, n in _PARTS.items() if word != "half"} | {"halves": 2}
#: Words that are a number or a part of one.
NUMERALS = frozenset((*_SMALL, *_SCALES, *_ORDINALS, *_PARTS, *_PART_PLURALS, "hundred", "dozen"))
_MAX_WORDS = 30


def with_numerals(tokens: Sequence[Token]) -> list[Token]:
    """``tokens`` with every number in words written as a number, or as a fraction ``\\frac{2}{3}``."""
    spoken = (t.text.lower() for t in tokens if t.kind == "word")
    if not any(word in NUMERALS or word.removesuffix("s") in NUMERALS for word in spoken):
        return list(tokens)
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        value, end = _Numeral(tokens, position).value()
        if value is None:
            result.append(tokens[position])
            position += 1
        else:
            result += written(value)
            if tokens[end - 1].text.lower() in _ORDINALS and value.denominator == 1:
                result.append(Token("word", "nth"))  # a rank is no amount
            position = end
    return result


class _Numeral:
    """One number, read from ``tokens`` at ``position`` on."""

    def __init__(self, tokens: Sequence[Token], position: int) -> None:
        self.tokens = tokens
        self.start = position
        self.position = position

    def word(self, ahead: int = 0) -> str:
        """The word at the place, in lower case; the letter ``a`` counts as a word; "" where there is none."""
        index = self.position + ahead
        if index >= len(self.tokens):
            return ""
        token = self.tokens[index]
        return token.text.lower() if token.kind == "word" or token.text in ("a", "A") else ""

    def value(self) -> tuple[Fraction | None, int]:
        """The number and where it ends; None where no number in words begins here."""
        first = self.tokens[self.position]
        rank, end = self.ordinal()
        self.position = self.start
        if rank is not None:
            return rank, end
        whole: Fraction | None
        if first.kind == "num":
            whole = self.counted(Fraction(first.text))
        elif self.word() in ("a", "an"):
            whole = self.article()
        else:
            whole = self.cardinal()
        if whole is None:
            return None, self.start
        part = self.part(whole)
        if part is not None:
            return part, self.position
        mixed = self.mixed(whole)
        if mixed != whole:
            mixed *= self.scale() or 1
        if first.kind == "num" and self.position == self.start + 1:
            return None, self.start
        return mixed, self.position

    def counted(self, count: Fraction) -> Fraction:
        """``5 hundred thousand``, ``2 million 500 thousand``: numbers in digits with the scales after them."""
        self.position += 1
        size = 1
        while (scale := self.scale()) and size < 10**18:
            size *= scale
        rest = self.tokens[self.position : self.position + 2]
        if size > 1 and len(rest) == 2 and rest[0].kind == "num":
            smaller = _SCALES.get(rest[1].text.lower(), size)
            if smaller < size:
                return count * size + self.counted(Fraction(rest[0].text))
        return count * size

    def scale(self) -> int:
        word = self.word().removesuffix("s")
        size = {"hundred": 100, "dozen": 12, **_SCALES}.get(word, 0)
        self.position += bool(size)
        return size

    def article(self) -> Fraction | None:
        """``a hundred``, ``a dozen``, ``a half``: the article is a one."""
        if self.word(1) in _PARTS:
            self.position += 1
            return Fraction(1)
        if self.word(1) in ("hundred", "dozen", *_SCALES):
            self.position += 1
            return Fraction(self.scale())
        return None

    def cardinal(self) -> Fraction | None:
        """``two thousand three hundred and five``, ``three point one four``."""
        total, group, last_scale = 0, None, 10**21
        while self.position - self.start < _MAX_WORDS:
            word = self.word()
            if word in _SMALL:
                if not _fits(group, _SMALL[word]):
                    break
                group = (group or 0) + _SMALL[word]
                self.position += 1
                self.skip_hyphen(group)
            elif word == "hundred" and (group is None or 0 < group < 100):
                group = (group or 1) * 100
                self.position += 1
            elif word in _SCALES and _SCALES[word] < last_scale and (group or self.position > self.start):
                last_scale = _SCALES[word]
                total, group = total + (group or 1) * last_scale, None
                self.position += 1
            elif word == "and" and self.joins(group, last_scale):
                self.position += 1
            else:
                break
        if group is None and not total:
            return self.lone_part()
        number = Fraction(total + (group or 0))
        return self.dozens(self.decimals(number))

    def skip_hyphen(self, group: int) -> None:
        next_one = self.position + 1
        if (
            self.position < len(self.tokens)
            and self.tokens[self.position].text == "-"
            and group % 10 == 0
            and next_one < len(self.tokens)
            and 0 < _SMALL.get(self.tokens[next_one].text.lower(), 0) < 10
        ):
            self.position = next_one

    def joins(self, group: int | None, last_scale: int) -> bool:
        """Whether an "and" stands inside a number: after hundreds or a scale, before what is smaller."""
        after = [self.word(ahead) for ahead in (1, 2, 3)]
        if after[0] not in _SMALL or any(w == "hundred" or w in _PART_PLURALS for w in after[1:]):
            return False
        if group is None:
            return last_scale < 10**21 and not any(w in _SCALES for w in after[1:])
        return group >= 100 and group % 100 == 0

    def lone_part(self) -> Fraction | None:
        """``half`` and ``dozen`` without a number before them are one half and twelve."""
        if self.word() == "dozen":
            self.position += 1
            return Fraction(12)
        return Fraction(1) if self.word() == "half" else None

    def decimals(self, whole: Fraction) -> Fraction:
        if self.word() != "point" or not _is_digit(self.word(1)):
            return whole
        self.position += 1
        digits = ""
        while _is_digit(self.word()) and len(digits) < _MAX_WORDS:
            digits += str(_SMALL[self.word()])
            self.position += 1
        return whole + Fraction(int(digits), 10 ** len(digits))

    def dozens(self, number: Fraction) -> Fraction:
        if self.word() != "dozen":
            return number
        self.position += 1
        return number * 12

    def part(self, count: Fraction) -> Fraction | None:
        """``two thirds``, ``one-half`` and ``3 quarters``, whose count has just been read."""
        hyphen = self.position < len(self.tokens) and self.tokens[self.position].text == "-"
        word = self.word(int(hyphen))
        size = _PART_PLURALS.get(word) or (_PARTS.get(word) if count < 20 else None)
        if size is None or count.denominator != 1 or (self.tokens[self.position - 1].text == "-"):
            return None
        self.position += 1 + hyphen
        return count / size

    def mixed(self, whole: Fraction) -> Fraction:
        """``five and a half``, whose whole part has just been read."""
        if self.word() != "and" or whole.denominator != 1:
            return whole
        back = self.position
        self.position += 1
        count = Fraction(1) if self.word() in ("a", "an") else None
        if count is not None:
            self.position += 1
        elif self.word() == "half":
            count = Fraction(1)
        else:
            count = self.cardinal()
        part = None if count is None else self.part(count)
        if part is not None and part < 1:
            return whole + part
        self.position = back
        return whole

    def ordinal(self) -> tuple[Fraction | None, int]:
        """``fifth`` and ``twenty-first``, where no number stands before or after."""
        self.position = self.start
        tens = 0
        if self.word() in _TENS:
            tens = _SMALL[self.word()]
            hyphen = self.start + 1 < len(self.tokens) and self.tokens[self.start + 1].text == "-"
            self.position += 1 + hyphen
        rank = _ORDINALS.get(self.word(), 0)
        before = self.tokens[max(0, self.start - 1) : self.start]
        neighbours = (*before, *self.tokens[self.position + 1 :][:1])
        is_counted = any(t.kind == "num" or t.text == "-" or t.text.lower() in _SMALL for t in neighbours)
        if not rank or (tens and rank > 9) or is_counted:
            return None, self.start
        return Fraction(tens + rank), self.position + 1


def _fits(group: int | None, number: int) -> bool:
    """Whether ``number`` can follow: "hundred" then anything below it, "twenty" then a digit."""
    if group is None:
        return True
    if not number or not group:
        return False
    return group % 100 == 0 or (group % 100 >= 20 and group % 10 == 0 and number < 10)


def _is_digit(word: str) -> bool:
    return _SMALL.get(word, 10) < 10


def written(value: Fraction) -> list[Token]:
    """``value`` in digits: a number, or a fraction of two."""
    if value.denominator == 1:
        return [Token("num", str(value.numerator))]
    above, below = Token("num", str(value.numerator)), Token("num", str(value.denominator))
    opening, closing = Token("op", "{"), Token("op", "}")
    return [Token("cmd", "\\frac"), opening, above, closing, opening, below, closing]
