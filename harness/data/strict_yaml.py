"""YAML as people mean it: what a YAML reader would take for something else, in silence, is refused or read as text.

Refused are a key that stands twice (a plain reader keeps the last), values that are no text, number, truth value, list
or mapping, and texts that are small but large in memory: anchors of anchors ("billion laughs"), and nesting without
end. Read as text are ``010`` (octal in YAML 1.1), ``1:30`` (90) and dates.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_MOST_VALUES = 100_000
_DEEPEST = 64

_MERGE = "tag:yaml.org,2002:merge"
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F][0-9a-fA-F_]*|[-+]?0b[01][01_]*", re.ASCII)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)


class _Loader(yaml.SafeLoader):
    """Checks the nodes before it makes values of them."""

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        _check(node)
        return self.construct_document(node)

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        if kind is ScalarNode and implicit[0] and _is_text(tag.rpartition(":")[2], value):
            return "tag:yaml.org,2002:str"
        return tag


def _date(loader: _Loader, node: ScalarNode) -> str:
    """A date as its text."""
    loader.construct_yaml_timestamp(node)  # type: ignore[no-untyped-call]  # complains of one that no calendar has
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)


def _is_text(tag: str, value: str) -> bool:
    """Whether a plain scalar that YAML 1.1 gives another type is read as text here."""
    return (
        tag == "value"
        or (tag == "int" and not _DECIMAL.fullmatch(value))
        or (tag == "float" and _SEXAGESIMAL.fullmatch(value) is not None)
    )


def load_yaml(text: str) -> Any:
    """What a YAML text holds: dicts, lists, texts, numbers, truth values and nulls.

    Raises:
        yaml.YAMLError: for a text that is not YAML, or is refused.
        ValueError: for a value that is not what its tag says, such as a number with thousands of digits.
        RecursionError: for a text that is nested too deeply.
    """
    try:
        return _checked(yaml.load(text, Loader=_Loader))
    except (LookupError, AttributeError, TypeError, OverflowError) as error:  # PyYAML, of `!!int ""` and its like
        raise ValueError(f"a value is not what its tag says ({error})") from None


def _check(root: Node) -> None:
    """Check what can be told before values are made.

    Raises:
        yaml.MarkedYAMLError: with the place of the first mistake.
    """
    sizes: dict[int, int] = {}  # how many values a node stands for, its anchors written out
    path: set[int] = set()
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            path.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in _children(node))
            if sizes[id(node)] > _MOST_VALUES:
                raise _refused(node, f"its anchors stand for more than {_MOST_VALUES:,} values: write less")
            continue
        if id(node) in sizes:
            continue
        if id(node) in path:
            raise _refused(node, "an anchor contains itself")
        if len(path) > _DEEPEST:
            raise RecursionError
        if isinstance(node, MappingNode):
            _check_keys(node)
        path.add(id(node))
        stack.append((node, True))
        stack += [(child, False) for child in _children(node)]


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from (key, value)
    elif isinstance(node, SequenceNode):
        yield from node.value


def _check_keys(node: MappingNode) -> None:
    seen: dict[tuple[str, Hashable], Node] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode) or key.tag == _MERGE:
            continue
        first = seen.setdefault((key.tag, key.value), key)
        if first is not key:
            line = first.start_mark.line + 1
            raise _refused(key, f"the key {key.value!r} is in line {line} already: remove one of them")


def _refused(node: Node, reason: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=node.start_mark)


def _checked(value: Any) -> Any:
    """A value of YAML's plain kinds.

    Raises:
        ValueError: for a value of another kind, such as a set.
    """
    if value is None or isinstance(value, str | bool | int | float):
        if value != value:
            raise ValueError(".nan is no value of anything here")
        return value
    if isinstance(value, list):
        return [_checked(item) for item in value]
    if isinstance(value, dict):
        kinds = {type(key) for key in value}
        if kinds <= {str} or kinds == {int}:
            return {_checked(key): _checked(item) for key, item in value.items()}
        odd = next(key for key in value if not isinstance(key, str))
        raise ValueError(f"the key {odd!r} is not a text: write it in quotes")
    raise ValueError(f"{value!r} is not a text, number, list or mapping: write it in quotes")
