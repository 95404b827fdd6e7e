"""A run in a process of its own, watched from outside: its processes, its silences, and how far it is."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from places import BONBENCH, ROOT

#: Seconds between looks at a run.
LOOK_S = 0.2
#: A run that stores nothing and says nothing for so long hangs: nothing takes so long, however busy the machine.
HUNG_S = 900.0

#: What processes of a run are called here, and what their command lines contain: some rename themselves as they start.
_PROCESSES = {
    "training worker": ("ray::_Actor.train",),
    "actor": ("ray::_Actor",),
    "Ray Train worker": ("ray::RayTrainWorker", "ray::execute."),
    "Ray Train controller": ("ray::TrainController",),
    "raylet": ("/raylet/raylet ",),
    "GCS": ("gcs_server",),
    "dashboard agent": ("dashboard/agent.py", "ray::DashboardAgent"),
    "runtime env agent": ("runtime_env/agent/main.py", "ray::RuntimeEnvAgent"),
    "log monitor": ("log_monitor.py",),
    "autoscaler monitor": ("autoscaler/_private/monitor.py",),
    "dashboard": ("dashboard/dashboard.py",),
    "idle Ray worker": ("ray::IDLE",),
    "Ray worker that starts": ("/ray/_private/workers/",),
}


class Hung(AssertionError):
    """A run made no sign of life for longer than anything takes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a run lives: variables of its environment, and the command that starts its command."""

    variables: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """How far a run is: what it has stored, and for how many seconds nothing has come to it."""

    stored: int
    seconds: float


class Watched:
    """A run through Ray, whose output goes to the file ``log``. :meth:`look` must be called often.

    Attributes:
        processes: every process of the run that was ever seen, the driver first.
        silence: the longest time in seconds in which nothing was stored and nothing was said. Checkpoints of trainings
            do not count: nobody sees them.
        outlived: for how many seconds some process of the run outlived the driver.
    """

    def __init__(self, config: Path, surroundings: Surroundings, log: Path) -> None:
        self.results, self._log = config.parent / "results", log
        command = [*surroundings.prefix, *BONBENCH, "run", str(config)]
        variables = {**os.environ, **surroundings.variables}
        with self._log.open("ab") as log:
            self.driver = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=variables)
        self.processes = {psutil.Process(self.driver.pid): None}
        self.started = self._sign = self._step = time.monotonic()
        self.silence = self.outlived = 0.0
        self._ended: float | None = None
        self._steps: set[str] = set()
        self._signs = (0, 0)

    def look(self) -> bool:
        """Take note of what there is. Returns whether the run goes on.

        Raises:
            Hung: where the run has been silent for too long.
        """
        goes_on = self.driver.poll() is None
        self._meet()
        now = time.monotonic()
        if self._ended is not None:
            self.outlived = now - self._ended if self.alive() else self.outlived
            return False
        self._ended = None if goes_on else now
        steps = self._steps | set(_stored(self.results)) | set(_checkpoints(self.results))
        if len(steps) > len(self._steps):
            self._steps, self._step = steps, now
        signs = (len(_stored(self.results)), self._log.stat().st_size)
        self.silence = max(self.silence, now - self._sign)
        if signs != self._signs:
            self._signs, self._sign = signs, now
        if goes_on and now - max(self._sign, self._step) > HUNG_S:
            raise Hung(f"silent for {HUNG_S:.0f} s; {self.said()}")
        return goes_on

    def until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition, or for the end of the run. Returns whether the run goes on."""
        while (goes_on := self.look()) and not condition():
            time.sleep(LOOK_S)
        return goes_on

    def end(self) -> int:
        """Wait for the end. Returns the exit code."""
        self.until(lambda: False)
        return self.driver.wait()

    def moment(self) -> Moment:
        return Moment(len(self._steps), time.monotonic() - self._step)

    def where(self, complete: Mapping[str, int]) -> str:
        """What the run works on: folders of the results that have some of their files, or the next one that has none.

        Args:
            complete: the files in each folder at the end, in the order in which folders come to be.
        """
        has = folders(self.results)
        begun = [name for name, n in complete.items() if 0 < has[name] < n]
        begun += [f"{p.parent.name}/{p.stem}" for p in sorted((self.results / "trained").glob("*.partial"))]
        ahead = [f"before {name}" for name in complete if not has[name]]
        return ", ".join(begun) or next(iter(ahead), "report")

    def alive(self, name: str | None = None) -> list[psutil.Process]:
        """The processes of a name that live; all of the run without one."""
        return [p for p in self.processes if _lives(p) and name in (None, self.name(p))]

    def name(self, process: psutil.Process) -> str:
        """What a process of the run is called here."""
        if process.pid == self.driver.pid:
            return "driver"
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            return "gone"
        names = (name for name, parts in _PROCESSES.items() if any(part in line for part in parts))
        return next(names, line[:40].strip())

    def said(self, lines: int = 15) -> str:
        """The last lines of what the run said."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def sweep(self, patience_s: float) -> list[str]:
        """Wait for all processes to end. Returns the names of those that had to be killed."""
        end = time.monotonic() + patience_s
        while self.alive() and time.monotonic() < end:
            self.look()
            time.sleep(LOOK_S)
        left = [(process, self.name(process)) for process in self.alive()]
        for process, _ in left:
            process.kill()
        return [name for _, name in left]

    def _meet(self) -> None:
        """Find the children of the known processes, whoever is their parent later."""
        known = {process.pid for process in self.processes if _lives(process)}
        for process in psutil.process_iter():
            try:
                if process.ppid() in known and process not in self.processes:
                    self.processes[process] = None
                    known.add(process.pid)
            except psutil.Error:
                continue


def folders(results: Path) -> Counter[str]:
    """How many shards and trained models there are in each folder of the results."""
    return Counter(str(Path(name).parent) if name.endswith(".parquet") else name for name in _stored(results))


def _stored(results: Path) -> list[str]:
    """The shards and trained models in a results folder."""
    models = [f"trained/{path.name}" for path in results.glob("trained/*") if path.suffix != ".partial"]
    shards = []
    for folder, below, files in os.walk(results):  # which, unlike a glob, bears that a folder goes meanwhile
        below[:] = [name for name in below if name not in ("ledger", "trained")]
        place = Path(folder).relative_to(results)
        shards += [str(place / name) for name in files if name.endswith(".parquet")]
    return [*shards, *models]


def _checkpoints(results: Path) -> list[str]:
    return [str(path.relative_to(results)) for path in results.glob("trained/*.partial/checkpoints/checkpoint-*")]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
