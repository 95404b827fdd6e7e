"""What failed, with whole tracebacks: ``<results>/logs/<stage>-<who>-<replica>.log``.

An actor has no part in this: what it raised comes back with the failure, and the driver writes it. So nodes need no
shared file system.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

FOLDER = "logs"
_LONGEST = 120
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # Ray colours its tracebacks


class Log:
    """The failures of one stage or training. ``name`` is the file that was written last, below the results folder."""

    def __init__(self, results: Path, stage: str, who: str) -> None:
        self._results = results
        self._stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{stage}-{who}")[:_LONGEST]
        self.name: str | None = None

    def add(self, replica: int, text: str) -> None:
        """Write what failed in a replica behind what its file has. A log that cannot be written is no error."""
        name = f"{FOLDER}/{self._stem}-{replica}.log"
        with suppress(OSError):
            (self._results / FOLDER).mkdir(parents=True, exist_ok=True)
            with (self._results / name).open("a", encoding="utf-8", errors="replace") as file:
                file.write(
                    f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n{_COLOUR.sub('', text).rstrip()}\n\n"
                )
            self.name = name

    def hint(self) -> str:
        """What an error line ends with: where the whole of it is, if it is anywhere."""
        return f" (whole in {self.name})" if self.name else ""
