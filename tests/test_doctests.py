"""The examples in docstrings come out as they say."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = [f"bonbench.verifiers.reading.{name}" for name in ("extraction", "interpret", "statements", "tokens")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(import_module(name), verbose=False)
    assert result.attempted and not result.failed
