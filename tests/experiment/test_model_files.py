"""What the content of a model file is identified by."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.experiment.model_files import Artifacts


def write(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def test_all_of_a_small_file_counts(tmp_path: Path) -> None:
    """The digest of a folder is that of every file's name, size and content: stored results rest on it."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(b"weights")
    expected = hashlib.sha256(b"config.json\0" + b"2\0{}" + b"model.bin\0" + b"7\0weights")
    assert Artifacts().id(str(tmp_path)) == expected.hexdigest()
    write(tmp_path / "model.bin", 3, b"X")
    assert Artifacts().id(str(tmp_path)) != expected.hexdigest()
