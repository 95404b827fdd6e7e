"""Runs disturbed at random moments: none waits for ever, and all results are those of a run that nobody disturbs.

``pytest tests/engine/test_chaos.py -m thorough --chaos 20 --chaos-table table.md`` disturbs twenty times; by default it
is a few.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pytest
from chaos import (
    actors_below,
    finish,
    kill,
    sampling_experiment,
    start,
    stored,
    undisturbed,
    wait_for,
    whole_experiment,
)
from disturbances import Disturbance, disturbances
from runs import contents, costs
from watched import Hung, Moment, Surroundings, Watched, folders

pytestmark = [pytest.mark.ray, pytest.mark.thorough]

#: Seconds in which all processes of a run are gone after its end.
_SWEEP_S = 120.0


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


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what befell a run, and how it went on."""

    seed: int
    disturbance: str
    what: str = ""
    stage: str = ""
    ended: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    longest_silence_s: float = 0.0
    processes_outlived_driver_s: float = 0.0
    bytes_equal: bool | None = None

    def write(self, table: Path | None) -> None:
        """Add it to a Markdown table."""
        if table is None:
            return
        cells = {name: f"{x:.0f}" if isinstance(x, float) else str(x) for name, x in asdict(self).items()}
        lines = [] if table.exists() else [[name.replace("_", " ") for name in cells], ["---" for _ in cells]]
        with table.open("a") as file:
            for line in [*lines, cells.values()]:
                file.write(f"| {' | '.join(line)} |\n")


@dataclass(frozen=True, slots=True)
class Whole:
    """A run of all stages that nobody disturbs: its results, and when each disturbance was possible."""

    results: Path
    folders: dict[str, int]
    moments: dict[str, list[Moment]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    kinds, begun = disturbances(), {}
    moments: dict[str, list[Moment]] = {kind.name: [] for kind in kinds}
    run = Watched(whole_experiment(folder), Surroundings(), folder / "output.txt")

    def note() -> bool:
        begun.update(dict.fromkeys(folders(run.results)))
        for kind in kinds:
            if kind.is_possible(run):
                moments[kind.name].append(run.moment())
        return False

    run.until(note)
    code, seconds = run.driver.wait(), time.monotonic() - run.started
    assert code == 0, run.said()
    run.sweep(_SWEEP_S)
    row = Row(-1, "none", "", "", "by itself", code, seconds, run.silence, run.outlived, True)
    row.write(request.config.getoption("--chaos-table"))
    complete = folders(run.results)
    return Whole(run.results, {name: complete[name] for name in begun}, moments)


def test_nothing_waits_for_ever(whole: Whole, round_: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Whatever befalls a run: it ends, and at the latest the next run has all results.

    Every disturbance comes once in as many rounds as there are disturbances.
    """
    kinds = disturbances()
    kind = random.Random(round_ // len(kinds)).sample(kinds, len(kinds))[round_ % len(kinds)]
    row: dict[str, object] = {"seed": round_, "disturbance": kind.name}
    try:
        _disturb(whole, kind, random.Random(round_), tmp_path, row)
    finally:
        Row(**row).write(request.config.getoption("--chaos-table"))  # type: ignore[arg-type]


def _disturb(whole: Whole, kind: Disturbance, rng: random.Random, folder: Path, row: dict[str, object]) -> None:
    place, log, moment = folder / "run", folder / "output.txt", rng.choice(whole.moments[kind.name])
    place.mkdir()
    with kind.surroundings(place) as surroundings, contextlib.ExitStack() as runs:
        config = whole_experiment(place)
        first = last = runs.enter_context(_watched(Watched(config, surroundings, log)))
        first.until(lambda: kind.is_possible(first) and first.moment() >= moment)
        assert first.driver.poll() is None, f"the run was over before: {first.said()}"
        row["stage"] = first.where(whole.folders)
        try:
            row["what"] = kind.strike(first, rng)
            row["exit_code"] = code = first.end()
            row["ended"] = "by itself" if code == 0 else "at the next start"
            kind.pass_by()
            if code:
                last = runs.enter_context(_watched(Watched(config, surroundings, log)))
                last.until(first.look)  # what the first run left goes meanwhile
                code = last.end()
        except Hung:
            row["ended"] = "HUNG"
            raise
        finally:
            row["seconds"] = time.monotonic() - first.started
            row["longest_silence_s"] = max(first.silence, last.silence)
        assert code == 0, last.said()
        left = first.sweep(_SWEEP_S) + last.sweep(_SWEEP_S)
        row["processes_outlived_driver_s"] = max(first.outlived, last.outlived)
        assert left == [], "processes that nobody ended"
        has, must = contents(first.results), contents(whole.results)
        different = sorted(name for name in has.keys() | must.keys() if has.get(name) != must.get(name))
        row["bytes_equal"] = different == []
        assert different == []
        pd.testing.assert_frame_equal(costs(first.results), costs(whole.results))
        assert json.loads((first.results / "manifest.json").read_text())["quarantined"] == []


@contextlib.contextmanager
def _watched(run: Watched) -> Iterator[Watched]:
    """A run; what is left of it at the end is killed."""
    try:
        yield run
    finally:
        run.sweep(0.0)
