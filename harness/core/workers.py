"""The worker processes of a training, and the launcher that starts them.

A trainer knows the launcher and not the cluster.
"""

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
        """Call ``work(job, progress)`` in every worker, and return the result of the first worker.

        Several workers form a `torch.distributed` process group. When a worker dies, ``work`` is called again with the
        same job.

        Args:
            work: a function at the top level of a module, so that another process can import it.
            scratch: a folder for files of the launcher, which makes the folder and removes it at the end.
            progress: gets the progress of the first worker.

        Raises:
            Exception: the error that ``work`` raised in the first worker, or an error that says that workers died too
                often.
        """
        ...
