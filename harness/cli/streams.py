"""The streams that the command writes to, whatever the shell has made of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def make_streams_usable() -> None:
    """Let every character be written: one that the terminal's encoding lacks is written as an escape.

    A stream that the shell has closed (``>&-``) takes what is written, and drops it.
    """
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_stdout() -> None:
    """Drop what is not yet written, where it cannot be: Python would try once more when it ends, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nowhere() -> io.TextIOWrapper:
    return open(os.devnull, "w", encoding="utf-8")
