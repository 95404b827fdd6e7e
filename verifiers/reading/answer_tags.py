"""Answers between tags: ``<answer>42</answer>``, ``[ANSWER]42[/ANSWER]``, ``<|begin_of_solution|>…``."""

from __future__ import annotations

import re

_TAG = re.compile(
    r"[<\[][|｜]?(?P<close>/|end_of_|end_)?(?:begin_of_|start_of_|begin_|start_)?"
    r"(?:final[_ ]?answer|final[_ ]?response|final|answer|ans|solution|result|response|output|box|boxed)"
    r"(?:\s[^<>\n]{0,40})?[|｜]?[>\]]",
    re.IGNORECASE,
)
_HINTS = ("answer", "solution>", "_solution", "ans>", "final>", "result>", "response", "output>", "box>", "_box")


def tagged(text: str, start: int = 0) -> tuple[str, int] | None:
    """(the content of the last answer tag, where it ends); None without one that ends after ``start``.

    The closing tag is missing where it stopped the generation, the opening one where the prompt ended with it.

    >>> tagged("<answer>42</answer>"), tagged("So <answer> 42"), tagged("42</answer>")
    (('42', 19), ('42', 14), ('42', 11))
    """
    if (text.find("<", start) < 0 and text.find("[", start) < 0) or not any(map(text.lower().__contains__, _HINTS)):
        return None
    content: tuple[str, int] | None = None
    opening: int | None = None
    position = 0
    for tag in _TAG.finditer(text):
        if tag["close"] is None:
            opening = tag.end()
        else:
            inner = text[position if opening is None else opening : tag.start()].strip()
            content, opening = ((inner, tag.end()) if inner else content), None
        position = tag.end()
    if opening is not None and text[opening:].strip():
        content = text[opening:].strip(), len(text)
    return content if content is not None and content[1] > start else None
