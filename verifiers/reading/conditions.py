"""Values with conditions: functions by cases, and remarks on where an answer holds.

``0 if n is even, 1 if n is odd`` is a function by cases. ``2k + 1, k \\in \\mathbb{Z}`` is a value with the domain of
its parameter. Words that say nothing mathematical are left to ``wording``.
"""

from __future__ import annotations

from collections.abc import Callable

from bonbench.verifiers.reading.answers import Answer, Conditioned, Domain, Listing, Piecewise, Relation, Residue
from bonbench.verifiers.reading.brackets import find, trim, with_depth
from bonbench.verifiers.reading.domains import parse_domain
from bonbench.verifiers.reading.residues import parse_parity
from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token, Unreadable

Parse = Callable[[list[Token]], Answer]

#: Words that begin a condition.
OPENERS = words("if when whenever for where with provided given that such")
_ELSE = words("otherwise else elsewhere")
_SEPARATORS = words(", ; and or but")
_COMPARISONS = words("< > \\le \\ge \\ne")
_MAX_BRANCHES = 20


class _Branch:
    """Tokens of one value and of its condition; ``condition`` is None before one has begun."""

    def __init__(self, value: list[Token], condition: list[Token] | None = None) -> None:
        self.value = value
        self.condition = condition


def parse_conditional(tokens: list[Token], parse: Parse) -> Answer | None:
    """The value with its conditions, or the function by cases, that ``tokens`` spell; None for anything else."""
    tokens = _without_brackets_at_end(tokens)
    branches = _branches(tokens)
    if branches is None or len(branches) > _MAX_BRANCHES:
        return None
    read: list[tuple[Answer, Answer | None]] = []
    for branch in branches:
        value, condition = trim(branch.value), trim(branch.condition or [])
        if not value or not condition:
            return None
        if is_otherwise(condition):
            read.append((parse(value), None))
            continue
        meaning = parse_condition(condition, parse)
        if meaning is None:
            return None
        read.append((parse(value), meaning))
    if len(read) > 1:
        return Piecewise(tuple(read))
    ((single, remark),) = read
    if remark is None:
        return None
    conditions = remark.items if isinstance(remark, Listing) else (remark,)
    return Conditioned(single, conditions)


def parse_condition(tokens: list[Token], parse: Parse) -> Answer | None:
    """What a condition says; None where it is not mathematical."""
    tokens = trim(tokens)
    while tokens and tokens[0].kind == "word" and tokens[0].text.lower() in OPENERS:
        tokens = trim(tokens[1:])
    if not tokens:
        return None
    if (parity := parse_parity(tokens)) is not None:
        return parity
    if (domain := parse_domain(tokens)) is not None:
        return domain
    try:
        condition = parse(tokens)
    except Unreadable:
        return None
    return condition if _is_condition(condition) else None


def _is_condition(answer: Answer) -> bool:
    if isinstance(answer, Listing):
        return any(_is_condition(item) for item in answer.items)
    return isinstance(answer, Relation | Residue | Domain)


def is_otherwise(tokens: list[Token]) -> bool:
    """Whether a condition stands for all cases that are left."""
    return all(t.kind == "word" for t in tokens) and tokens[0].text.lower() in _ELSE


def _without_brackets_at_end(tokens: list[Token]) -> list[Token]:
    """``2k + 1 (k \\in \\mathbb{Z})`` with a comma for the brackets."""
    if not tokens or tokens[-1].text != ")":
        return tokens
    depths = with_depth(tokens)
    start = next((i for i in range(len(tokens) - 2, 0, -1) if depths[i][1] == 1 and tokens[i].text == "("), None)
    if start is None:
        return tokens
    inner = tokens[start + 1 : -1]
    opens = bool(inner) and inner[0].kind == "word" and inner[0].text.lower() in OPENERS
    if opens or find(inner, ("\\in", *_COMPARISONS)) is not None:
        return [*tokens[:start], Token("op", ","), *inner]
    return tokens


#: A longer list is no function by cases. Each part is held against all before it.
_MAX_PARTS = 64


def _branches(tokens: list[Token]) -> list[_Branch] | None:
    """``tokens`` cut into values and their conditions; None where the first value has no condition."""
    chunks = _chunks(tokens)
    if len(chunks) > _MAX_PARTS:
        return None
    branches = [_Branch([])]
    for separator, chunk in chunks:
        current = branches[-1]
        place = _opener(chunk)
        if place == 0 and chunk[0].text.lower() in _ELSE and len(chunk) > 1:  # otherwise b
            branches.append(_Branch(chunk[1:], chunk[:1]))
        elif place == 0 or (place is None and current.value and _is_remark(chunk, current)):
            if current.condition is None:
                current.condition = _taken_back(current, chunk) if place is None else []
                current.condition += chunk
            else:
                current.condition += [*separator, *chunk]
        elif place is None:
            target = current.value if current.condition is None else current.condition
            target += [*(separator if target else []), *chunk]
        elif current.condition is None:
            current.value += [*(separator if current.value else []), *chunk[:place]]
            current.condition = chunk[place:]
        else:
            branches.append(_Branch(chunk[:place], chunk[place:]))
    return branches if all(b.condition for b in branches) else None


def _taken_back(branch: _Branch, chunk: list[Token]) -> list[Token]:
    """``m`` of ``…, m, n \\in \\mathbb{Z}``, which was read as part of the value."""
    taken: list[Token] = []
    value = branch.value
    while (
        len(value) > 2
        and value[-2].text == ","
        and value[-1].kind == "let"
        and any(t.text == value[-1].text for t in value[:-2])
        and find(chunk, ("\\in",)) is not None
    ):
        taken = [value[-1], value[-2], *taken]
        del value[-2:]
    return taken


def _chunks(tokens: list[Token]) -> list[tuple[list[Token], list[Token]]]:
    """(separator before it, tokens) of the parts between separators outside brackets."""
    chunks: list[tuple[list[Token], list[Token]]] = [([], [])]
    for token, depth in with_depth(tokens):
        if depth == 0 and token.text in _SEPARATORS:
            if chunks[-1][1]:
                chunks.append(([token], []))
        else:
            chunks[-1][1].append(token)
    return [chunk for chunk in chunks if chunk[1]]


def _opener(chunk: list[Token]) -> int | None:
    """Where the condition in ``chunk`` begins."""
    return next(
        (
            index
            for index, (token, depth) in enumerate(with_depth(chunk))
            if depth == 0 and token.kind == "word" and token.text.lower() in OPENERS | _ELSE
        ),
        None,
    )


def _is_remark(chunk: list[Token], branch: _Branch) -> bool:
    """Whether ``chunk`` after a value is a condition without a word for it: ``k \\in \\mathbb{Z}``, ``x \\ne 1``."""
    if find(branch.value, ("\\in", *_COMPARISONS)) is not None:
        return False
    letters = {t.text for t in branch.value if t.kind in ("let", "cmd")}
    if (place := find(chunk, ("\\in",))) is not None:
        return {t.text for t in chunk[:place] if t.kind == "let"} <= letters
    bare = [t.text for t in branch.value]
    place = find(chunk, tuple(_COMPARISONS))
    if place != 1 or chunk[0].kind not in ("let", "cmd") or chunk[0].text not in letters:
        return False
    return len(bare) > 1 and bare[:2] != [chunk[0].text, "="]
