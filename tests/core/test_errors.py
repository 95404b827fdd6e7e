"""Errors in one line."""

from __future__ import annotations

import pytest

from harness.core.errors import cannot_load, one_line, shortened


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("first\n  second"), "ValueError: first second"),
        (MemoryError(), "MemoryError"),
        (OSError(2, "No such file"), "OSError: [Errno 2] No such file"),
    ],
)
def test_one_line(error: Exception, says: str) -> None:
    assert one_line(error) == says.replace("OSError", type(error).__name__)


def test_what_is_cut_keeps_its_beginning() -> None:
    """What happened comes first, advice later."""
    line = one_line(RuntimeError("out of memory\n" + 100 * "set this or that variable "))
    assert line.startswith("RuntimeError: out of memory set this") and line.endswith("…")
    assert len(line) == len("RuntimeError: ") + 400
    assert shortened("as it is", 8) == "as it is"
    assert shortened("a word too long", 7) == "a word…"


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("You are trying to access a gated repo. " + 60 * "Make sure to have access. ", True),
        ("401 Client Error. (Request ID: Root=1) Cannot access it", True),
        ("no file named model.safetensors", False),
    ],
)
def test_a_gated_model_has_a_hint_that_is_not_cut_off(message: str, hint: bool) -> None:
    line = str(cannot_load("owner/model", OSError(message)))
    assert line.startswith("owner/model cannot be loaded: OSError: ")
    assert line.endswith("`hf auth login` on every node") is hint
