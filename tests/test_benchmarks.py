"""Benchmarks run now and then only: what they import must be there all the same."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from places import ROOT

FILES = sorted((ROOT / "benchmarks").glob("*.py"))


def imported(file: Path) -> set[tuple[str, str]]:
    """(module, name) of what a file takes from this repository, at its head and inside its functions."""
    imports = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return {
        (node.module, name.name)
        for node in imports
        if node.module and node.module.split(".")[0] in ("harness", "bonbench")
        for name in node.names
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_names_imported_by_benchmarks_exist(file: Path) -> None:
    for module, name in imported(file):
        assert hasattr(__import__(module, fromlist=[name]), name), f"{module} has no {name}"


def test_benchmarks_load_by_themselves(tmp_path: Path) -> None:
    """From any folder, without what pytest adds to the path of modules."""
    load = "import runpy, sys; [runpy.run_path(file, run_name='benchmark') for file in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", load, *map(str, FILES)], cwd=tmp_path, check=True)


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_the_alternative_attention_over_trees_gives_the_same_states() -> None:
    """Uncompiled, on a CPU, over several batches of a tree: what is compared on a GPU is the same computation."""
    bench = runpy.run_path(str(ROOT / "benchmarks" / "tree_attention.py"))
    tree = bench["trees"](2, 3, 24)
    for window in (None, 9):
        model = bench["model_of"]("cpu", 1, window)
        usual, flex = (
            bench["states"](model, tree, attention, tree.n_nodes // 2 + 1)
            for attention in (bench["tree_attention"]._tree_attention, bench["Flex"](compiled=False))
        )
        torch.testing.assert_close(flex, usual, atol=1e-5, rtol=1e-5)
