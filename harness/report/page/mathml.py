r"""LaTeX to MathML, as nested lists that the page's script turns into elements.

``latex2mathml`` reads the LaTeX. What a model wrote may be anything, so its result counts only as far as a list of
elements, attributes and values allows: no links, styles, colours or sizes beyond a letter's, nothing that could be
laid over its surroundings. Where it fails, or meets a command that it does not know, there is no MathML: the page
shows the source.
"""

from __future__ import annotations

import html
import re
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter

Node = Any  # a str, or [tag, attributes, *children]: see `to_mathml`

DEEPEST = 40  # elements within elements

_TOKENS = {"mi": "i", "mn": "n", "mo": "o", "mtext": "t"}
_CHILDREN: dict[str, int | None] = {
    **dict.fromkeys(("mrow", "mstyle", "mphantom", "msqrt", "mtable", "mtr", "mtd", "mspace"), None),
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}  # how many there must be
_ROWS = ("mrow", "mstyle", "mphantom", "msqrt", "mtd", "menclose", "mpadded")
_BOOLEAN = ("stretchy", "fence", "movablelimits", "largeop", "displaystyle", "accent", "accentunder", "separator")
_SIZE = r"\d(\.\d+)?em"
_ATTRIBUTES = {
    **{name: re.compile("true|false") for name in _BOOLEAN},
    "form": re.compile("prefix|infix|postfix"),
    "scriptlevel": re.compile(r"[+-]?[0-3]"),
    "linethickness": re.compile("0|0px|0em"),
    "minsize": re.compile(_SIZE),
    "maxsize": re.compile(_SIZE),
    "width": re.compile(_SIZE),
    "columnalign": re.compile("left|right|center"),
    "mathvariant": re.compile("normal|bold|italic|bold-italic|sans-serif|monospace"),
}
# MathML Core has no menclose; the style sheet draws these.
_ENCLOSED = {"box": "box", "updiagonalstrike": "struck", "downdiagonalstrike": "struck", "horizontalstrike": "struck"}
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([^{}]*)\}")
_AS = {  # what the library has for an environment; the numbers that it gives to align's rows are in no source
    **dict.fromkeys(("align", "align*", "aligned"), "align*"),
    **dict.fromkeys(("gather", "gather*", "gathered", "multline", "multline*", "eqnarray", "eqnarray*"), "matrix"),
    **{f"{kind}matrix": f"{kind}matrix" for kind in ("", "p", "b", "B", "v", "V", "small")},
    **{name: name for name in ("split", "cases", "array")},
}
_ORDINARY_COMMA = "n,"  # in braces, as in 1{,}000: no space follows
_CHARACTER = re.compile(r"&#x[0-9A-Fa-f]+;")
_ESCAPED = re.compile(r"\\([%$&#_{} ])")
_COMMENT = re.compile(r"(?<!\\)%")


class _Unreadable(Exception):
    """No MathML can be made of it."""


class _NoMacros(dict[str, tuple[list[str], int]]):
    """LaTeX that defines commands can be made to grow without end."""

    def __setitem__(self, name: str, body: tuple[list[str], int]) -> None:
        raise _Unreadable


def to_mathml(latex: str, display: bool) -> list[Node] | None:
    """The children of a ``math`` element; None where the LaTeX cannot be read.

    A string is a token: a letter for its element (i, n, o, t for mi, mn, mo, mtext), then its text. A list is an
    element: its tag, its attributes, its children; an mi, mn, mo or mtext that has attributes has its text for its
    child.
    """
    converter = Converter(display="block" if display else "inline")
    converter.macros = _NoMacros()
    try:
        nodes = _row(converter.convert_to_element(_prepared(latex, display)), 0)
    except Exception:  # whatever a model wrote, and whatever the library raises on it: the page then shows the source
        return None
    while len(nodes) == 1 and nodes[0][:2] == ["mrow", {}]:
        nodes = nodes[0][2:]
    return nodes or None


def _prepared(latex: str, display: bool) -> str:
    """With the library's names of environments; a per cent sign means itself, as where people and models write it.

    Lines that are broken outside of environments are rows in a formula of its own line.
    """

    def renamed(found: re.Match[str]) -> str:
        name = found[2].strip()
        if name in ("equation", "equation*"):
            return ""
        if name not in _AS:
            raise _Unreadable
        return rf"\{found[1]}{{{_AS[name]}}}"

    if display and r"\\" in latex and not _ENVIRONMENT.search(latex):
        latex = rf"\begin{{matrix}}{latex}\end{{matrix}}"
    return _COMMENT.sub(r"\%", _ENVIRONMENT.sub(renamed, latex))


def _row(element: Element, depth: int) -> list[Node]:
    """What stands side by side in an element, with the spaces around names of functions, and without those in numbers,
    that LaTeX would set."""
    nodes: list[Node] = []
    for node in _children(element, depth):
        before = nodes[-1] if nodes else "o"
        if node == [
            "mspace",
            {},
        ]:  # a negative space: it draws the digits of 1,\!000 together, and has no other use here
            nodes[-1:] = [_ORDINARY_COMMA] if before == "o," else nodes[-1:]
        elif _is_number(before) and _is_number(node) and (node == _ORDINARY_COMMA or before.endswith(",")):
            nodes[-1] += node[1:]
        elif (_is_function(before) or _is_function(node)) and not (_is_spaced(before) or _is_spaced(node)):
            nodes += [["mspace", {"width": "0.167em"}], node]
        else:
            nodes.append(node)
    return nodes


def _children(element: Element, depth: int) -> list[Node]:
    return [_node(child, depth + 1) for child in element]


def _is_number(node: Node) -> bool:
    return isinstance(node, str) and node[0] == "n"


def _is_function(node: Node) -> bool:
    """Whether it is a name such as sin, with an exponent or without."""
    if isinstance(node, list):
        return node[0] in ("msup", "msub", "msubsup") and _is_function(node[2])
    return node[0] == "i" and len(node) > 2 and node[1:].isalpha()


def _is_spaced(node: Node) -> bool:
    return node[0] == "o" or node[0] in ("mo", "mspace", "mtable")


def _node(element: Element, depth: int) -> Node:
    if depth > DEEPEST:
        raise _Unreadable
    if "linebreak" in element.attrib:  # there are none in MathML Core, and a line that goes on would say something else
        raise _Unreadable
    attributes = {
        name: value
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _ATTRIBUTES[name].fullmatch(value)
    }
    if element.tag in _TOKENS:
        text = _text(element)
        return [element.tag, attributes, text] if attributes else _TOKENS[element.tag] + text
    tag = element.tag
    children = (_row if tag in _ROWS else _children)(element, depth)
    if tag == "menclose":
        classes = {_ENCLOSED[notation] for notation in element.attrib["notation"].split()}
        tag, attributes = "mrow", {"class": " ".join(sorted(classes))}
    elif tag == "mpadded":
        tag, attributes = "mrow", {}
    if tag not in _CHILDREN or (element.text and element.text.strip()) or _CHILDREN[tag] not in (None, len(children)):
        raise _Unreadable
    if tag == "mrow" and not attributes and len(children) == 1:
        return _ORDINARY_COMMA if children == ["o,"] else children[0]
    return [tag, attributes, *children]


def _text(element: Element) -> str:
    """The text of a token. The library writes characters as references, and leaves commands that it does not know."""
    text = element.text or ""
    if "&" in text:
        text = _CHARACTER.sub(lambda found: html.unescape(found[0]), text)
    if element.tag == "mtext":
        text = _ESCAPED.sub(r"\1", text)
    if len(element) or "\\" in text or text.count("$") > 1:
        raise _Unreadable
    return text
