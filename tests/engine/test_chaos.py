"""Runs disturbed at random moments, then resumed: every response is there once, and is the one it would have been.

``pytest tests/test_chaos.py --chaos 20`` disturbs twenty times; by default it is a few.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import psutil
import pytest
from chaos import actors_below, finish, sampling_experiment, shards, start


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_" in metafunc.fixturenames:
        metafunc.parametrize("round_", range(metafunc.config.getoption("--chaos")))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The shards of a run nobody disturbs, and how many seconds it took."""
    config = sampling_experiment(tmp_path_factory.mktemp("undisturbed"))
    started = time.monotonic()
    finish(start(config))
    return shards(config), time.monotonic() - started


def test_killed_at_a_random_moment(undisturbed: tuple[dict[str, bytes], float], round_: int, tmp_path: Path) -> None:
    """Even rounds kill an actor (the run must finish by itself), odd ones the driver (a second run must)."""
    expected, seconds = undisturbed
    rng = random.Random(round_)
    config = sampling_experiment(tmp_path, replicas=rng.choice((1, 2)))
    process = start(config)
    end = time.monotonic() + rng.uniform(0.2, 0.9) * seconds
    victims: list[psutil.Process] = []
    while process.poll() is None and (time.monotonic() < end or (round_ % 2 == 0 and not victims)):
        time.sleep(0.02)
        victims = actors_below(process.pid)
    if round_ % 2 == 0:
        assert victims, "the run was over before an actor could be killed"
        rng.choice(victims).kill()
    else:
        process.kill()
        process.communicate()
        process = start(config)
    finish(process)
    assert shards(config) == expected
