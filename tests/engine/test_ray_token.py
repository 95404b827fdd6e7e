"""Whoever joins a cluster shows the token of the machine, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.engine.ray_token import bring_token


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that what is set is taken back
        monkeypatch.delenv(name)
    return tmp_path


def test_a_machine_without_a_token_shows_none() -> None:
    bring_token()
    assert "RAY_AUTH_MODE" not in os.environ


def test_a_token_in_the_home_folder_is_shown(home: Path) -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("secret")
    bring_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_the_environment_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    bring_token()
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
