"""What is said of a letter: ``k \\in \\mathbb{Z}``, ``for every real x``, ``C is a constant``."""

from __future__ import annotations

from bonbench.verifiers.reading.answers import Domain
from bonbench.verifiers.reading.brackets import find
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token

_SETS = {
    **dict.fromkeys(("Z",), "Z"),
    **dict.fromkeys(("N", "Z^+", "Z_+", "N^+", "N_+", "N^*", "Z_>0", "Z^>0", "N_>0", "Z_\\ge1", "N_\\ge1"), "N"),
    **dict.fromkeys(("N_0", "Z_\\ge0", "Z^\\ge0", "Z_0^+", "N^0"), "N0"),
    **dict.fromkeys(("R", "(-\\infty,\\infty)"), "R"),
    "Q": "Q",
    "C": "C",
}
_KINDS = {
    frozenset(phrase.split()): kind
    for kind, phrases in {
        "Z": "integer|whole",
        "N": "positive integer|natural",
        "N0": "nonnegative integer|non negative integer",
        "R": "real",
        "Q": "rational",
        "C": "complex",
        "prime": "prime",
        "constant": "constant|real constant",
        "all": "",
    }.items()
    for phrase in phrases.split("|")
}
_FILLERS = words("is are an a be as any all each every some the number numbers arbitrary being denotes of value values")
_QUANTIFIERS = words("any all each every arbitrary")
_MEMBER = ("\\in",)
_GREEK = words("\\alpha \\beta \\gamma \\theta \\lambda \\mu \\phi \\omega")


def parse_domain(tokens: list[Token]) -> Domain | None:
    """The domain that ``tokens`` give to one letter or several; None where they say something else."""
    place = find(tokens, _MEMBER)
    if place is not None:
        kind = _SETS.get(
            "".join(t.text for t in tokens[place + 1 :] if t.text not in ("{", "}", "\\mathbb", "+\\infty"))
        )
        names = _letters(tokens[:place])
        return Domain(names, kind) if names and kind else None
    return _counted(tokens) or _spoken(tokens)


def _letters(tokens: list[Token]) -> tuple[str, ...] | None:
    """Letters with commas between them."""
    names = []
    for index, token in enumerate(tokens):
        if token.kind == "let" and token.text not in ("A",):
            names.append(token.text)
        elif token.text in _GREEK:
            names.append(token.text[1:])
        elif token.text == "_" and names and index + 1 < len(tokens):
            continue
        elif token.kind == "num" and names and tokens[index - 1].text == "_":
            names[-1] += "_" + token.text
        elif token.text not in (",", "and", "{", "}", "\\forall"):
            return None
    return tuple(names)


def _counted(tokens: list[Token]) -> Domain | None:
    """``k = 0, \\pm 1, \\pm 2, \\ldots``, ``n = 1, 2, 3, \\ldots``."""
    texts = [t.text for t in tokens if t.text not in ("{", "}", ",")]
    if len(texts) < 4 or tokens[0].kind != "let" or texts[1] != "=" or texts[-1] not in ("\\ldots", "\\cdots", "."):
        return None
    start = [text for text in texts[2:] if text not in ("\\ldots", "\\cdots", ".")]
    kinds = {"0 \\pm 1": "Z", "\\pm 1": "Z", "1 2": "N", "0 1": "N0"}
    kind = next((kinds[key] for key in kinds if " ".join(start).startswith(key)), None)
    return None if kind is None else Domain((tokens[0].text,), kind)


def _spoken(tokens: list[Token]) -> Domain | None:
    spoken = [t.text.lower() for t in tokens if t.kind == "word"]
    rest = [t for t in tokens if t.kind != "word" and t.text != "\\forall" and not (t.text == "a" and spoken)]
    quantified = bool(_QUANTIFIERS & set(spoken)) or any(t.text == "\\forall" for t in tokens)
    named = frozenset(word.removesuffix("s") for word in spoken if word not in _FILLERS)
    kind = _KINDS.get(named)
    names = _letters(rest)
    if not names or kind is None or (kind == "all" and not quantified):
        return None
    return Domain(names, kind)
