"""The wheel is whole: it holds every file of the packages, and works in an empty folder beside packages of any name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from places import ROOT

COMPONENTS = ("generators", "verifiers", "reward_models", "experiments")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by setuptools from a copy of the sources, without a network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("harness", "bonbench", *COMPONENTS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    build = subprocess.run([sys.executable, "-c", code, target], cwd=source, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, and beside it four other packages that have the names of our folders."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in COMPONENTS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('this package is not of BonBench')\n")
    return folder


def bonbench(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bonbench", *arguments]
    environment = os.environ | {"PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def files_of(folder: Path) -> set[Path]:
    return {p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    expected = {Path("harness") / path for path in files_of(ROOT / "harness")}
    expected |= {Path("bonbench") / name / path for name in COMPONENTS for path in files_of(ROOT / name)}
    expected |= {Path("bonbench") / path.name for path in (ROOT / "bonbench").iterdir() if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name) for name in archive.namelist()}
    assert {path for path in held if not path.parts[0].endswith(".dist-info")} == expected
    assert {Path("harness/py.typed"), Path("bonbench/py.typed")} <= held


def test_entry_points_are_those_of_the_project(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parser = ConfigParser(delimiters=("=",))
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        parser.read_string(archive.read(name).decode())
    groups = {section: dict(parser[section]) for section in parser.sections()}
    assert groups == {"console_scripts": project["scripts"], **project["entry-points"]}


def test_components_are_found_beside_packages_of_their_folders_names(installed: Path, tmp_path: Path) -> None:
    listed = bonbench(installed, tmp_path, "list")
    assert listed.returncode == 0, listed.stderr
    assert "step-token" in listed.stdout and "pocket-analysis" in listed.stdout
    rows = [{"pred": r"\sqrt{2}\cdot\sqrt{3}", "gold": r"\sqrt{6}"}, {"pred": r"\sin^2(x)", "gold": r"1-\cos^2(x)"}]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    graded = bonbench(installed, tmp_path, "grade", "answers.jsonl", "-o", "graded.jsonl")
    assert graded.returncode == 0, graded.stderr
    verdicts = [json.loads(line) for line in (tmp_path / "graded.jsonl").read_text().splitlines()]
    assert [(row["correct"], row["reason"]) for row in verdicts] == [(True, "arithmetic"), (True, "symbolic")]


def test_the_shipped_experiment_is_complete(installed: Path, tmp_path: Path) -> None:
    planned = bonbench(installed, tmp_path, "plan", "pocket")
    assert planned.returncode == 0, planned.stderr
    assert "unknown" not in planned.stdout, "the shipped models are read"
    copied = bonbench(installed, tmp_path, "copy", "pocket", "mine.yaml")
    assert copied.returncode == 0, copied.stderr
    again = bonbench(installed, tmp_path, "plan", "mine.yaml")
    assert again.stdout == planned.stdout
