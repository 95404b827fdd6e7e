"""Files that BonBench ships are found from any folder, and are written down as they are found everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import ROOT

from harness.core.shipped import experiments, located
from harness.storage.manifest import portable

WEAK = "experiments/pocket/models/weak"


def test_every_experiment_of_the_checkout_is_shipped() -> None:
    assert experiments() == {path.stem: path for path in (ROOT / "experiments").glob("*.yaml")}


def test_a_shipped_path_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert located(WEAK) == WEAK
    monkeypatch.chdir(tmp_path)
    assert located(WEAK) == str(ROOT / WEAK)
    (tmp_path / WEAK).mkdir(parents=True)
    assert located(WEAK) == WEAK, "the working directory comes first"


@pytest.mark.parametrize(
    "path", ["harness", "README.md", "experiments/../README.md", "experiments/absent", "owner/model", "/absent", ""]
)
def test_other_paths_stay_as_they_are(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located(path) == path


def test_manifests_name_files_as_they_are_found_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert portable(str(ROOT / WEAK)) == WEAK
    assert portable(str(tmp_path / "model")) == "model"
    assert portable(f"{tmp_path}/rm.py:Mine") == "rm.py:Mine"
    assert portable("/elsewhere/model") == "/elsewhere/model"
