r"""Boxes: ``\boxed{…}`` and its relatives, and what those of one response say together."""

from __future__ import annotations

import re

_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox|bbox(?:\[[^\[\]]{0,40}\])?|f?colorbox(?:\{[^{}]{0,40}\}){1,2})(?![A-Za-z])\s*"
)
# The backslash of "\boxed" may be lost, or have been read together with the "b" as a backspace.
_DAMAGED_BOX = re.compile(r"(?<![A-Za-z\\])(?:\x08oxed|boxed)(?=\{)")
_BARE_CONTENT = re.compile(r"\\?\w+")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
# Boxes belong together when only a short connection stands between them: "and", a comma, no new sentence.
_CONNECTION = re.compile(
    r"(?!.*(?:\n\s*\n|[.!?]\s|\\\]))(?=.*(?:\band\b|\bor\b|,|;|\\quad)).{1,80}|\s*[,;]?\s*", re.DOTALL
)
_PLACEHOLDER = re.compile(
    r"(?:\\text\{)?\s*(?:(?:your |the |final )*answer(?: here)?|\.{3}|…|\\[lc]?dots|\?+|_+|\\_+|\\square|~"
    r"|\\quad|\\ )\s*\}?",
    re.IGNORECASE,
)
_DENIAL = re.compile(r"\b(?:not|instead\s+of|rather\s+than)[\s$]*$")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii")
# The label of a part at the start of a line: "(a)", "**b.**", "Part 2:"; a bare number only right before the box.
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_PART = re.compile(
    r"(?:^|(?<=\.[ ]))[ \t*#-]*(?:the\s+)?(?P<ordinal>first|second|third|fourth|fifth)\s+"
    r"(?:root|solution|answer|part|question|value|number|unknown|case)\b"
    r"|^[ \t*#-]*(?:\(?(?P<letter>[a-h])\)|(?P<point>[a-h])[.:](?=[\s*])"
    r"|(?:part|question|problem)\s+\(?(?P<part>[a-h1-9])\b|\((?P<roman>i{1,3}|iv|vi{0,3})\)|\(?(?P<digit>[1-9])[.):](?=[^A-Za-z\n]{0,8}(?:[a-z]{1,2}\s*=\s*)?\\boxed))",
    re.IGNORECASE | re.MULTILINE,
)


def boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every balanced box that holds something, outermost ones only."""
    result = []
    position = 0
    box = _box_pattern(text)
    while (match := box.search(text, position)) is not None:
        start, position = match.start(), match.end()
        if text[position : position + 1] == "{":
            end = closing_brace(text, position)
            if end is None:
                break  # cut off inside; no later brace can close an outer one
            content, position = text[position + 1 : end], end + 1
        else:
            word = _BARE_CONTENT.match(text, position)
            if word is None:
                continue
            content, position = word[0], word.end()
        if content.strip():
            result.append((start, position, content.strip()))
    return result


def _box_pattern(text: str) -> re.Pattern[str]:
    return _BOX if _BOX.search(text) is not None else _DAMAGED_BOX


def closing_brace(text: str, opening: int) -> int | None:
    """Offset of the brace that closes the one at ``opening``; escaped braces do not count."""
    depth = 0
    for match in _BRACE.finditer(text, opening):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None


def cut_off(text: str) -> int | None:
    """Where the last box of ``text`` begins, if it was opened and never closed."""
    at = text.rfind("\\", 0, text.rfind("box") + 1)
    last = _BOX.match(text, at) if at >= 0 else None
    if last is None or text[last.end() : last.end() + 1] != "{" or closing_brace(text, last.end()) is not None:
        return None
    return last.start()


def boxed(text: str, start: int = 0) -> tuple[str, int] | None:
    r"""(what the last boxes of ``text`` say together, where they end); None without a box.

    >>> boxed(r"So \boxed{1} and \boxed{2}.")
    ('1, 2', 26)
    >>> boxed("(a) \\boxed{3}\n\n(b) \\boxed{5}")
    ('3, 5', 28)
    """
    if "box" not in text and "\x08ox" not in text:
        return None
    filled = [box for box in boxes(text) if _PLACEHOLDER.fullmatch(box[2]) is None and not _is_denied(text, box[0])]
    if not filled or filled[-1][1] <= start:
        return None
    contents = _of_parts(text, filled)
    if contents is None:
        contents = [filled[-1][2]]
        for (_, end, content), (start, _, _) in zip(filled[-2::-1], filled[:0:-1], strict=True):
            if _CONNECTION.fullmatch(text[end:start]) is None:
                break
            contents.insert(0, content)
        contents = list(dict.fromkeys(contents))
    return ", ".join(contents), filled[-1][1]


def _is_denied(text: str, start: int) -> bool:
    """Whether the box at ``start`` is named only to say that it is not the answer: "not \\boxed{13}"."""
    return _DENIAL.search(text, max(0, start - 20), start) is not None


def _number(label: str, is_roman: bool) -> int:
    if label in _ORDINALS:
        return _ORDINALS.index(label) + 1
    if is_roman:
        return _ROMAN.index(label) + 1
    return int(label) if label.isdigit() else ord(label) - ord("a") + 1


def _of_parts(text: str, filled: list[tuple[int, int, str]]) -> list[str] | None:
    """The boxes of parts (a), (b), … to the end, one box each; None where the response does not answer by parts."""
    if len(filled) < 2:
        return None
    starts: list[int] = []
    for match in _PART.finditer(text):
        label = next(g for g in match.groups() if g is not None)
        number = _number(label.lower(), match["roman"] is not None)
        if number == 1:
            starts = [match.start()]
        elif number == len(starts) + 1:
            starts.append(match.start())
    if len(starts) < 2:
        return None
    within = [
        [content for at, _, content in filled if start <= at < end]
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True)
    ]
    return [contents[0] for contents in within] if all(len(contents) == 1 for contents in within) else None
