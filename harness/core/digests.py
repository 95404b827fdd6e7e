"""The SHA-256 of a large file, computed once and remembered.

What is remembered lies in the user's cache folder, one small file per path. It counts as long as the file has the same
inode, size and times. A file that was changed in the two seconds before it was read may change once more within the
same tick of its file system's clock: its digest is not remembered.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from harness.core.files import cache_folder, replacing

#: No file system's clock is coarser, in nanoseconds.
_TICK = 2_000_000_000
#: Bytes of a file whose reading takes long enough to be spoken of.
_LONG = 8 << 30
_logger = logging.getLogger("bonbench.digests")


def file_digest(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: where the file cannot be read. A cache that cannot be read or written is no error.
    """
    file = file.resolve()
    name = hashlib.sha256(os.fsencode(file)).hexdigest()[:32]
    try:
        memory: Path | None = cache_folder() / "digests" / f"{name}.json"
    except RuntimeError:  # there is no home
        memory = None
    began, facts = time.time_ns(), _facts(file)
    if memory is not None and (known := _remembered(memory, facts)):
        return known
    if (size := file.stat().st_size) >= _LONG:
        _logger.warning("%s: reading %.0f GB to know them again", file, size / 1e9)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    settled = max(facts["mtime_ns"], facts["ctime_ns"]) < began - _TICK
    if memory is not None and settled and _facts(file) == facts:
        with suppress(OSError), replacing(memory, unique=True) as path:
            path.write_text(json.dumps({"path": str(file), **facts, "sha256": digest}))
    return digest


def _facts(file: Path) -> dict[str, int]:
    """What changes with a file's content. The ``ctime`` also does where somebody sets the ``mtime`` back."""
    stat = file.stat()
    return {
        "inode": stat.st_ino,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
    }


def _remembered(memory: Path, facts: dict[str, int]) -> str | None:
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(known, dict) or any(known.get(name) != value for name, value in facts.items()):
        return None
    digest = known.get("sha256")
    return digest if isinstance(digest, str) and len(digest) == 64 else None
