"""Plain language around a value: units, labels, remarks."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.brackets import trim, with_depth
from bonbench.verifiers.reading.operations import OPERATIONS, spelled
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token, Unreadable

# Words that begin a remark after the answer ("f(x) = 1 for all x").
_REMARK = words("for where with when if is are such since because which that provided given depending")
_DENIALS = words("not no never none neither nor cannot")
_JOINS = words("+ - * / ^ = < > ( \\cdot \\times \\le \\ge")
_WRONG = words("wrong incorrect false impossible invalid")
_UNIT_MARKS = words("^ { } / - ( ) . \\cdot * ' 1 2 3 4")
# Words that change the value beside them wherever they stand, or say something of another kind than a value.
_CHANGES = words(
    "except excluding without but than minus negative divided multiplied between outside inside under below above "
    "beyond squared cubed factorial factorials modulo mod dozens hundreds thousands millions billions trillions "
    "million billion trillion hundred thousand halves thirds fourths fifths sixths sevenths eighths ninths tenths "
    "hundredths thousandths quarters choose permute wrong incorrect false impossible"
)
# Words that change the value that follows them: "multiples of 5" is no 5, but "5 multiples" are five.
_CHANGES_NEXT = words(
    "multiple multiples divisible divides divide divisor divisors factors power powers root roots square squares cube "
    "cubes cubed digits logarithm reciprocal inverse opposite half double twice triple "
    "thrice quarter odd even every most least more less fewer greater larger smaller first last next over past "
    "before after until till since within almost nearly times plus coprime congruent composite undefined discontinuous "
    "absolute base percent percentage to from prime primes integers"
)
# Words that say what is made of the values after "of"; before a value they label it.
_MADE_OF = words("product difference quotient sum ratio average mean median number half third")
# Words that change the value before them.
_CHANGES_LAST = words("remainder plus over to from power until till up down of or base imaginary nth")
_RANKS = words("st nd rd th")
# Words that end in a value that they do not change, whatever else stands before it ("equal to 5").
_LINKS = words("equal equals is are exactly simplifies")


def changes_next(spoken: Sequence[str]) -> bool:
    """Whether the words before a value, in lower case, make another value of it or no value at all."""
    if any(word in _CHANGES for word in spoken):
        return True
    if "of" in spoken and any(word in _MADE_OF for word in spoken[: spoken.index("of")]):
        return True
    if spoken[-2:-1] and spoken[-2] in _LINKS and spoken[-1] == "to":
        return False
    return bool(spoken) and spoken[-1] not in _LINKS and any(word in _CHANGES_NEXT for word in spoken)


def changes_last(spoken: Sequence[str]) -> bool:
    """Whether the words after a value, in lower case, make another value of it."""
    if any(word in _CHANGES for word in spoken):
        return True
    if spoken and spoken[0] in _RANKS:
        return any(word in _CHANGES_NEXT for word in spoken[1:])  # "3rd root", "5th prime"; 12th is 12
    return bool(spoken) and spoken[0] in _CHANGES_LAST


def is_unit(tokens: list[Token]) -> bool:
    """Whether ``tokens`` after a value are words, with the exponents and fraction bars of units among them."""
    if not tokens:
        return False
    if changes_last([spelled(t) for t in tokens if t.kind == "word"]):
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
        or (tokens[end].text in ("a", "A", "I") and end + 1 < len(tokens) and tokens[end + 1].kind == "word")
    ):
        end += 1
    if any(t.text.lower() in _DENIALS for t in tokens[:end]):
        raise Unreadable("denied")
    if end and end < len(tokens) and tokens[end].text == ":":
        return trim(tokens[end + 1 :]) if [t.text for t in tokens].count(":") == 1 else tokens
    named = end < len(tokens) and tokens[end].text == "="
    if named or end == len(tokens) or changes_next([spelled(t) for t in tokens[:end]]):
        return tokens
    if any(spelled(t) in OPERATIONS for t in tokens[:end]):
        return tokens
    return trim(tokens[end:])


def without_remarks(tokens: list[Token]) -> list[Token]:
    """Drops ``for all x`` and the like after a value.

    Raises:
        Unreadable: where the remark denies the value ("5 is wrong").
    """
    tokens = _without_brackets(tokens)
    for index, (token, depth) in enumerate(with_depth(tokens)):
        if index and depth == 0 and token.kind == "word" and token.text.lower() in _REMARK:
            if token.text.lower() in ("is", "are"):
                if _next_word(tokens, index) in OPERATIONS:
                    continue
                if _next_word(tokens, index) in _DENIALS | _WRONG:
                    raise Unreadable("denied")
            return trim(tokens[:index])
    if len(tokens) > 4 and [t.text for t in tokens[-4:-2]] == ["(", "mod"] and tokens[-3].kind == "word":
        return trim(tokens[:-4])  # "32 (mod 1000)" with the remark in \text
    return tokens


def _next_word(tokens: Sequence[Token], index: int) -> str:
    return spelled(tokens[index + 1]) if index + 1 < len(tokens) and tokens[index + 1].kind == "word" else ""


def _without_brackets(tokens: list[Token]) -> list[Token]:
    """``5 (approximately)`` without its brackets, where these hold a remark and nothing that changes the value."""
    if not tokens or tokens[-1].text != ")" or tokens[-1].kind == "word":
        return tokens
    start = next((i for i in range(len(tokens) - 1, 0, -1) if tokens[i].text == "("), 0)
    inside = [spelled(t) for t in tokens[start + 1 : -1] if t.kind == "word"]
    if not start or not inside or tokens[start + 1].kind != "word":
        return tokens
    if tokens[start - 1].text in _JOINS or any(word in _CHANGES | {"base", "mod"} | OPERATIONS for word in inside):
        return tokens
    return trim(tokens[:start])
