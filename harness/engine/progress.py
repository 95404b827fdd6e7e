"""Live progress: one line per stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from harness.engine.logs import Log

_PLAIN_EVERY_S = 10.0
#: A stage without a step for so long says why, and again after twice the time, up to the longest time. The whole board
#: says such things once in the shortest time at most.
_SILENCE_S, _LONGEST_SILENCE_S = 60.0, 480.0
#: Seconds between looks at which stages are silent.
_LOOK_S = 5.0
_MOST_NAMES = 3  # of stages that wait for the same

#: What a stage waits for: in words, or what finds them when they are needed.
Reason = str | Callable[[], str | None]


class Line:
    """Progress of one stage, in ``unit``s; ``tokens`` makes a rate. Time waiting for other stages does not count.

    ``total`` is None for a stream of unknown length.
    """

    def __init__(self, board: Board, label: str, total: int | None, unit: str, log: Log | None = None) -> None:
        self._board, self.label, self._total, self._unit = board, label, total, unit
        self._done = self._tokens = self._under_way = 0
        self._started: float | None = None
        self._printed = 0.0
        self._closed = False
        self._task: Any = None
        self._reason: Reason | None = None
        self._log = log
        self._pause = _SILENCE_S
        self._silent_until = time.monotonic() + _SILENCE_S

    def waits(self, reason: Reason | None) -> None:
        """Say what the stage waits for from now on, should it make no step for long; None where it is over."""
        self._reason = reason

    def say(self, text: str) -> None:
        """Say something of the stage, once."""
        self._board.say(f"{self.label}: {text}")

    def failed(self, replica: int, text: str) -> None:
        """Write down what failed in a replica, as whole as it is known."""
        if self._log:
            self._log.add(replica, text)

    def silence(self) -> str | None:
        """Why the stage has made no step, where it is time to say so."""
        now = time.monotonic()
        if self._reason is None or now < self._silent_until:
            return None
        reason = self._reason if isinstance(self._reason, str) else self._reason()
        if reason:
            self._pause = min(2 * self._pause, _LONGEST_SILENCE_S)
            self._silent_until = now + self._pause
        return reason

    def _stepped(self) -> None:
        self._pause = _SILENCE_S
        self._silent_until = time.monotonic() + _SILENCE_S

    def start(self) -> Line:
        """The stage's first work has begun. Returns the line."""
        if self._started is None:
            self._started = self._printed = time.monotonic()
            if self._board.live:
                self._task = self._board.live.add_task(self.label, total=self._total, note="")
        return self

    def advance(self, done: int, tokens: int = 0) -> None:
        self.start()
        self._stepped()
        self._done += done
        self._under_way = max(self._under_way - done, 0)  # until there is news
        self._tokens += tokens
        self._show()

    def under_way(self, done: int) -> None:
        """``done`` units of work are done that is not finished as a whole, and will be advanced then."""
        self.start()
        has_stepped, self._under_way = done > self._under_way, done
        if has_stepped:
            self._stepped()
            self._show()

    def leave_out(self, n: int) -> None:
        """``n`` units will not be done: what they need is missing."""
        self._stepped()
        if self._total is not None:
            self._total -= n
            if self._done:
                self._show()

    def update(self, done: int, total: int, note: str) -> None:
        """Set where the stage is, with a note of its own (a loss, for instance)."""
        self.start()
        if (done, total) != (self._done, self._total):
            self._stepped()
        self._done, self._total = done, total
        self._show(note)

    def _show(self, note: str = "") -> None:
        now = time.monotonic()
        elapsed = max(now - (self._started or now), 1e-9)
        done = self._done + self._under_way
        finished = self._total is not None and self._done >= self._total
        if not note and self._tokens:
            note = f"{self._tokens / elapsed:,.0f} tokens/s"
        if self._board.live and self._task is not None:
            self._board.live.update(self._task, completed=done, total=self._total, note=note)
        elif (finished and not self._closed) or now - self._printed >= _PLAIN_EVERY_S:
            self._printed = now
            self._closed = finished
            left = ""
            if self._total and done:
                left = f", {elapsed / done * (self._total - done):.0f} s left"
            of_total = f"/{self._total}" if self._total is not None else ""
            state = f"done in {elapsed:.1f} s" if finished else f"{elapsed:.0f} s{left}"
            rate = f", {note}" if note else ""
            self._board.say(f"{self.label}: {done}{of_total} {self._unit}, {state}{rate}")


class Board:
    """The place where stages report. Use as a context; quiet lines on stderr when it is not a terminal.

    ``live=False`` prints lines on a terminal too: a live display would draw over a debugger's prompt.
    """

    def __init__(self, live: bool = True) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._lines: list[Line] = []
        self._explained = -math.inf
        self.live: Progress | None = None
        if live and self._console.is_terminal:
            self.live = Progress(
                SpinnerColumn(finished_text="✓"),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )

    def __enter__(self) -> Board:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def line(self, label: str, total: int | None, unit: str, log: Log | None = None) -> Line:
        line = Line(self, label, total, unit, log)
        self._lines.append(line)
        return line

    def explain_silence(self) -> None:
        """Say of the stages that have made no step for a minute what they wait for; once a minute at most."""
        if time.monotonic() < self._explained + _SILENCE_S:
            return
        labels: dict[str, list[str]] = {}
        for line in self._lines:
            if reason := line.silence():
                labels.setdefault(reason, []).append(line.label)
        for reason, of in labels.items():
            more = f" and {len(of) - _MOST_NAMES} more" if len(of) > _MOST_NAMES else ""
            self.say(f"{', '.join(of[:_MOST_NAMES])}{more}: {reason}")
            self._explained = time.monotonic()

    async def explain_silences(self) -> NoReturn:
        """Do so until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.explain_silence()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)
