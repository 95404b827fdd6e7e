"""The processes that a training runs in, and what starts them: a trainer is handed a launcher, and knows no cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

#: (done, total, note): how far some work is.
Progress = Callable[[int, int, str], None]

J = TypeVar("J")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workers:
    """How many processes, and how many CPUs and GPUs each of them takes."""

    count: int = 1
    cpus: int = 1
    gpus: int = 0


class Launcher(Protocol):
    """Runs a function in the workers of a training."""

    def __call__(
        self, work: Callable[[J, Progress], T], job: J, workers: Workers, scratch: Path, progress: Progress
    ) -> T:
        """Call ``work(job, progress)`` in every worker and return what it gives in the first one.

        Several workers form a `torch.distributed` process group. ``work`` is called again, with the same job, when a
        worker dies.

        Args:
            work: a function of a module, so that another process can import it.
            scratch: a folder for files of the launcher: it makes the folder, and removes it at the end.
            progress: what the first worker says of its progress comes here.

        Raises:
            Exception: what ``work`` raised in the first worker, or that the workers died too often.
        """
        ...
