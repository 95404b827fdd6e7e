"""A report is fresh if it is the standard one of the results that are stored, and was written to its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from places import ROOT
from results_folder import GENERATORS, write_results

from harness.analysis.published_numbers import load_published
from harness.cli import main
from harness.report import write
from harness.report.freshness import report_is_fresh

PAPER = ROOT / "results" / "paper"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = load_published(PAPER).index.generators.values()
    generators = {name: {"type": "x", "model": model} for name, model in zip(GENERATORS, models, strict=False)}
    path = tmp_path_factory.mktemp("results") / "tiny"
    return write_results(path, {}, generators=generators, results_key="now")


@pytest.fixture
def reported(folder: Path) -> Path:
    """A folder whose report is fresh."""
    if not report_is_fresh(folder):
        assert main(["report", str(folder)]) == 0
    assert report_is_fresh(folder)
    return folder


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert not report_is_fresh(write_results(tmp_path, {}, results_key="now"))


def test_a_report_for_another_column_is_not_the_standard_one(reported: Path) -> None:
    assert main(["report", str(reported), "--column-width", "3.25"]) == 0
    assert not report_is_fresh(reported)


def test_a_report_beside_published_numbers_is_not_the_standard_one(reported: Path) -> None:
    assert main(["report", str(reported), "--beside", str(PAPER)]) == 0
    assert not report_is_fresh(reported)


def change_the_results(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"results_key": "later"}))


def remove_the_page(folder: Path) -> None:
    (folder / "report.html").unlink()


def stop_while_writing(folder: Path) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "write_files", stopped)
        with pytest.raises(KeyboardInterrupt):
            write.write_report(folder)


@pytest.mark.parametrize("happens", [change_the_results, remove_the_page, stop_while_writing])
def test_what_ends_freshness(reported: Path, happens: Callable[[Path], None]) -> None:
    happens(reported)
    assert not report_is_fresh(reported)


def test_results_without_a_key_are_never_fresh(tmp_path: Path) -> None:
    """A run writes the key; without one nothing tells whether the results have changed."""
    folder = write_results(tmp_path, {})
    write.write_report(folder)
    assert not report_is_fresh(folder)


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON"])
def test_a_manifest_that_is_none_is_said_in_words(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text(content)
    assert not report_is_fresh(tmp_path)
    assert main(["report", str(tmp_path)]) == 2
    assert "manifest.json" in capsys.readouterr().err
