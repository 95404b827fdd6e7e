"""Work on rollouts shard by shard, in the workers of a training: none of its processes ever holds all of them.

What a worker makes of a batch of shards are flat arrays, which it writes to a file. Then the driver puts the arrays
of all batches together: small ones in memory, the large ones (tokens, texts) in a file each, which every process maps
into its memory. A training that was killed finds what is there already.
"""

from __future__ import annotations

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.params import TrainingParams
from harness.core.errors import UserError
from harness.core.files import replacing
from harness.core.records import GradedSolution
from harness.core.rollouts import RolloutShard
from harness.core.workers import Launcher, Progress, Workers

#: Arrays by name, flat: what belongs to one rollout is adjacent.
Arrays = Mapping[str, npt.NDArray[Any]]

#: What is too large for the driver's memory.
_ON_DISK: dict[str, np.dtype[Any]] = {
    "ids": np.dtype(np.int32),
    "reads": np.dtype(np.int32),
    "text": np.dtype(np.uint8),
}

#: The file of all other arrays, in the folder of a work that is done.
_SMALL = "arrays.npz"


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive shards that are worked on together; its first rollout is number ``start`` of all."""

    shards: tuple[RolloutShard, ...]
    start: int

    @property
    def stop(self) -> int:
        return self.start + sum(map(len, self.shards))

    @property
    def problem_ids(self) -> Iterator[str]:
        """The problems of its shards. One may come twice."""
        return (id_ for shard in self.shards for id_ in shard.problem_ids)

    def load(self) -> list[GradedSolution]:
        return [rollout for shard in self.shards for rollout in shard.load()]


def batches(shards: Sequence[RolloutShard], at_least: int) -> list[Batch]:
    """Consecutive shards that have so many rollouts together, the last ones aside; at least one batch."""
    cut: list[Batch] = []
    begun: list[RolloutShard] = []
    start = size = 0
    for shard in shards:
        begun.append(shard)
        size += len(shard)
        if size >= at_least:
            cut.append(Batch(tuple(begun), start))
            begun, start, size = [], start + size, 0
    return [*cut, Batch(tuple(begun), start)] if begun or not cut else cut


@dataclass(frozen=True, slots=True)
class Work(ABC):
    """What is to be made of batches of rollouts. Workers get it pickled."""

    params: TrainingParams
    batches: Sequence[Batch]

    #: What a training's line says of the batches that are done.
    done: ClassVar[str] = "encoded"

    @abstractmethod
    def begin(self) -> Callable[[int], Arrays]:
        """Load what the work needs; returns what makes the arrays of batch i. Called in a worker."""

    def workers(self) -> Workers:
        """The workers that do it: without GPUs, unless they need them."""
        asked = self.params.in_workers()
        return Workers(asked.count, asked.cpus)


@dataclass(frozen=True, slots=True)
class Place:
    """Where work is done: the folder of its arrays, the launcher of its workers."""

    folder: Path
    progress: Progress
    launch: Launcher

    @classmethod
    @contextmanager
    def within(cls, output: Path, progress: Progress, launch: Launcher) -> Iterator[Place]:
        """A place in the folder of a training, which is removed when the training is over."""
        place = cls(output.resolve() / "encoded", progress, launch)
        yield place
        shutil.rmtree(place.folder, ignore_errors=True)


def made(work: Work, name: str, place: Place | None = None) -> Arrays:
    """The arrays of all batches, in their order, joined. Those that the place has under this name are not made again.

    Without a place the work is done here and now, in memory.

    Raises:
        UserError: for a mistake that a worker has met.
    """
    numbers = range(len(work.batches))
    if place is None:
        make = work.begin()
        return _joined([make(number) for number in numbers])
    folder = place.folder / name
    if not (folder / _SMALL).exists():
        if missing := sum(not _file(folder, number).exists() for number in numbers):
            workers = work.workers()
            workers = replace(workers, count=min(workers.count, missing))
            mistake = place.launch(_make, (work, folder), workers, place.folder / "workers", place.progress)
            if mistake is not None:
                raise mistake
        _join(folder, numbers)
    with np.load(folder / _SMALL) as small:
        return {**small, **{name: mapped(folder / name) for name in _ON_DISK if (folder / name).exists()}}


def _make(job: tuple[Work, Path], progress: Progress) -> UserError | None:
    """Make every batch that is this worker's and not there yet; returns the first mistake that any worker has met."""
    import torch.distributed as dist

    work, folder = job
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    ends = np.cumsum([len(batch.shards) for batch in work.batches]).tolist()
    mine = [n for n in range(rank, len(ends), world) if not _file(folder, n).exists()]
    mistake: UserError | None = None
    try:
        make = work.begin() if mine else None
        for number in mine:
            assert make is not None
            before = ends[number] - len(work.batches[number].shards)  # by all workers, about
            progress(before, ends[-1], f"{work.done} {before} of {ends[-1]} shards")
            _save(_file(folder, number), make(number))
    except UserError as error:
        mistake = error
    if not dist.is_initialized():
        return mistake
    # The first worker's return says that all have done their part. A group that raises is started again.
    mistakes: list[UserError | None] = [None] * world
    dist.all_gather_object(mistakes, mistake)
    return next((one for one in mistakes if one is not None), None)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.npz"


def _save(file: Path, arrays: Arrays) -> None:
    with replacing(file) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # of one of its own options


def _join(folder: Path, numbers: Iterable[int]) -> None:
    """Put the arrays of the batches together, and remove their files."""
    small = []
    with ExitStack() as stack:
        streams: dict[str, Any] = {}
        for number in numbers:
            with np.load(_file(folder, number)) as arrays:
                for name in _ON_DISK.keys() & arrays.keys():
                    if name not in streams:
                        streams[name] = stack.enter_context(stack.enter_context(replacing(folder / name)).open("wb"))
                    arrays[name].tofile(streams[name])
                small.append({name: arrays[name] for name in arrays.keys() - _ON_DISK.keys()})
    _save(folder / _SMALL, _joined(small))
    for number in numbers:
        _file(folder, number).unlink()


def _joined(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def mapped(path: Path) -> npt.NDArray[Any]:
    """One of the large arrays [values], in the memory that all processes of a machine share.

    Its file may be removed then.
    """
    dtype = _ON_DISK[path.name]
    if not path.stat().st_size:  # nothing to map
        return np.empty(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))


def path_of(array: npt.NDArray[Any]) -> Path | None:
    """The file that an array [any shape] is the whole content of; None where it lies in memory."""
    file = array.base
    if not isinstance(file, np.memmap) or file.filename is None or file.nbytes != array.nbytes:
        return None
    path = Path(file.filename)
    with contextlib.suppress(OSError):
        return path if path.stat().st_size == array.nbytes else None
    return None


def starts(sizes: npt.NDArray[Any]) -> Indices:
    """Where each stretch of a flat array begins, and the end of the last one [n + 1], from their sizes [n]."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
