"""What befalls a run: a process is killed, memory runs out, a disk is full. All of it is real, nothing is played."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from watched import LOOK_S, Surroundings, Watched

#: Memory of the container in which memory runs out, in bytes. An undisturbed run takes about half of it.
CONTAINER_MEMORY = 6 << 30
#: Size of a disk that runs full, in MiB. An undisturbed run leaves most of it free.
DISK_MIB = 96
_STEP = 16 << 20
_CGROUPS = Path("/sys/fs/cgroup/memory")


class Disturbance:
    """Something that befalls a run."""

    name: str

    @contextmanager
    def surroundings(self, folder: Path) -> Iterator[Surroundings]:
        """Make what the run lives in, while the context lasts. ``folder`` will hold its results; it exists."""
        yield Surroundings()

    def is_possible(self, run: Watched) -> bool:
        """Whether it can befall the run now."""
        return True

    def strike(self, run: Watched, rng: random.Random) -> str:
        """Let it happen. Returns what exactly happened."""
        raise NotImplementedError

    def pass_by(self) -> None:
        """What a user does before the next start: there is room again."""


class Killed(Disturbance):
    """A process of the run is killed. ``victim`` is its name in ``watched``, None for any process."""

    def __init__(self, victim: str | None) -> None:
        self.name = f"{victim or 'any process'} killed"
        self._victim = victim

    def is_possible(self, run: Watched) -> bool:
        return bool(run.alive(self._victim))

    def strike(self, run: Watched, rng: random.Random) -> str:
        process = rng.choice(run.alive(self._victim))
        name = run.name(process)
        process.kill()
        return name


class OutOfAddressSpace(Disturbance):
    """A process of the run may take no more memory (``ulimit -v``), from now until it ends."""

    name = "no more memory for a process"

    def strike(self, run: Watched, rng: random.Random) -> str:
        process = rng.choice(run.alive())
        limit = process.memory_info().vms + (1 << 20)
        process.rlimit(resource.RLIMIT_AS, (limit, limit))
        return run.name(process)


class OutOfMemory(Disturbance):
    """The memory of a container runs out: something beside the run eats it, until a worker has been killed.

    The container is a cgroup, and the run sees its limit where Docker shows it.

    Args:
        by_ray: Ray's memory monitor kills the worker, before the kernel must. Else the kernel does.
    """

    def __init__(self, by_ray: bool) -> None:
        self.name = f"out of memory, {'Ray' if by_ray else 'the kernel'} kills"
        self._by_ray = by_ray
        self._group = Path()

    @contextmanager
    def surroundings(self, folder: Path) -> Iterator[Surroundings]:
        self._group = own_cgroup() / f"bonbench-{os.getpid()}"
        self._group.mkdir()
        try:
            (self._group / "memory.limit_in_bytes").write_text(str(CONTAINER_MEMORY))
            enter = f"echo $$ > {self._group}/cgroup.procs && mount --bind {self._group} {_CGROUPS}"
            prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c", f'{enter} && exec "$@"', "sh")
            yield Surroundings({} if self._by_ray else {"RAY_memory_monitor_refresh_ms": "0"}, prefix)
        finally:
            for _ in range(100):  # its last processes may be on their way out
                with suppress(OSError):
                    self._group.rmdir()
                    break
                time.sleep(0.1)

    def strike(self, run: Watched, rng: random.Random) -> str:
        hold_s = rng.choice((0.0, rng.uniform(5, 30)))
        names: dict[psutil.Process, str] = {}

        def has_killed() -> bool:
            names.update({process: run.name(process) for process in run.alive()})
            return self._has_killed(run)

        limit = CONTAINER_MEMORY * 0.985 if self._by_ray else CONTAINER_MEMORY * 2
        command = [sys.executable, __file__, str(self._group), str(int(limit))]
        with subprocess.Popen(command) as eater:
            run.until(lambda: has_killed() or eater.poll() is not None)
            end = time.monotonic() + hold_s
            run.until(lambda: time.monotonic() > end)
            eater.kill()
        assert self._has_killed(run), "memory was short, and nobody was killed"
        gone = sorted(names[process] for process in names.keys() - set(run.alive()))
        return f"{', '.join(gone)} gone; memory was scarce for {hold_s:.0f} s more"

    def _has_killed(self, run: Watched) -> bool:
        if self._by_ray:
            logs = Path("/tmp/ray").glob(f"session_*_{run.driver.pid}/logs/raylet.out")
            return any("exceeded threshold" in log.read_text(errors="replace") for log in logs)
        return "oom_kill 0" not in (self._group / "memory.oom_control").read_text()


class DiskFull(Disturbance):
    """A file system is full, that of the results or that of Ray's files, or one with both."""

    def __init__(self, results: bool, ray: bool) -> None:
        what = " and ".join(name for name, full in (("the results", results), ("Ray's files", ray)) if full)
        self.name = f"disk of {what} full"
        self._results, self._ray = results, ray
        self._filler = Path()

    @contextmanager
    def surroundings(self, folder: Path) -> Iterator[Surroundings]:
        # The addresses of Ray's sockets, which lie there, may have 107 characters.
        disk = folder if self._results else Path("/tmp") / f"bonbench-{os.getpid()}"
        link = Path("/tmp") / f"bb-{os.getpid()}"
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "bonbench", str(disk)], check=True)
        self._filler = disk / "filler"
        try:
            if not self._ray:
                yield Surroundings()
                return
            (disk / "tmp").mkdir(exist_ok=True)
            link.symlink_to(disk / "tmp")
            yield Surroundings({"RAY_TMPDIR": str(link), "TMPDIR": str(link)})
        finally:
            link.unlink(missing_ok=True)
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
            if disk != folder:
                disk.rmdir()

    def strike(self, run: Watched, rng: random.Random) -> str:
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        return f"{shutil.disk_usage(self._filler.parent).free} bytes free"

    def pass_by(self) -> None:
        self._filler.unlink(missing_ok=True)


def disturbances() -> list[Disturbance]:
    """All that can be done to a run on this machine."""
    victims = ("driver", "actor", "training worker", "Ray Train worker", "Ray Train controller", "raylet", "GCS")
    helpers = ("dashboard agent", "runtime env agent", "log monitor", "autoscaler monitor", "dashboard", None)
    kinds: list[Disturbance] = [*(Killed(victim) for victim in (*victims, *helpers)), OutOfAddressSpace()]
    if os.geteuid() == 0:
        kinds += [DiskFull(True, False), DiskFull(False, True), DiskFull(True, True)]
        if (own_cgroup() / "cgroup.procs").exists():
            kinds += [OutOfMemory(by_ray=False), OutOfMemory(by_ray=True)]
    return kinds


def own_cgroup() -> Path:
    """The memory cgroup (version 1) of this process."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _CGROUPS / path.removeprefix("/")
    return _CGROUPS / "none"


def _eat(group: Path, limit: int) -> None:
    """Take memory of a cgroup until ``limit`` bytes are in use, and keep it; the kernel kills Ray's workers first."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
    eaten = []
    while True:
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        files = sum(int(statistics[f"total_{name}"]) for name in ("active_file", "inactive_file"))
        used = int((group / "memory.usage_in_bytes").read_text()) - files  # as Ray counts
        if used < limit - _STEP:
            eaten.append(b"x" * _STEP)
        else:
            time.sleep(LOOK_S)


if __name__ == "__main__":
    _eat(Path(sys.argv[1]), int(sys.argv[2]))
