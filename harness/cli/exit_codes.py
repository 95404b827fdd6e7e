"""What the ``bonbench`` command ends with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every verb; an error that is not the user's mistake is a traceback, and Python's exit code 1."""

    DONE = 0
    FAILED = 1  # the run went on to its end without shards that failed three times; or Ray died, or the disk is full
    MISTAKE = 2  # of the user: an unknown key, a missing file, bad lines in the input
    STOPPED = 130  # with Ctrl-C, as shells say it
