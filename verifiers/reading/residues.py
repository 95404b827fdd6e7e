"""Congruences, and words for parity: ``x \\equiv 3 \\pmod{7}``, ``n is even``."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from bonbench.verifiers.reading.answers import Answer, Listing, Relation, Residue, Scalar
from bonbench.verifiers.reading.brackets import trim
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.syntax import Num, Sym
from bonbench.verifiers.reading.tokens import Token

Parse = Callable[[list[Token]], Answer]

_MODULO = "\\mod"
_PARITY = {"even": 0, "odd": 1}
_FILLERS = words("is are an a be number numbers integer integers all any every each when if whole")


def parse_congruence(tokens: list[Token], parse: Parse) -> Residue | None:
    """The congruence that ``tokens`` spell as a whole; None where they spell none."""
    places = [index for index, token in enumerate(tokens) if token.text == _MODULO]
    if len(places) != 1 or places[0] == 0:
        return None
    before, after = trim(tokens[: places[0]]), trim(tokens[places[0] + 1 :])
    if before and before[-1].text == "(" and after and after[-1].text == ")":
        before, after = trim(before[:-1]), trim(after[:-1])
    if not before or not after:
        return None
    modulus, left = parse(after), parse(before)
    name: Answer | None = None
    match left:
        case Relation((name, left), ("\\equiv" | "=",)):
            pass
        case Listing((Relation((name, first), ("\\equiv" | "=",)), *others)):  # x = 1, 3
            left = Listing((first, *others))
    remainders = left.items if isinstance(left, Listing) else (left,)
    scalars = tuple(item for item in remainders if isinstance(item, Scalar))
    if len(scalars) < len(remainders) or not isinstance(modulus, Scalar) or modulus.unit:
        return None
    return Residue(scalars, modulus, name)


def parse_parity(tokens: list[Token]) -> Residue | None:
    """``n is even``, ``even n``, ``all odd n``: a congruence modulo 2."""
    letters = [token.text for token in tokens if token.kind == "let" and token.text not in ("a", "A")]
    spoken = [token.text.lower() for token in tokens if token.kind == "word"]
    parities = [_PARITY[word] for word in spoken if word in _PARITY]
    others = [t for t in tokens if t.kind not in ("let", "word") and t.text not in ("{", "}")]
    if len(parities) != 1 or len(letters) != 1 or others or not set(spoken) <= _FILLERS | _PARITY.keys():
        return None
    return Residue((Scalar(Num(Fraction(parities[0]))),), Scalar(Num(Fraction(2))), Scalar(Sym(letters[0])))
