"""How far the shard of this thread is: the component tells, and whoever gave it the shard listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Gets (finished responses, all responses) of a shard. All of them may be other responses than the shard will hold:
#: completions of its responses, for instance.
Listener = Callable[[int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("_listener", default=None)


def report(done: int, total: int) -> None:
    """Say that ``done`` of ``total`` responses are finished; 0 of them as soon as all are asked for."""
    if listener := _listener.get():
        listener(done, total)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Have a listener hear what is reported in this context."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)
