"""Tests that need vLLM: `make test-vllm` makes an environment for them. They are no part of `make test`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
collect_ignore_glob = [] if importlib.util.find_spec("vllm") else ["test_*"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder with the pocket models."""
    return ROOT / "experiments" / "pocket" / "models"
