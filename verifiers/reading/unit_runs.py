"""Letters that may be units become units at the end of a value, and symbols inside a formula."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.spelling import words
from bonbench.verifiers.reading.tokens import Token

_ENDS = frozenset({
    *(",", ";", ")", "]", "}", "\\}", ".", ":", "\\\\", "&", "=", "<", ">", "'", '"', "?", "|"),
    *("\\approx", "\\le", "\\ge", "\\ne", "\\cup", "\\simeq", "\\Rightarrow", "\\rightarrow"),
})  # fmt: skip
_JOINS = ("/", "\\cdot", "*", "\\times")
# Two units of one letter side by side that are one unit; other letters side by side are symbols.
_PAIRS = words("Nm Ah Wh Vs VA Js Ns Cm As Ws Jg")


def settled(tokens: Sequence[Token], symbols: bool = False) -> list[Token]:
    """``tokens`` with every token of the kinds ``unit`` and ``unit?`` (in italics) as a word or as letters.

    ``symbols``: whatever is in italics is letters, for the other reading of "5 m".
    """
    if not any(t.kind in ("unit", "unit?") for t in tokens):
        return list(tokens)
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.kind not in ("unit", "unit?"):
            result.append(token)
            position += 1
            continue
        end = _run_end(tokens, position)
        run = tokens[position:end]
        if (symbols and any(t.kind == "unit?" for t in run)) or not _is_unit(run, tokens[end:]):
            result += [letter for t in run for letter in _letters(t)]
        elif end == len(tokens) or not _in_fraction(result, tokens[end]):
            result += [Token("word", t.text) if t.kind in ("unit", "unit?") else t for t in run]
        position = end
    return result


def _run_end(tokens: Sequence[Token], position: int) -> int:
    """Where the unit that begins at ``position`` ends, with its exponents and the units it is multiplied with."""
    while position < len(tokens):
        token = tokens[position]
        if token.kind in ("unit", "unit?"):
            position += 1
        elif token.text == "^" and (end := _exponent_end(tokens, position)):
            position = end
        elif token.text in _JOINS and position + 1 < len(tokens) and _is_unit_kind(tokens[position + 1]):
            position += 1 + (tokens[position + 1].kind == "word")
        elif token.text == "/" and position + 2 < len(tokens) and _opens_group(tokens, position + 1):
            closing = next((i for i in range(position, len(tokens)) if tokens[i].text == ")"), len(tokens) - 1)
            position = closing + 1
        else:
            break
    return position


def _is_unit_kind(token: Token) -> bool:
    return token.kind in ("unit", "unit?", "word")


def _opens_group(tokens: Sequence[Token], position: int) -> bool:
    return tokens[position].text == "(" and _is_unit_kind(tokens[position + 1])


def _exponent_end(tokens: Sequence[Token], position: int) -> int | None:
    """Where ``^2``, ``^{-1}`` ends; None where the exponent is another."""
    index = position + 1
    braced = index < len(tokens) and tokens[index].text == "{"
    index += braced
    index += index < len(tokens) and tokens[index].text == "-"
    if index >= len(tokens) or tokens[index].text not in ("1", "2", "3", "4"):
        return None
    index += 1
    if braced and (index >= len(tokens) or tokens[index].text != "}"):
        return None
    return index + braced


def _is_unit(run: Sequence[Token], after: Sequence[Token]) -> bool:
    """Whether a run of units at this place is one: nothing follows that goes on with a formula."""
    if after and after[0].kind != "word" and after[0].text not in _ENDS and not _is_amount(after):
        return False
    units = [t for t in run if t.kind in ("unit", "unit?")]
    if [t.text for t in units] == ["\\mu"]:
        return False
    in_italics = all(t.kind == "unit?" and len(t.text) == 1 for t in units)
    if len(units) > 1 and in_italics and not any(t.text in _JOINS or t.text == "-" for t in run):
        return "".join(t.text for t in units) in _PAIRS
    return True


def _is_amount(tokens: Sequence[Token]) -> bool:
    """Whether a number with its unit comes next: "1 h 30 min"."""
    return len(tokens) > 1 and tokens[0].kind == "num" and _is_unit_kind(tokens[1])


def _in_fraction(before: Sequence[Token], after: Token) -> bool:
    """Whether the place between is the end of a braced group, where a word would break the expression."""
    return after.text == "}" and sum((t.text == "{") - (t.text == "}") for t in before) > 0


def _letters(token: Token) -> list[Token]:
    if token.kind not in ("unit", "unit?"):
        return [token]
    if token.text.startswith("\\"):
        return [Token("cmd", token.text)]
    if token.kind == "unit" and len(token.text) > 1:
        return [Token("word", token.text)]
    return [Token("let", letter) for letter in token.text]
