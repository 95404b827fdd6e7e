"""How far the shard of this thread is, and what it waits for: the component tells, and whoever gave it the shard
listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Gets (finished responses, all responses) of a shard. All of them may be other responses than the shard will hold:
#: completions of its responses, for instance.
Listener = Callable[[int, int], None]

#: Gets what a shard waits for, in words; "" where it goes on.
WaitListener = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("_listener", default=None)
_wait_listener: ContextVar[WaitListener | None] = ContextVar("_wait_listener", default=None)


def report(done: int, total: int) -> None:
    """Say that ``done`` of ``total`` responses are finished; 0 of them as soon as all are asked for."""
    if listener := _listener.get():
        listener(done, total)


def waits_for(what: str) -> None:
    """Say what the shard waits for, beside its own work; "" where it goes on."""
    if listener := _wait_listener.get():
        listener(what)


@contextmanager
def heard_by(listener: Listener, waits: WaitListener | None = None) -> Iterator[None]:
    """Have listeners hear what is reported in this context."""
    before, waits_before = _listener.set(listener), _wait_listener.set(waits)
    try:
        yield
    finally:
        _listener.reset(before)
        _wait_listener.reset(waits_before)
