"""Components from files: by class, by registered name, and what is said of mistakes."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from harness.core import plugins, registry
from harness.core.components import RewardModel
from harness.core.errors import UserError
from harness.core.registry import available, find
from harness.experiment.entries import parse_spec

FILE = '''
from harness.core.registry import register
from harness.core.components import RewardModel
from harness.core.params import ComponentParams


@register("short-name")
class ALongClassName(RewardModel[ComponentParams]):
    def score(self, batch):
        return []


class Heir(ALongClassName):
    """Inherits the class, not its name."""


class Helper:
    pass
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my_rm.py").write_text(FILE)
    return tmp_path / "my_rm.py"


def test_a_class_goes_by_its_name_and_its_registered_name(file: Path) -> None:
    cls = find("reward_models", f"{file}:short-name")
    assert cls.__name__ == "ALongClassName" and issubclass(cls, RewardModel)
    assert find("reward_models", f"{file}:Heir").__name__ == "Heir"
    assert find("reward_models", f"{file}:ALongClassName").__name__ == "ALongClassName"
    assert parse_spec(f"{file}:short-name:a=1") == ("short-name", {"type": f"{file}:short-name", "a": 1})


@pytest.mark.parametrize("name", ["Helper", "ShortName", "RewardModels"])
def test_what_is_not_there_is_named_with_what_is(file: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"no component {name}"):
        find("reward_models", f"{file}:{name}")


def test_another_kind_is_refused(file: Path) -> None:
    with pytest.raises(UserError, match="is not a Generator"):
        find("generators", f"{file}:short-name")


def test_a_trainer_is_refused_whose_parameters_are_no_trainers(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from harness import ComponentParams, Trainer\n\n"
        "class Mine(Trainer):\n    Params = ComponentParams\n\n    def train(self, data, output, progress): ...\n"
    )
    with pytest.raises(UserError, match=r"its Params \(ComponentParams\) must derive from harness.TrainerParams"):
        find("trainers", f"{tmp_path / 'mine.py'}:Mine")


class Package:
    def __init__(self, name: str) -> None:
        self.name = name


def registered(monkeypatch: pytest.MonkeyPatch, *values: tuple[str, str]) -> None:
    """Let the given (package, reference) pairs be all reward models that are registered, each as ``length``."""
    points = []
    for package, value in values:
        point = EntryPoint("length", value, "bonbench.reward_models")
        vars(point)["dist"] = Package(package)
        points.append(point)
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "available", available.__wrapped__)


def test_two_packages_cannot_register_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, ("bonbench", "ours:Length"), ("other-rms", "theirs:Length"))
    with pytest.raises(
        UserError, match=r"reward model length: .* bonbench \(ours:Length\) .* other-rms \(theirs:Length\)"
    ):
        registry.available("reward_models")


def test_one_class_may_be_registered_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, ("bonbench", "ours:Length"), ("bonbench-copy", "ours:Length"))
    assert registry.available("reward_models")["length"].value == "ours:Length"
