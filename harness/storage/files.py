"""A results folder belongs to one writer at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.errors import UserError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a results folder for writing, and clear what a killed run left half-written.

    Raises:
        UserError: if another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing there; wait for it or set another output:") from None
        for leftover in folder.rglob("*.tmp"):
            if leftover.is_file():
                leftover.unlink()
        yield
