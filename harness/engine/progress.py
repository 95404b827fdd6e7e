"""Live progress: one line per stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

_PLAIN_EVERY_S = 10.0


class Line:
    """Progress of one stage, in ``unit``s; ``tokens`` makes a rate. Time waiting for other stages does not count.

    ``total`` is None for a stream of unknown length.
    """

    def __init__(self, board: Board, label: str, total: int | None, unit: str) -> None:
        self._board, self._label, self._total, self._unit = board, label, total, unit
        self._done = self._tokens = 0
        self._started: float | None = None
        self._printed = 0.0
        self._closed = False
        self._task: Any = None

    def start(self) -> Line:
        """The stage's first work has begun. Returns the line."""
        if self._started is None:
            self._started = self._printed = time.monotonic()
            if self._board.live:
                self._task = self._board.live.add_task(self._label, total=self._total, note="")
        return self

    def advance(self, done: int, tokens: int = 0) -> None:
        self.start()
        self._done += done
        self._tokens += tokens
        self._show()

    def update(self, done: int, total: int, note: str) -> None:
        """Set where the stage is, with a note of its own (a loss, for instance)."""
        self.start()
        self._done, self._total = done, total
        self._show(note)

    def _show(self, note: str = "") -> None:
        now = time.monotonic()
        elapsed = max(now - (self._started or now), 1e-9)
        finished = self._total is not None and self._done >= self._total
        if not note and self._tokens:
            note = f"{self._tokens / elapsed:,.0f} tokens/s"
        if self._board.live and self._task is not None:
            self._board.live.update(self._task, completed=self._done, total=self._total, note=note)
        elif (finished and not self._closed) or now - self._printed >= _PLAIN_EVERY_S:
            self._printed = now
            self._closed = finished
            left = ""
            if self._total and self._done:
                left = f", {elapsed / self._done * (self._total - self._done):.0f} s left"
            of_total = f"/{self._total}" if self._total is not None else ""
            state = f"done in {elapsed:.1f} s" if finished else f"{elapsed:.0f} s{left}"
            rate = f", {note}" if note else ""
            self._board.say(f"{self._label}: {self._done}{of_total} {self._unit}, {state}{rate}")


class Board:
    """The place where stages report. Use as a context; quiet lines on stderr when it is not a terminal.

    ``live=False`` prints lines on a terminal too: a live display would draw over a debugger's prompt.
    """

    def __init__(self, live: bool = True) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
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

    def line(self, label: str, total: int | None, unit: str) -> Line:
        return Line(self, label, total, unit)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)
