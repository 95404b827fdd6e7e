"""A component in the process that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.registry import find
from harness.core.stages import Task
from harness.core.terms import Kind
from harness.engine import tasks
from harness.engine.tasks import Result
from harness.experiment.model_files import loadable


class Worker:
    """A component and the tasks it runs. An error of its construction is raised by each task."""

    def __init__(self, kind: Kind, type_: str, params: Mapping[str, Any], name: str) -> None:
        self._component: Any = None
        self._failure: Exception | None = None
        try:
            cls = find(kind, type_)
            self._component = cls(loadable(cls.Params.model_validate(params)), name)
        except Exception as error:  # run() raises it: an actor that dies in its constructor cannot say why
            self._failure = error

    def run(self, task: Task, payload: Mapping[str, Any]) -> Result:
        """Run a task on a shard's tables.

        Raises:
            Exception: whatever the component raised, when it was built or now.
        """
        if self._failure is not None:
            raise self._failure
        return tasks.run(task, self._component, payload)
