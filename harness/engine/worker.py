"""A component in the process that runs it."""

from __future__ import annotations

import gc
import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UserError, one_line
from harness.core.registry import find
from harness.core.stages import Task
from harness.core.terms import Kind
from harness.engine import tasks
from harness.engine.failures import is_transient
from harness.engine.in_flight import InFlight, News
from harness.engine.shared_clock import SharedClock
from harness.engine.tasks import Result
from harness.experiment.model_files import loadable


@dataclass(frozen=True, slots=True)
class NotBuilt:
    """Why a component could not be built: in one line, whether it is the user's mistake, and whether it may pass.

    An exception would have to be made again in another process, and not every one can be.
    """

    message: str
    is_mistake: bool = False
    is_transient: bool = False
    traceback: str = ""


class Worker:
    """A component and the tasks it runs: one at a time, or as many as it takes at once, each in a thread."""

    def __init__(self) -> None:
        self._component: Any = None
        self._built: tuple[Any, ...] = ()  # what it is made of
        self._clock = SharedClock()
        self._in_flight = InFlight()

    def build(self, kind: Kind, type_: str, params: Mapping[str, Any], name: str) -> NotBuilt | None:
        """Build the component. It comes first; what it returns says why there is none.

        A component that is built already, with the same parameters, goes on under its new name.
        """
        if self._component is not None and self._built == (kind, type_, params):
            self._component.name = name
            return None
        self.drop()
        try:
            cls = find(kind, type_)
            self._component = cls(loadable(cls.Params.model_validate(params)), name)
            self._built = kind, type_, params
        except Exception as error:
            is_mistake = isinstance(error, UserError)
            return NotBuilt(
                str(error) if is_mistake else one_line(error), is_mistake, is_transient(error), traceback.format_exc()
            )
        return None

    def drop(self) -> None:
        """Free the component's memory. Another component may be built then."""
        self._component = None
        gc.collect()

    def run(self, task: Task, payload: Mapping[str, Any], ticket: int = 0) -> Result:
        """Run a task on a shard's tables. ``ticket`` is the shard's number among those given to this worker.

        Raises:
            Exception: whatever the component raised.
        """
        with _notes() as notes, self._in_flight.shard(ticket), self._clock.lap() as lap:
            result = tasks.run(task, self._component, payload)
        result.notes, result.wall_s = notes, lap.seconds
        return result

    def watch(self, ticket: int, had_room: bool) -> News:
        """How far the shards are, and whether there is room for another one after ``ticket``.

        It returns when that is no longer what it was (``had_room``), and after a second at the latest.
        """
        return self._in_flight.watch(ticket, had_room, self._component.responses_in_flight())


@contextmanager
def _notes() -> Iterator[list[str]]:
    """What components warn of in this thread through the logger ``bonbench``: a process elsewhere has nobody who reads
    it."""
    notes: list[str] = []
    handler = logging.Handler(logging.WARNING)
    thread = threading.get_ident()
    handler.addFilter(lambda record: record.thread == thread)
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("bonbench")
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)
