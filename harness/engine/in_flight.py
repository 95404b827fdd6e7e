"""The shards that a component has at a time: how far each is, and when there is room for another one.

The worker counts what is unfinished (:class:`InFlight`), in the process of the component. The driver keeps the books of
what it has given (:class:`Intake`), and asks.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from harness.core.shard_progress import heard_by

#: Seconds after which a worker tells how far its shards are, whether or not it has room for another.
_NEWS_S = 1.0
#: Seconds between looks at whether there is room. Twice what an engine computes at once takes longer.
_LOOK_S = 0.05
#: No two shards of a run have the same: a worker may go on with another stage.
_tickets = itertools.count(1)


@dataclass(frozen=True, slots=True)
class News:
    """What a worker tells: whether its last shard has asked for its responses, whether it has room for another shard,
    which share of each shard is done, by ticket, and what one of them waits for, if any."""

    has_arrived: bool
    has_room: bool
    done: Mapping[int, float]
    waits: str = ""


class InFlight:
    """The worker's side: the shards that its component computes now."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._last = 0  # the last ticket that has begun
        self._shards: dict[int, tuple[int, int] | None] = {}  # (done, total) responses, once the component says so
        self._waits: dict[int, str] = {}

    @contextmanager
    def shard(self, ticket: int) -> Iterator[None]:
        """A shard is computed in this context, by this thread."""

        def hear(done: int, total: int) -> None:
            with self._changed:
                self._shards[ticket] = done, total
                if not done:  # who watches looks often enough for the rest
                    self._changed.notify_all()

        def hear_of_wait(what: str) -> None:
            with self._changed:
                self._waits[ticket] = what

        with self._changed:
            self._last = ticket
            self._shards[ticket] = None
        try:
            with heard_by(hear, hear_of_wait):
                yield
        finally:
            with self._changed:
                del self._shards[ticket]
                self._waits.pop(ticket, None)
                self._changed.notify_all()

    def watch(self, ticket: int, had_room: bool, wanted: int) -> News:
        """Wait until the answer to whether there is room is another one, or for a second. Then say how far all is.

        There is room once the shard ``ticket``, and so all before it, has asked for its responses, while less than
        ``wanted`` responses are unfinished.
        """
        until = time.monotonic() + _NEWS_S
        with self._changed:
            while self._has_room(ticket, wanted) == had_room and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, _LOOK_S))
            done = {ticket: known[0] / max(known[1], 1) for ticket, known in self._shards.items() if known}
            waits = next(filter(None, self._waits.values()), "")
            return News(self._has_arrived(ticket), self._has_room(ticket, wanted), done, waits)

    def _has_arrived(self, ticket: int) -> bool:
        return self._last == ticket and None not in self._shards.values()

    def _has_room(self, ticket: int, wanted: int) -> bool:
        known = [shard for shard in self._shards.values() if shard is not None]
        return self._has_arrived(ticket) and sum(total - done for done, total in known) < wanted


class Intake:
    """The driver's side: the shards that one worker has been given and has not finished.

    One shard may be given to a worker that has none. Another one may be given as soon as the worker says that it has
    room for it.

    Args:
        at_once: shards that the component takes at a time.
        ask: calls ``Worker.watch``. If it fails, the worker gets no further shard until it has none.
        changed: called whenever there is news.
    """

    def __init__(
        self, at_once: int, ask: Callable[[int, bool], Awaitable[News | None]], changed: Callable[[], None]
    ) -> None:
        self._at_once, self._ask, self._changed = at_once, ask, changed
        self._last = 0
        self._has_room = self._is_closed = False
        self._has_arrived = True  # the last shard, as far as is known
        self._shards: dict[int, int] = {}  # ticket -> responses
        self._done: Mapping[int, float] = {}
        self.waits = ""  # what one of the shards waits for, as far as is known
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def state(self) -> str | None:
        """In words; None where it has no shard."""
        n = len(self._shards)
        why = f": {self.waits}" if self.waits else ""
        return f"{n} shard{'s are' if n > 1 else ' is'} being computed{why}" if n else None

    @property
    def takes_another(self) -> bool:
        has_room = self._has_room and not self._is_closed and len(self._shards) < self._at_once
        return not self._shards or has_room

    @property
    def may_take_another(self) -> bool:
        """Whether it may soon have room: its last shard is still on the way."""
        return not self._has_arrived and not self._is_closed and len(self._shards) < self._at_once

    @property
    def responses_done(self) -> int:
        """Finished responses of unfinished shards."""
        return sum(int(n * self._done.get(ticket, 0.0)) for ticket, n in self._shards.items())

    def begin(self, n_responses: int, is_alone: bool = False) -> int:
        """A shard is given to the worker; its ticket. One that is alone gets no other beside it."""
        self._last = next(_tickets)
        self._has_room = self._has_arrived = False
        self._is_closed = is_alone
        self._shards[self._last] = n_responses
        if self._at_once > 1 and (self._watching is None or self._watching.done()):
            self._watching = asyncio.create_task(self._watch())
        return self._last

    def end(self, ticket: int) -> None:
        """A shard is done, or has failed."""
        del self._shards[ticket]

    def close(self) -> None:
        """Ask no more."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while self._shards:
            last = self._last
            news = await self._ask(last, self._has_room)
            if news is None:
                return
            self._done, self.waits = news.done, news.waits
            if last == self._last:  # else it is about the time before the last shard was given
                self._has_room, self._has_arrived = news.has_room, news.has_arrived
            self._changed()
