"""Lists of tokens, cut and searched with regard to brackets."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.tokens import Token

_OPEN = {
    "(": ")",
    "[": "]",
    "{": "}",
    "\\{": "\\}",
    "\\langle": "\\rangle",
    "\\lfloor": "\\rfloor",
    "\\lceil": "\\rceil",
}
#: Opening brackets, environments aside.
OPENING = frozenset(_OPEN)
CLOSING = frozenset(_OPEN.values())
_QUOTES = ("'", '"', "`")


def with_depth(tokens: Sequence[Token]) -> list[tuple[Token, int]]:
    """Tokens with their bracket depth; an opening and its closing bracket count as inside."""
    depth, result = 0, []
    for token in tokens:
        text = token.text
        opens = token.kind != "word" and (text in OPENING or text.startswith("\\begin{"))
        closes = token.kind != "word" and (text in CLOSING or text.startswith("\\end{"))
        depth += opens
        result.append((token, depth))
        depth = max(0, depth - closes)
    return result


def split(tokens: Sequence[Token], separators: Sequence[str]) -> list[list[Token]]:
    """``tokens`` cut at the separators outside all brackets."""
    parts: list[list[Token]] = [[]]
    for token, depth in with_depth(tokens):
        if depth == 0 and token.text in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def find(tokens: Sequence[Token], texts: Sequence[str]) -> int | None:
    """Index of the first token outside all brackets that is one of ``texts``."""
    return next((i for i, (t, depth) in enumerate(with_depth(tokens)) if depth == 0 and t.text in texts), None)


def closing_index(tokens: Sequence[Token]) -> int | None:
    """Index of the bracket that closes the first token's (``[0, 1)`` counts: any closing bracket does)."""
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind == "word":
            continue
        if token.text in OPENING:
            depth += 1
        elif token.text in CLOSING:
            depth -= 1
            if depth == 0:
                return index
    return None


def trim(tokens: list[Token]) -> list[Token]:
    """Without trailing punctuation, leading commas, and a pair of braces around everything."""
    start, end = 0, len(tokens)
    changed = True
    while changed and start < end:
        changed = False
        if end - start > 1 and tokens[start].text in _QUOTES and tokens[end - 1].text in _QUOTES:
            start, end = start + 1, end - 1
            changed = True
        elif tokens[end - 1].text in (".", ",", ";", ":", "\\\\", "?") or (
            tokens[end - 1].text in ("and", "or") and tokens[end - 1].kind == "word"
        ):
            end -= 1
            changed = True
        elif tokens[start].text in (",", ";", ".", "\\\\", ":") or (
            tokens[start].text in ("and", "or") and tokens[start].kind == "word"
        ):
            start += 1
            changed = True
        elif tokens[start].text == "{" and closing_index(tokens[start:end]) == end - start - 1:
            start, end = start + 1, end - 1
            changed = True
        elif tokens[end - 1].text == "}" and not _balanced(tokens[start:end]):
            end -= 1
            changed = True
    return tokens[start:end]


def _balanced(tokens: Sequence[Token]) -> bool:
    depth = 0
    for token in tokens:
        depth += (token.text == "{") - (token.text == "}")
        if depth < 0:
            return False
    return True


def are_paired(tokens: Sequence[Token]) -> bool:
    """Whether every bracket is closed by a bracket of its kind."""
    open_ones: list[str] = []
    for token in tokens:
        if token.text in OPENING:
            open_ones.append(_OPEN[token.text])
        elif token.text in CLOSING and (not open_ones or open_ones.pop() != token.text):
            return False
    return not open_ones


def with_set_braces(tokens: Sequence[Token]) -> list[Token]:
    """``{x | x > 2}`` with the braces of a set, as plain text writes them."""
    if (
        len(tokens) > 4
        and tokens[0].text == "{"
        and tokens[1].kind == "let"
        and closing_index(tokens) == len(tokens) - 1
    ):
        texts = [t.text for t in tokens]
        bar = find(tokens[1:-1], ("|", ":"))
        if bar is not None and texts.count("|") + texts.count(":") == 1 and "," not in texts[: bar + 1]:
            return [Token("op", "\\{"), *tokens[1:-1], Token("op", "\\}")]
    return list(tokens)


def said_once(tokens: list[Token]) -> list[Token]:
    """``7 (seven)`` without the second spelling of the same."""
    half = (len(tokens) - 2) // 2
    is_repeated = half and tokens[half:] == [Token("op", "("), *tokens[:half], Token("op", ")")]
    return tokens[:half] if is_repeated and tokens[0].kind == "num" else tokens
