"""``bonbench list``: everything that has a name, and the parameters of what has some."""

from __future__ import annotations

from typing import Literal

import pytest
from places import ROOT
from pydantic import Field

from harness import ComponentParams, DataPath, ModelPath, Runtime
from harness.cli import main
from harness.cli.exit_codes import ExitCode
from harness.cli.tables.parameters import parameter_rows


class Inner(ComponentParams):
    problem: str
    solution: str


class Params(ComponentParams):
    model: ModelPath
    reference: ModelPath | None = Field(description="The reference model.")
    data: DataPath | None = None
    rule: Literal["min", "last"] = "min"
    share: float | None = Field(default=None, gt=0, le=1)
    workers: Runtime[int] = Field(default=2, ge=1, description="How many.")
    examples: tuple[Inner, ...] = ()
    body: dict[str, object] = Field(default_factory=dict)
    text: str = ""


def test_parameters_in_the_words_of_an_experiment_file() -> None:
    assert list(parameter_rows(Params)) == [
        ("model", "model", "required", ""),
        ("reference", "model | null", "required", "The reference model."),
        ("data", "file | null", "null", ""),
        ("rule", "min | last", "min", ""),
        ("share", "float > 0 ≤ 1 | null", "null", ""),
        ("workers", "int ≥ 1", "2", "How many."),
        ("examples", "list of {problem, solution}", "[]", ""),
        ("body", "mapping", "{}", ""),
        ("text", "str", '""', ""),
    ]


def test_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    for word in ("pocket", "replay", "transformers", "math", "implicit", "recorded", "reference", "timeout_s"):
        assert word in shown
    for path in (ROOT / "experiments").glob("*.yaml"):
        assert f"  {path.stem} " in shown


def test_one_component(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "sequence-classifier"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if "sequence-classifier:" in line] == [
        "trainer sequence-classifier", "reward model sequence-classifier",
    ]  # fmt: skip
    assert ["base", "model", "required"] in [line.split()[:3] for line in lines]
    assert any("replicas, num_cpus, num_gpus" in line for line in lines)


def test_an_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "smollm2"]) == ExitCode.DONE
    assert "name: smollm2" in capsys.readouterr().out


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "implict"]) == ExitCode.MISTAKE
    assert "nothing is named 'implict'; did you mean implicit" in capsys.readouterr().err
