"""Plain language around a value: units, labels, remarks."""

from __future__ import annotations

from bonbench.verifiers.reading.brackets import trim, with_depth
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token, Unreadable

# Words that begin a remark after the answer ("f(x) = 1 for all x").
_REMARK = words("for where with when if is are such since because which that provided given depending")
_DENIALS = words("not no never none neither nor cannot")
_UNIT_MARKS = words("^ { } / - ( ) . \\cdot ' 2 3 -1 -2")
#: Numbers in words.
NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
            *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
            "twenty",
        )
    )
}


def is_unit(tokens: list[Token]) -> bool:
    """Whether ``tokens`` after a value are words, with the exponents and fraction bars of units among them."""
    if not tokens:
        return False
    first = tokens[0]
    starts = first.kind == "word" or (len(tokens) > 1 and first.text in ("/", "(", "{") and tokens[1].kind == "word")
    return starts and all(t.kind in ("word", "let") or t.text in _UNIT_MARKS for t in tokens)


def without_label(tokens: list[Token]) -> list[Token]:
    """Drops ``Maximum:`` or ``\\text{Area} =`` before a value."""
    for index, token in enumerate(tokens):
        if token.text in (":", "=") and index:
            if all(t.kind in ("word", "let") or t.text in "()-'" for t in tokens[:index]) and any(
                t.kind == "word" for t in tokens[:index]
            ):
                return trim(tokens[index + 1 :]) or tokens
            return tokens
    return tokens


def without_lead(tokens: list[Token]) -> list[Token]:
    """Drops the words before a value ("only x = 0", "the matrix …"), unless they label it.

    Raises:
        Unreadable: where the words deny the value ("not 5").
    """
    end = 0
    while end < len(tokens) and (
        tokens[end].kind == "word"
        or (tokens[end].text in ("a", "A", "I") and end + 1 < len(tokens) and end and tokens[end + 1].kind == "word")
    ):
        end += 1
    if any(t.text.lower() in _DENIALS for t in tokens[:end]):
        raise Unreadable("denied")
    if end and end < len(tokens) and tokens[end].text == ":":
        return trim(tokens[end + 1 :])
    named = end < len(tokens) and tokens[end].text == "="
    if named or end == len(tokens) or any(t.text.lower() in NUMBER_WORDS for t in tokens[:end]):
        return tokens
    return trim(tokens[end:])


def without_remarks(tokens: list[Token]) -> list[Token]:
    """Drops ``for all x`` and the like after a value."""
    for index, (token, depth) in enumerate(with_depth(tokens)):
        if index and depth == 0 and token.kind == "word" and token.text.lower() in _REMARK:
            return trim(tokens[:index])
    return tokens
