"""Hostile answers: every one is answered, nothing is executed, nothing is printed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_answers import CODE, GOLDS, HOSTILE
from places import ROOT

from bonbench.verifiers.math import MathParams, MathVerifier
from bonbench.verifiers.reading.tokens import clean

#: What runs text as code; ``sympify`` and ``parse_expr`` call eval.
EXECUTES = {"eval", "exec", "compile", "__import__", "sympify", "parse_expr", "system", "popen", "lambdify", "S"}
HARMLESS = {"re.compile"}


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that appears when a hostile answer is executed, here or in the worker."""
    path = tmp_path_factory.mktemp("hostile") / "marker"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTILE_MARKER", str(path))
        yield path


@pytest.fixture(scope="module")
def verifier(marker: Path) -> MathVerifier:
    return MathVerifier(MathParams(timeout_s=0.3))


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_answered(verifier: MathVerifier, marker: Path, answer: str, capfd: pytest.CaptureFixture[str]) -> None:
    verifier.extract(answer)
    verifier.extract(f"The answer is {answer}")
    gold = GOLDS[0]
    (correct, reason), (back, _) = verifier.verify([(answer, gold), (gold, answer)])
    assert reason not in ("", "error")
    # Invisible marks and other scripts' digits aside, none of them is 42.
    assert not (correct or back) or "".join(c for c in clean(answer) if c.isalnum()) in ("42", "٤٢")
    output = capfd.readouterr()
    assert output.out == output.err == ""
    assert not marker.exists()


def test_executed_code_leaves_the_marker(tmp_path: Path) -> None:
    """What the test above looks for does appear when an answer is executed."""
    for number, code in enumerate(CODE[:2]):
        path = tmp_path / str(number)
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "HOSTILE_MARKER": str(path)}, check=True)
        assert path.exists()


@pytest.mark.parametrize("path", sorted((ROOT / "verifiers").rglob("*.py")), ids=lambda p: p.name)
def test_nothing_executes_text(path: Path) -> None:
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not {name for name in called - HARMLESS if name.rpartition(".")[2] in EXECUTES}
