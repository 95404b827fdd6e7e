"""Writing files so that a file exists either whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Where what can be made again is kept: ``$BONBENCH_CACHE``, else ``bonbench`` in the user's cache folder.

    Raises:
        RuntimeError: where nothing names a folder, and the user has no home.
    """
    if own := os.environ.get("BONBENCH_CACHE"):
        return Path(own).expanduser()
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))  # a relative path is to be ignored, says the XDG specification
    return (caches if caches.is_absolute() else Path("~/.cache").expanduser()) / "bonbench"


@contextmanager
def replacing(path: Path, unique: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path``. The file written there replaces ``path`` on success; an error removes it.

    Args:
        unique: whether other processes may write the same file at the same time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f".{os.getpid()}-{threading.get_ident()}" if unique else ""
    temporary = path.with_name(f"{path.name}{own}.tmp")
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished file or folder to ``path``, after all of it has reached the disk. An older file is replaced.

    Raises:
        OSError: where ``path`` is a folder that is not empty.
    """
    for file in sorted(f for f in temporary.rglob("*") if f.is_file()) if temporary.is_dir() else [temporary]:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    temporary.replace(path)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files (path in the folder -> content), each whole or not at all; returns their paths."""
    for name, data in contents.items():
        with replacing(folder / name) as path:
            path.write_bytes(data)
    return [folder / name for name in contents]
