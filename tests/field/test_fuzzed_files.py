"""Experiments and results that somebody or something has changed at random: one line, or what it was; no traceback."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import ROOT
from results_folder import write_results
from runs import bonbench

EXPERIMENT: dict[str, Any] = {
    "name": "a",
    "seed": 0,
    "output": "nowhere",
    "problems": {
        "test": {"dataset": "pocket", "limit": 4},
        "train": {"dataset": "pocket", "split": "train", "limit": 4},
    },
    "sampling": {"n": 2, "max_tokens": 8},
    "generators": {"middle": {"type": "transformers", "model": "experiments/pocket/models/middle"}},
    "rollouts": {"generator": "middle", "n": 2},
    "reward_models": {
        "length": {"type": "length"},
        "dpo": {"type": "implicit", "train": {"objective": "dpo", "base": "middle", "responses": 2}},
    },
    "policies": {"models": {"p": {"type": "transformers", "model": "dpo"}}},
    "evaluation": {"n": [1, 2]},
    "verifier": {"type": "math"},
}
VALUES = st.one_of(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    st.sampled_from(
        [2**63, 10**400, "a/b", "a\0b", "../x", "x" * 300, "/dev/zero", "majority", "middle", "dpo", "test"]
    ),
    st.sampled_from([[], [None], {}, {"type": None}, {"": 1}, {"a": {"b": 1}}, ["a", "a"], {"type": "x.py:Y"}]),
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a document, and of a key that each of its mappings lacks."""
    if not isinstance(node, dict | list):
        return [path]
    items = {**node, "new": None}.items() if isinstance(node, dict) else enumerate(node)
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


def changed(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = value if len(path) == 1 else changed(node[path[0]], path[1:], value)
    return copy


@pytest.mark.thorough
@settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
@given(change=st.lists(st.tuples(st.sampled_from(places(EXPERIMENT)), VALUES), min_size=1, max_size=2))
def test_a_changed_experiment(
    tmp_path_factory: pytest.TempPathFactory, change: list[tuple[tuple[Any, ...], Any]]
) -> None:
    experiment = EXPERIMENT
    for path, value in change:
        try:
            experiment = changed(experiment, path, value)
        except (LookupError, TypeError):  # the first change has taken the place of the second
            continue
    file = tmp_path_factory.getbasetemp() / "changed.yaml"
    try:
        file.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    except UnicodeEncodeError:
        return
    done = bonbench("plan", file)
    assert done.code in (0, 2) and done.err.count("\n") == (done.code == 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results") / "whole")


@pytest.mark.thorough
@settings(max_examples=80, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    which=st.integers(0, 10**6), place=st.floats(0, 1), how=st.sampled_from(["cut", "flip", "zeros", "drop", "swap"])
)
def test_changed_results(whole: Path, which: int, place: float, how: str) -> None:
    results = whole.with_name("changed")
    shutil.rmtree(results, ignore_errors=True)
    shutil.copytree(whole, results)
    files = sorted(path for path in results.rglob("*") if path.is_file())
    file = files[which % len(files)]
    content = file.read_bytes()
    at = int(place * (len(content) - 1))
    match how:
        case "cut":
            file.write_bytes(content[:at])
        case "flip":
            file.write_bytes(content[:at] + bytes([content[at] ^ 1 << which % 8]) + content[at + 1 :])
        case "zeros":
            file.write_bytes(bytes(len(content)))
        case "drop":
            file.unlink()
        case "swap":
            file.write_bytes(files[which // 7 % len(files)].read_bytes())
    done = bonbench("compare", results, "ce-2", "ce-4")
    assert done.code in (0, 2) and done.err.count("\n") == (done.code == 2)


def test_what_is_shipped_is_read_strictly() -> None:
    for file in sorted((ROOT / "experiments").glob("*.yaml")):
        done = bonbench("plan", file.stem, "--set", "seed=-1")
        assert "seed: input should be greater" in done.err, done.err  # all of the file was read before
