"""How this process ends when it is told to: in order where that is quick, else by force some seconds later.

Python acts on Ctrl-C between two of its own instructions. A model that is read from a slow disk, a kernel, a cluster
that does not answer any more: each can keep it for minutes. Here a thread hears of Ctrl-C at once. It gives the process
a few seconds to end in order. Then it kills all processes that this process started, and ends it.

What is stored is complete in any case: every file gets its name when all of it is written.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import psutil

#: Exit code of a process that Ctrl-C ended, as shells say it.
STOPPED = 130
#: Seconds in which a stopped process may end in order.
_GRACE_S = 5.0
#: A second Ctrl-C ends the process at once. What comes sooner after the first is the same one, passed on by a parent.
_SAME_S = 0.5

_BY_CTRL_C = ("stopped; run the same command again to continue", STOPPED)


class _Ending:
    """Why this process ends, and what has been done for that."""

    def __init__(self) -> None:
        self.line, self.code = _BY_CTRL_C
        self.has_begun = False
        self.children: set[psutil.Process] = set()  # at the beginning of the end: later some may be nobody's children
        self._said = False
        self._lock = threading.Lock()

    def say(self) -> None:
        with self._lock:
            if not self._said:
                self._said = True
                print(f"bonbench: {self.line}", file=sys.stderr, flush=True)


_ending = _Ending()


def stop_process(line: str, code: int) -> None:
    """End this process as Ctrl-C would, but with another last line and exit code. Any thread may call this."""
    _ending.line, _ending.code, _ending.has_begun = line, code, True
    if _wakeup is not None:
        os.write(_wakeup, bytes([signal.SIGINT]))  # Ctrl-C may be ignored here, as it is in the background of a script
    os.kill(os.getpid(), signal.SIGINT)


def stopped() -> int:
    """Say why this process was stopped; the exit code for that."""
    _ending.has_begun = True
    _ending.say()
    return _ending.code


_wakeup: int | None = None


@contextmanager
def ends_when_stopped(for_good: bool) -> Iterator[None]:
    """In this context a stopped process ends within seconds, whatever it is doing.

    Args:
        for_good: whether the process is over when the context is. Then a stopped process ends with the context:
            libraries do not get to close, for as long as they like, what they have opened.
    """
    global _ending, _wakeup
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _ending = _Ending()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before, _wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False), writer
    threading.Thread(target=_listen, args=(reader,), name="ending", daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        _ending.has_begun = True  # the thread may not have heard of it yet
        raise
    finally:
        if for_good:
            if _ending.has_begun:
                _end()
        else:
            signal.set_wakeup_fd(before)
            _wakeup = None
            os.close(writer)


def _listen(reader: int) -> None:
    """Wait for a signal, then for the end of the process; force it after a while, or at the next signal."""
    first = None
    while True:
        left = None if first is None else max(0.0, first + _GRACE_S - time.monotonic())
        ready, _, _ = select.select([reader], [], [], left)
        if not ready:
            _end()
        numbers = os.read(reader, 1024)
        if not numbers:  # the context is over
            os.close(reader)
            return
        if signal.SIGINT not in numbers or _is_debugging():
            continue
        if first is None:
            first, _ending.has_begun = time.monotonic(), True
            _ending.children = set(psutil.Process().children(recursive=True))
        elif time.monotonic() > first + _SAME_S:
            _end()


def _is_debugging() -> bool:
    """Whether somebody is at the prompt of a debugger, or went on from there: for a debugger Ctrl-C is a break."""
    if getattr(signal.getsignal(signal.SIGINT), "__module__", "") == "pdb":
        return True
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_globals.get("__name__") != "pdb":
        frame = frame.f_back
    return frame is not None


def _end() -> NoReturn:
    saying = threading.Thread(target=_say_all, daemon=True)  # whoever should read it may not
    saying.start()
    saying.join(1.0)
    nowhere = os.open(os.devnull, os.O_WRONLY)  # what other threads say when their processes go is of no use to anybody
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    _kill(_ending.children)
    os._exit(_ending.code)


def _say_all() -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h")  # show the cursor, which a progress bar had hidden
        _ending.say()


def _kill(children: set[psutil.Process]) -> None:
    """Kill processes, and all that this process has started."""
    for _ in range(5):  # one of them may have started another in between
        children |= set(psutil.Process().children(recursive=True))
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        _, alive = psutil.wait_procs(children, timeout=0.3)
        if not alive:
            return
        children = set(alive)
