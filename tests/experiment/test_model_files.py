"""What the content of a model file is identified by."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.experiment.model_files import Artifacts

MIB = 1 << 20


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def write(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


@pytest.mark.parametrize("place", [0, 64 << 10, 17 * MIB + 1, 150 * MIB, 150 * MIB + (65 << 10), 299 * MIB])
def test_a_mib_changed_anywhere_in_a_large_file_is_another_file(tmp_path: Path, place: int) -> None:
    file = sparse(tmp_path / "model.gguf", 300 * MIB)
    before = Artifacts().id(str(file))
    assert Artifacts().id(str(file)) == before
    write(file, place, b"x" * MIB)
    assert Artifacts().id(str(file)) != before


def test_large_files_of_different_sizes_differ(tmp_path: Path) -> None:
    sizes = (300 * MIB, 300 * MIB + 1)
    assert len({Artifacts().id(str(sparse(tmp_path / "model.gguf", size))) for size in sizes}) == 2


def test_all_of_a_small_file_counts(tmp_path: Path) -> None:
    """The digest of a folder is that of every file's name, size and content: stored results rest on it."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(b"weights")
    expected = hashlib.sha256(b"config.json\0" + b"2\0{}" + b"model.bin\0" + b"7\0weights")
    assert Artifacts().id(str(tmp_path)) == expected.hexdigest()
    write(tmp_path / "model.bin", 3, b"X")
    assert Artifacts().id(str(tmp_path)) != expected.hexdigest()
