"""A run ends when a process dies without which Ray is nothing, and waits for a Ray that starts slowly."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import ray

from harness.engine.ray_executor import start_ray

#: Starts what bears the names of Ray's processes, and waits for ever, as a run does for an actor of a dead Ray.
RUN = """
import subprocess, time
from harness.core.ending import ends_when_stopped
from harness.engine.ray_watch import RayWatch
for name in ("gcs_server", "raylet"):
    subprocess.Popen(["{folder}/" + name, "1000"])
with ends_when_stopped(for_good=True):
    RayWatch(is_own=True).start()
    print("waits", flush=True)
    while True:
        try:
            time.sleep(1000)
        except KeyboardInterrupt:
            raise SystemExit(9)
"""


@pytest.mark.parametrize(
    ("victim", "says"),
    [("gcs_server", "Ray's head process (GCS) died"), ("raylet", "Ray's node process (raylet) died")],
)
def test_a_run_whose_ray_has_died_ends(victim: str, says: str, tmp_path: Path) -> None:
    for name in ("gcs_server", "raylet"):
        shutil.copy(shutil.which("sleep") or "sleep", tmp_path / name)
    run = [sys.executable, "-c", RUN.format(folder=tmp_path)]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "waits\n"
    children = {child.name(): child for child in psutil.Process(process.pid).children()}
    children[victim].kill()
    _, err = process.communicate()
    assert process.returncode == 1
    assert err.startswith(f"bonbench: {says}") and len(err.splitlines()) == 1
    assert "run the same command again to continue" in err
    assert not any(child.is_running() for child in children.values())


@pytest.mark.ray
@pytest.mark.thorough
def test_a_ray_that_starts_slowly_is_started_again() -> None:
    """Its node process stands still; after 30 s Ray gives up on it."""
    stopped: list[psutil.Process] = []

    def stop_first() -> None:
        while not stopped:
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    if child.name() == "raylet":
                        child.suspend()
                        stopped.append(child)
                        return
            time.sleep(0.01)

    thread = threading.Thread(target=stop_first)
    thread.start()
    try:
        start_ray(None)
        assert ray.cluster_resources()["CPU"] > 0
        assert not stopped[0].is_running()
    finally:
        ray.shutdown()
        stopped.append(psutil.Process())
        thread.join()
