"""Runs disturbed at random moments, then resumed: every response is there once, and is the one it would have been.

``pytest tests/engine/test_chaos.py -m thorough --chaos 20`` disturbs twenty times; by default it is a few.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from chaos import actors_below, finish, kill, sampling_experiment, start, stored, undisturbed, wait_for
from runs import contents

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.thorough]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_" in metafunc.fixturenames:
        metafunc.parametrize("round_", range(metafunc.config.getoption("--chaos")))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of a run nobody disturbs."""
    config = sampling_experiment(tmp_path_factory.mktemp("undisturbed"))
    return contents(undisturbed(config, "--until", "grade"))


def test_killed_at_a_random_moment(expected: dict[str, bytes], round_: int, tmp_path: Path) -> None:
    """Even rounds kill an actor (the run must finish by itself), odd ones the driver (a second run must)."""
    rng = random.Random(round_)
    config = sampling_experiment(tmp_path, replicas=rng.choice((1, 2)))
    process = start(config, "--until", "grade")
    moment = rng.randrange(24)
    wait_for(lambda: len(stored(config, "responses")) >= moment and bool(actors_below(process.pid)), process)
    if round_ % 2 == 0:
        rng.choice(actors_below(process.pid)).kill()
    else:
        kill(process)
        process = start(config, "--until", "grade")
    finish(process)
    assert contents(config.parent / "results") == expected
