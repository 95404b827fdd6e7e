"""Notices that Ray itself has died: then no call to it ends, and no actor answers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import psutil
import ray

from harness.core.ending import stop_process

_LOOK_S = 2.0
#: A cluster that does not answer for so long (seconds) is gone. Ray itself would break off this process after a minute.
_SILENCE_S = 45.0
#: The processes without which Ray is nothing, and what they are.
_ESSENTIAL = {"gcs_server": "Ray's head process (GCS)", "raylet": "Ray's node process (raylet)"}


class RayWatch:
    """Looks after Ray from a thread of its own, and ends this process where Ray has died.

    Args:
        is_own: whether this process started Ray. Then the processes of Ray are looked after, else what the cluster
            answers.
    """

    def __init__(self, is_own: bool) -> None:
        self._is_own = is_own
        self._over = threading.Event()

    def start(self) -> None:
        """Begin; Ray is there."""
        look = _processes() if self._is_own else _cluster()
        threading.Thread(target=self._watch, args=(look,), name="ray-watch", daemon=True).start()

    def stop(self) -> None:
        """Ray may go now."""
        self._over.set()

    def _watch(self, look: Callable[[], str | None]) -> None:
        while not self._over.wait(_LOOK_S):
            if (gone := look()) and not self._over.is_set():
                stop_process(f"{gone}; run the same command again to continue, what is finished is kept", 1)
                return


def _processes() -> Callable[[], str | None]:
    """What says that one of the two processes without which a Ray of our own is nothing is gone."""
    processes = {child.name(): child for child in psutil.Process().children() if child.name() in _ESSENTIAL}

    def gone() -> str | None:
        dead = (what for name, what in _ESSENTIAL.items() if name in processes and not _runs(processes[name]))
        return next((f"{what} died (the system kills processes where memory is short)" for what in dead), None)

    return gone


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _cluster() -> Callable[[], str | None]:
    """What says that the cluster does not answer any more, or has lost the node of this process."""
    node_id = ray.get_runtime_context().get_node_id()
    heard = [time.monotonic()]
    is_alive = [True]

    def ask() -> None:  # a question to a dead cluster may never end
        with contextlib.suppress(Exception):
            is_alive[0] = any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id)
            heard[0] = time.monotonic()

    asking = threading.Thread(target=ask, daemon=True)

    def gone() -> str | None:
        nonlocal asking
        if not asking.is_alive():
            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
        if not is_alive[0]:
            return "the Ray cluster lost the node of this process"
        silent_s = time.monotonic() - heard[0]
        return f"the Ray cluster has not answered for {silent_s:.0f} s" if silent_s > _SILENCE_S else None

    return gone
