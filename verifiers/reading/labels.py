"""Labels of the items of a list: ``(a) 3, (b) 4``, "chickens: 15, rabbits: 20"."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.brackets import trim
from bonbench.verifiers.reading.operations import spelled
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token

_SEQUENCES = ("abcdefgh", "ABCDEFGH", "12345678", ("i", "ii", "iii", "iv", "v", "vi"), ("I", "II", "III", "IV", "V"))
_ADD_NOTHING = words("the a an is are has have only exactly and or then there about of")


def separated(tokens: list[Token]) -> list[Token]:
    """``(a) 1 (b) 2`` with commas between its parts."""
    result: list[Token] = []
    labels = 0
    for index, token in enumerate(tokens):
        label = "".join(t.text for t in tokens[index : index + 3])
        if label == f"({_SEQUENCES[0][min(labels, 7)]})" and (labels or index == 0):
            labels += 1
            if result and result[-1].text not in (",", ";", "and"):
                result.append(Token("op", ","))
        result.append(token)
    return result if labels > 1 else tokens


def enumerated(parts: Sequence[list[Token]]) -> list[tuple[str, list[Token]]] | None:
    """The items of a list that are numbered ``(a)``, ``(b)``, … in any order, with their labels; None for others."""
    found = [_enumerator(part) for part in parts]
    labels = [item[0] for item in found if item is not None]
    if len(labels) < len(parts) or len(parts) < 2:
        return None
    if not any(sorted(labels) == sorted(sequence[: len(labels)]) for sequence in _SEQUENCES):
        return None
    return [item for item in found if item is not None]


def _enumerator(part: list[Token]) -> tuple[str, list[Token]] | None:
    """Label and rest of ``(a) 3`` or ``a) 3``."""
    start = int(part[0].text == "(")
    end = next((i for i, t in enumerate(part[:6]) if t.text == ")"), 0)
    label = "".join(t.text for t in part[start:end])
    rest = trim(part[end + 1 :])
    if not label or len(label) > 3 or not rest or rest[0].text == "(":
        return None
    return label, rest


def label_of(part: Sequence[Token]) -> str:
    """The words that stand before a value, without those that add nothing; "" where none do."""
    spoken = []
    for token in part:
        if token.kind != "word":
            break
        spoken += [word for word in spelled(token).split() if word not in _ADD_NOTHING]
    return " ".join(spoken)
