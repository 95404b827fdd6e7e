"""What a docstring must say that a signature cannot: shapes of arrays, and what is refused.

Every public function with an array in its signature names a shape in brackets, as ``[P, N]``; every public function
that raises in its own body says so under ``Raises:``.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

PACKAGES = ("harness", "generators", "verifiers", "reward_models", "experiments")
ARRAY = re.compile(r"\b(Floats|Ints|Bools|NDArray|ndarray|Tensor)\b")
#: A shape in brackets, as ``[P, N]``. The brackets of a type, as in ``list[str]``, are no shape.
SHAPE = re.compile(r"(?<!\w)\[[A-Za-z0-9 ,+*/()._-]+\]|\bscalar\b")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(body: list[ast.stmt]) -> Iterator[Function]:
    """Functions and methods that others may call, those of private classes left out."""
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)


def raises(function: Function) -> bool:
    """Whether the function's own body, inner functions left out, raises an exception that it names."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            return True
        waiting += ast.iter_child_nodes(node)
    return False


def has_array(function: Function) -> bool:
    of = function.args
    arguments = [*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))]
    annotations = [a.annotation for a in arguments] + [function.returns]
    return any(ARRAY.search(ast.unparse(annotation)) for annotation in annotations if annotation is not None)


def complaints(source: str) -> list[str]:
    """What the docstrings of a module's public functions leave out."""
    wanting = []
    for function in public_functions(ast.parse(source).body):
        said = ast.get_docstring(function) or ""
        if raises(function) and "Raises:" not in said and not said.startswith("Raise "):
            wanting.append(f"line {function.lineno}: {function.name} raises, its docstring has no `Raises:`")
        if has_array(function) and not SHAPE.search(said):
            wanting.append(f"line {function.lineno}: {function.name} has arrays, its docstring has no shape")
    return wanting


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_say_what_signatures_do_not(path: Path) -> None:
    assert not (wanting := complaints(path.read_text())), "\n".join(wanting)


@pytest.mark.parametrize(
    ("signature", "docstring", "body", "complaint"),
    [
        ("(x: Floats) -> int", "Counts the rows of a list[str].", "return 1", "no shape"),
        ("(*x: Floats) -> int", "Counts.", "return 1", "no shape"),
        ("(x: int) -> dict[str, torch.Tensor]", "Counts.", "return {}", "no shape"),
        ("(x: Floats) -> int", "Counts the rows of x [P, N].", "return 1", ""),
        ("(x: int) -> int", "Counts.", "if x: raise ValueError(x)", "no `Raises:`"),
        ("(x: int) -> int", "Counts.\n\nRaises:\n    ValueError: where x is 1.", "raise ValueError(x)", ""),
        ("(x: int) -> int", "Counts.", "return lambda: error(x)", ""),
    ],
)
def test_the_rule_finds_what_is_left_out(signature: str, docstring: str, body: str, complaint: str) -> None:
    function = f"def count{signature}:\n    {docstring!r}\n    {body}\n"
    for source in (function, f"class Counter:\n{textwrap.indent(function, '    ')}"):
        (answer,) = complaints(source) or [""]
        assert answer.endswith(complaint) if complaint else not answer
