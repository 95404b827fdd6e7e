"""``bonbench run pocket``: experiments that BonBench ships go by name, and are copied to be edited."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from places import ROOT

from harness.cli import main
from harness.cli.exit_codes import ExitCode
from harness.cli.experiments import experiment_file, load_graph
from harness.core.errors import UserError

POCKET = ROOT / "experiments" / "pocket.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(config: Path) -> list[tuple[str, str]]:
    """Folder and key of every shard and training of a small form, with a model that no generator has."""
    small = [
        "problems.test.limit=4",
        "problems.train.limit=8",
        "generators.strong.model=experiments/pocket/models/weak",
    ]
    graph = load_graph(config, small, ["implicit:policy=experiments/pocket/models/strong,reference=null"])
    trainings = [(name, training.key) for name, training in graph.trainings.items()]
    return [(shard.folder, shard.key) for stage in graph.stages for shard in stage.shards] + trainings


def test_a_name_a_copy_and_the_checkout_have_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    in_checkout = keys(POCKET)
    monkeypatch.chdir(tmp_path)
    assert keys(Path("pocket")) == in_checkout
    assert main(["copy", "pocket", "mine.yaml"]) == ExitCode.DONE
    assert keys(Path("mine.yaml")) == in_checkout


def test_a_file_comes_before_a_name(folder: Path) -> None:
    assert experiment_file(Path("pocket")) == POCKET
    (folder / "pocket").mkdir()  # a folder is no experiment
    assert experiment_file(Path("pocket")) == POCKET
    (folder / "paper").write_text("name: mine")
    assert experiment_file(Path("paper")) == Path("paper")
    assert experiment_file(Path("experiments/pocket.yaml")) == POCKET


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("pockt", "pockt: No such file; did you mean pocket"),
        ("pocket.yaml", "pocket.yaml: No such file; did you mean pocket"),
        ("folder", "folder is a folder"),
        ("mine/absent.yaml", r"mine/absent.yaml: No such file$"),
    ],
)
def test_what_is_neither_says_so(word: str, says: str, folder: Path) -> None:
    (folder / "folder").mkdir()
    with pytest.raises(UserError, match=says):
        experiment_file(Path(word))


def test_a_copy_keeps_comments_and_replaces_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", "pocket"]) == ExitCode.DONE
    assert "bonbench run pocket.yaml" in capsys.readouterr().out
    assert (folder / "pocket.yaml").read_text() == POCKET.read_text()
    (folder / "pocket.yaml").write_text("name: edited")
    assert main(["copy", "pocket"]) == ExitCode.MISTAKE
    assert "pocket.yaml: the file exists already" in capsys.readouterr().err
    assert (folder / "pocket.yaml").read_text() == "name: edited"


def test_a_copy_goes_into_a_folder(folder: Path) -> None:
    (folder / "mine").mkdir()
    assert main(["copy", "paper", "mine"]) == ExitCode.DONE
    assert yaml.safe_load((folder / "mine" / "paper.yaml").read_text())["name"] == "paper"


def test_an_unknown_name_cannot_be_copied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", "pockt"]) == ExitCode.MISTAKE
    assert "did you mean pocket" in capsys.readouterr().err
    assert main(["copy", "pocket", "absent/pocket.yaml"]) == ExitCode.MISTAKE
    assert "absent/pocket.yaml: No such file or directory" in capsys.readouterr().err
    assert not list(folder.iterdir())
