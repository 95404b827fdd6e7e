"""Files of others are looked at before they are opened; files of our own exist either whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.core.errors import UserError

FOLDER = "a folder"

_KINDS = {
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def other_than_file(path: Path) -> str:
    """What is at a path where that is no file: a folder, a pipe, a device; "" for a file.

    Raises:
        OSError: where nothing is, or the system does not say what.
        ValueError: for what is no path.
    """
    return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "")


def no_file(path: Path) -> str:
    """Why a path is not to be opened as a file; "" for a file. Its content is not read.

    A pipe is no file: whoever opens it waits for ever if nobody writes, and nobody can read it twice.
    """
    try:
        other = other_than_file(path)
    except FileNotFoundError:
        return "a link to nowhere" if path.is_symlink() else "no such file"
    except (OSError, ValueError) as error:  # a circle of links, no permission, a null character
        return f"cannot be read: {said(error)}"
    return f"is {other}{'' if other == FOLDER else ': write its content to a file'}" if other else ""


def read_bytes(path: Path) -> bytes:
    """The content of a user's file.

    Raises:
        UserError: naming the file, where it cannot be read.
    """
    if reason := no_file(path):
        raise UserError(f"{path}: {reason}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {said(error)}") from None


def said(error: Exception) -> str:
    """What the operating system says, without the path."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let what the operating system complains of in this context, a full disk say, name the file that it is about.

    Raises:
        OSError: the same, with the file's name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


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

    Raises:
        OSError: naming the file, where it cannot be written.
    """
    own = f".{os.getpid()}-{threading.get_ident()}" if unique else ""
    temporary = path.with_name(f"{path.name}{own}.tmp")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished file or folder to ``path``, after all of it has reached the disk. An older file is replaced.

    Raises:
        OSError: where ``path`` is a folder that is not empty, and where the disk is full.
    """
    for file in sorted(f for f in temporary.rglob("*") if f.is_file()) if temporary.is_dir() else [temporary]:
        with naming(file), file.open("rb") as stream:
            os.fsync(stream.fileno())
    temporary.replace(path)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files (path in the folder -> content), each whole or not at all; returns their paths."""
    for name, data in contents.items():
        with replacing(folder / name) as path:
            path.write_bytes(data)
    return [folder / name for name in contents]
