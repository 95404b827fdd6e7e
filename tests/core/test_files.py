"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.core.files import put_in_place, replacing


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and renamed, in order."""
    log: list[str] = []
    rename = Path.replace

    def synced(descriptor: int) -> None:
        log.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")

    def renamed(self: Path, target: Path) -> Path:
        log.append(f"rename {self.name}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    return log


def test_a_file_is_replaced_once_it_is_on_the_disk(tmp_path: Path, events: list[str]) -> None:
    path = tmp_path / "new" / "a.json"
    for content in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(content)
        assert path.read_text() == content
    assert events == ["sync a.json.tmp", "rename a.json.tmp"] * 2
    assert os.listdir(path.parent) == ["a.json"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as temporary:
        temporary.write_text("half of the n")
        1 / 0  # noqa: B018
    assert (tmp_path / "a").read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_a_folder_appears_once_all_of_it_is_on_the_disk(tmp_path: Path, events: list[str]) -> None:
    for name in ("model.partial/weights", "model.partial/sub/config", "model/old"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with pytest.raises(OSError, match="not empty"):
        put_in_place(tmp_path / "model.partial", tmp_path / "model")
    (tmp_path / "model" / "old").unlink()
    events.clear()
    put_in_place(tmp_path / "model.partial", tmp_path / "model")
    assert events == ["sync config", "sync weights", "rename model.partial"]
    assert sorted(os.listdir(tmp_path / "model")) == ["sub", "weights"]
