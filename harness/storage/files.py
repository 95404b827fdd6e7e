"""The lock of a results folder: one run at a time writes it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.core.errors import UserError
from harness.core.files import no_file

#: What ``flock`` says on a file system that has no such locks: some network file systems, as they are mounted.
_NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a results folder for writing, and clear what a killed run left half-written.

    Raises:
        UserError: if another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _flock(folder):
        for leftover in folder.rglob("*.tmp"):
            if leftover.is_file():
                leftover.unlink()
        yield


@contextmanager
def _flock(folder: Path) -> Iterator[None]:
    """The operating system's lock, which ends with its process; a file in its place where there is none."""
    lock = folder / ".lock"
    if lock.exists() and (reason := no_file(lock)):
        raise UserError(f"{lock}: {reason.partition(':')[0]}; remove it")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing there; wait for it or set another output:") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        else:
            yield
            return
    with _lock_file(folder):
        yield


@contextmanager
def _lock_file(folder: Path) -> Iterator[None]:
    """A file that names the process which holds the folder. One that a dead process of this machine left is removed."""
    path, mine = folder / ".lock.holder", f"{socket.gethostname()} {os.getpid()}"
    if path.is_file() and _has_died(_holder(path)):
        path.unlink(missing_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(mine)
    except FileExistsError:
        host, _, process = _holder(path).partition(" ")
        raise UserError(
            f"{folder}: another run is writing there (process {process} on {host}); wait for it, set another output:, "
            f"or remove {path} if that run has died"
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _holder(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _has_died(holder: str) -> bool:
    """Whether "host process" was a process of this machine that is no more."""
    host, _, process = holder.partition(" ")
    if host != socket.gethostname() or not process.isdigit():
        return False
    with suppress(PermissionError):  # it lives, and is another user's
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
    return False
