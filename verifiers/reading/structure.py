"""The structure of an answer: tuples, intervals, sets, lists, matrices, equations, text, and leaf expressions.

:func:`parse` turns tokens into one tree of the types of ``answers``. It decides what was written, not what is
equal: whether ``(1, 2)`` is a point or an interval, or whether units count, is decided in ``equivalence``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, product

from bonbench.verifiers.reading import expressions
from bonbench.verifiers.reading.answers import (
    Answer,
    Braced,
    Bracketed,
    Intersection,
    Listing,
    Opaque,
    Phrase,
    Relation,
    Scalar,
    Text,
    Union,
)
from bonbench.verifiers.reading.bases import numeral
from bonbench.verifiers.reading.brackets import (
    OPENING,
    closing_index,
    find,
    said_once,
    split,
    trim,
    with_depth,
    with_set_braces,
)
from bonbench.verifiers.reading.conditions import parse_conditional
from bonbench.verifiers.reading.labels import enumerated, label_of, separated
from bonbench.verifiers.reading.matrices import has_environment, parse_environment
from bonbench.verifiers.reading.measures import amount, with_marks
from bonbench.verifiers.reading.number_words import with_numerals
from bonbench.verifiers.reading.operations import merged, spelled, with_remainders
from bonbench.verifiers.reading.phrases import UNKNOWN, without_exceptions, worked_out
from bonbench.verifiers.reading.residues import parse_congruence, parse_parity
from bonbench.verifiers.reading.spelling import MONTHS, words
from bonbench.verifiers.reading.syntax import Sym
from bonbench.verifiers.reading.times import clock, date
from bonbench.verifiers.reading.tokens import Token, Unreadable
from bonbench.verifiers.reading.totals import with_totals
from bonbench.verifiers.reading.wording import changes_next, is_unit, without_label, without_lead, without_remarks

_RELATIONS = words(
    "= < > \\le \\ge \\ne \\in \\notin \\equiv \\subset \\subseteq \\sim \\cong \\propto "
    "\\mapsto \\rightarrow \\perp \\parallel"
)
_TEXT_MARKS = frozenset("-.'\"{}()?`")
_POLAR = words("yes no true false")
_MAX_VARIANTS = 16
# "5 % more" is no 5 %.
_CHANGES_OF_SHARE = words("more less fewer larger smaller higher lower greater off")


def parse(tokens: Sequence[Token]) -> Answer:
    """The answer that ``tokens`` spell.

    Raises:
        Unreadable: for nothing at all, or a denial ("not 5").
    """
    if len(tokens) > 1 and tokens[-1].text == "!" and tokens[-2].kind == "word":
        tokens = tokens[:-1]
    tokens = trim(with_marks(with_set_braces(tokens)))
    if [t.text for t in tokens].count(":") == 1:
        tokens = without_label(tokens)
    tokens = said_once(trim(merged(with_totals(with_numerals(with_remainders(tokens))))))
    if not tokens:
        raise Unreadable("empty")
    if (verdict := _yes_or_no(tokens)) is not None:
        return verdict
    if (whole := clock(tokens) or amount(tokens)) is not None:
        return whole
    if (parity := parse_parity(tokens)) is not None:
        return parity
    if (text := _as_text(tokens)) is not None:
        return text
    if (dated := date(tokens)) is not None:
        return dated
    if any(t.kind == "word" and t.text in MONTHS for t in tokens):
        return Text(tuple(t.text.lower() for t in tokens if t.text != ","))
    tokens = without_lead(without_exceptions(tokens))
    if (conditional := parse_conditional(tokens, _parse_listing)) is not None:
        return conditional
    tokens = without_remarks(tokens)
    if not tokens:
        raise Unreadable("empty")
    return _parse_listing(tokens)


def _yes_or_no(tokens: Sequence[Token]) -> Text | None:
    """``Yes, because …``: what follows the word explains it."""
    if len(tokens) < 3 or tokens[0].text.lower() not in _POLAR or tokens[2].text.lower() in _POLAR:
        return None
    if tokens[1].text in (",", ".", ";", ":", "-", "(") or tokens[1].text.lower() in ("because", "since", "as"):
        return Text((tokens[0].text.lower(),)) if any(t.kind == "word" for t in tokens[2:]) else None
    return None


# -- levels, from the loosest separator inwards --------------------------------------------------------------


def _parse_listing(tokens: list[Token]) -> Answer:
    tokens = separated(trim(tokens))
    if (congruence := parse_congruence(tokens, _parse_listing)) is not None:
        return congruence
    for separators in ((";",), (",", "and", "or", "&", "\\\\", "\\land", "\\lor")):
        parts = [p for p in (trim(p) for p in split(tokens, separators)) if p]
        if len(parts) > 1:
            return Listing(tuple(_items(parts)))
        if len(parts) == 1 and len(parts[0]) < len(tokens):
            tokens = parts[0]
    if not tokens:
        raise Unreadable("empty")
    return _parse_relation(tokens)


def _items(parts: Sequence[list[Token]]) -> Iterator[Answer]:
    """The items of a list. A label becomes the name of its item: that of an equation, or the unit."""
    numbered = enumerated(parts)
    if numbered is not None:
        for label, part in numbered:
            yield Relation((Scalar(Sym(f"({label})")), _parse_listing(part)), ("=",))
        return
    for part in parts:
        item = _parse_listing(part)
        label = label_of(part)
        if label and isinstance(item, Scalar) and not item.unit:
            item = Scalar(item.expr, label)
        yield from _spread(item)


def _spread(item: Answer) -> tuple[Answer, ...]:
    """Items of ``1 \\pm 2`` inside a longer list stand beside the others."""
    return item.items if isinstance(item, Listing) and all(isinstance(i, Scalar) for i in item.items) else (item,)


def _parse_relation(tokens: list[Token]) -> Answer:
    cut = find(tokens, ("\\approx", "\\simeq", "\\Rightarrow", "\\doteq", "\\Leftrightarrow"))
    if cut is not None:
        name = all(t.kind in ("let", "word") or t.text in "_()" for t in tokens[:cut])
        tokens = tokens[cut + 1 :] if name else tokens[:cut]
    understood = worked_out(without_label(tokens))
    if understood is None:
        return _parse_phrase(tokens)
    tokens = understood
    ops: list[str] = []
    pieces: list[list[Token]] = [[]]
    for token, depth in with_depth(tokens):
        if depth == 0 and token.kind != "word" and token.text in _RELATIONS:
            ops.append("=" if token.text == "\\equiv" else token.text)
            pieces.append([])
        else:
            pieces[-1].append(token)
    if not ops:
        return _parse_union(tokens)
    if not pieces[-1] or all(not trim(p) for p in pieces):
        raise Unreadable("relation without sides")
    if not trim(pieces[0]) and ops[0] not in ("=", "\\in"):
        pieces[0] = [UNKNOWN]
    parsers = (_parse_union, *(_parse_members if op == "\\in" else _parse_union for op in ops))
    items = tuple(parse_side(trim(p)) for parse_side, p in zip(parsers, pieces, strict=True) if trim(p))
    if len(items) == 1:
        return items[0]
    if len(items) != len(ops) + 1:
        ops = ops[len(ops) + 1 - len(items) :]
    return Relation(items, tuple(ops))


def _parse_members(tokens: list[Token]) -> Answer:
    """What stands after ``\\in``: ``{2, 3}`` in plain braces is a set."""
    content = _parse_union(tokens) if find(tokens, (",", ";")) is None else _parse_listing(tokens)
    return Braced(content.items) if isinstance(content, Listing) else content


def _parse_union(tokens: list[Token]) -> Answer:
    common = [trim(part) for part in split(tokens, ("\\cap",))]
    if len(common) > 1 and all(common):
        return Intersection(tuple(_parse_union(part) for part in common))
    head, *removed = split(tokens, ("\\setminus",))
    parts = split(head, ("\\cup",))
    if len(parts) == 1 and not removed:
        return _parse_item(tokens)
    return Union(tuple(_parse_item(trim(p)) for p in parts), tuple(_parse_item(trim(p)) for p in removed))


def _parse_item(tokens: list[Token]) -> Answer:
    tokens = trim(tokens)
    if not tokens:
        raise Unreadable("empty")
    if (time := clock(tokens)) is not None:
        return time
    opening = tokens[0].text
    if tokens[0].kind != "word" and opening in OPENING and (closing := closing_index(tokens)) is not None:
        inner, last = tokens[1:closing], tokens[closing].text
        rest = tokens[closing + 1 :]
        if not rest or (is_unit(rest) and opening in ("(", "[", "\\{", "\\langle")):
            bracketed = _parse_brackets(opening, inner, last)
            if bracketed is not None:
                return bracketed
    ratio = [trim(p) for p in split(tokens, (":",))]
    if len(ratio) > 2 and all(ratio):
        return Bracketed(":", tuple(_parse_leaf(p) for p in ratio), ":")
    if has_environment(tokens):
        matrix = parse_environment(tokens, _parse_listing)
        if matrix is not None:
            return matrix
    return _parse_leaf(tokens)


def _parse_brackets(opening: str, inner: list[Token], closing: str) -> Answer | None:
    """The content of one pair of brackets; None where they only group an expression."""
    if opening in ("{", "\\lfloor", "\\lceil"):
        return _parse_listing(inner) if opening == "{" and trim(inner) else None
    if opening == "\\{":
        bar = find(inner, ("|", ":"))
        if bar and bar + 1 < len(inner) and find(inner[:bar], (",",)) is None:
            return _parse_listing(inner[bar + 1 :])
        if not trim(inner):
            return Braced(())
        content = _parse_listing(inner)
        return Braced(content.items if isinstance(content, Listing) else (content,))
    parts = [trim(p) for p in split(inner, (",", ";"))]
    if len(parts) < 2:
        if opening == "(" and inner and find(inner, tuple(_RELATIONS | {"\\cup"})) is not None:
            return _parse_listing(inner)
        return _as_text(trim(inner)) if opening == "(" else None
    if not all(parts):
        return None
    opening, closing = (_round(b) for b in (opening, closing))
    choices = [_variants(_parse_relation(p)) for p in parts]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MAX_VARIANTS:
        raise Unreadable("too many signs")
    tuples = tuple(Bracketed(opening, items, closing) for items in product(*choices))
    return tuples[0] if len(tuples) == 1 else Listing(tuples)


def _round(bracket: str) -> str:
    return {"\\langle": "(", "\\rangle": ")"}.get(bracket, bracket)


def _variants(item: Answer) -> tuple[Answer, ...]:
    """The values of a component with a ± sign."""
    return item.items if isinstance(item, Listing) else (item,)


# -- leaves --------------------------------------------------------------------------------------------------


def _parse_leaf(tokens: list[Token]) -> Answer:
    signs = [i for i, t in enumerate(tokens) if t.text in ("\\pm", "\\mp")]
    if signs:
        return Listing(tuple(_parse_leaf(_signed(tokens, plus)) for plus in (True, False)))
    if (based := numeral(tokens)) is not None:
        return based
    start = next((i for i, t in enumerate(tokens) if t.kind != "word"), None)
    if start is None:
        return Text(tuple(word for t in tokens for word in spelled(t).split()))
    if changes_next([spelled(t) for t in tokens[:start]]):
        return _parse_phrase(tokens)
    tokens = tokens[start:]
    if _ends_with_scale(tokens):
        tokens = [*tokens[:-1], Token("word", tokens[-1].text)]
    try:
        expr, used = expressions.parse(tokens)
    except Unreadable:
        return Opaque(tuple(tokens))
    rest = tokens[used:]
    is_change = bool(rest) and tokens[used - 1].text == "%" and spelled(rest[0]) in _CHANGES_OF_SHARE
    if rest and (is_change or not is_unit(rest)):
        return _parse_phrase(tokens) if any(t.kind == "word" for t in rest) else Opaque(tuple(tokens))
    return Scalar(expr, " ".join(t.text for t in rest if t.text not in "{}"))


def _parse_phrase(tokens: list[Token]) -> Phrase:
    """Words, and the values between them."""
    parts: list[str | Answer] = []
    for is_word, run in groupby(tokens, key=lambda t: t.kind == "word"):
        if is_word:
            parts += [word for t in run for word in spelled(t).split()]
            continue
        value = trim([t for t in run if t.text not in _TEXT_MARKS or t.text in "(){}-.'"])
        if value:
            parts.append(_parse_value(value))
    return Phrase(tuple(parts))


def _parse_value(tokens: list[Token]) -> Answer:
    try:
        return _parse_listing(tokens)
    except Unreadable:
        return Opaque(tuple(tokens))


def _ends_with_scale(tokens: list[Token]) -> bool:
    """``20^\\circ C``: after a degree sign the letter is a unit, not a factor."""
    before = next((t.text for t in tokens[-2::-1] if t.text != "}"), "")
    return tokens[-1].text in ("C", "F") and before == "\\circ"


def _signed(tokens: list[Token], plus: bool) -> list[Token]:
    swap = {"\\pm": "+" if plus else "-", "\\mp": "-" if plus else "+"}
    return [Token("op", swap[t.text]) if t.text in swap else t for t in tokens]


def _as_text(tokens: list[Token]) -> Answer | None:
    """An answer that has nothing but words: one text, or several with commas or "and" between them."""
    if not any(t.kind == "word" for t in tokens) or worked_out(tokens) not in (tokens, None):
        return None
    parts = [p for p in (trim(p) for p in split(tokens, (",", ";", "and", "or"))) if p]
    texts = [_words(p) for p in parts]
    if not texts or None in texts:
        return None
    return texts[0] if len(texts) == 1 else Listing(tuple(t for t in texts if t is not None))


def _words(tokens: list[Token]) -> Answer | None:
    spoken = []
    for token in tokens:
        if token.kind in ("word", "let"):
            spoken += spelled(token).split()
        elif token.text not in _TEXT_MARKS:
            return None
    if len(spoken) == 1 and len(spoken[0]) == 1:
        return _parse_leaf([Token("let", t.text) for t in tokens if t.kind in ("word", "let")])
    return Text(tuple(w for w in spoken if w not in ("the", "a", "an") or len(spoken) == 1)) if spoken else None
