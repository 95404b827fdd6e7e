"""The ``bonbench`` command; ``python -m bonbench`` is the same."""

import os
import signal
import sys

_STOPPED = b"bonbench: stopped; run the same command again to continue\n"  # as `harness.core.ending` says it


def _stop(*_: object) -> None:
    """Nothing has been started yet. An exception instead would be lost where Python imports a module."""
    os.write(2, _STOPPED)
    os._exit(130)


def main() -> int:
    """Run the command: :func:`harness.cli.main`. It can be stopped as well while that is being imported."""
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not in the background of a script
    if is_heard:
        signal.signal(signal.SIGINT, _stop)
    from harness.cli import main as command

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return command()


if __name__ == "__main__":
    sys.exit(main())
