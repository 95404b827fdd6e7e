"""From entries to components: what the command line may say, which names there are, and what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.core.registry import find
from harness.experiment.config import Experiment
from harness.experiment.entries import build, parse_spec
from harness.experiment.expansion import expand, sweep


def test_sweeps_take_every_combination() -> None:
    entry = {"type": "implicit", "beta": [1, 2], "train": {"responses": [4, 8], "lr": 0.1}}
    expanded = dict(sweep("rm", entry))
    assert list(expanded) == ["rm-1-4", "rm-1-8", "rm-2-4", "rm-2-8"]
    assert expanded["rm-2-4"] == {"type": "implicit", "beta": 2, "train": {"responses": 4, "lr": 0.1}}
    assert dict(sweep("rm", {"type": "x"})) == {"rm": {"type": "x"}}
    reported = {"type": "x", "train": {"report_to": ["wandb", "mlflow"]}}
    assert dict(sweep("rm", reported)) == {"rm": reported}


IMPLICIT = {"type": "implicit", "policy": "a/b", "reference": None, "beta": 0.5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("implicit", ("implicit", {"type": "implicit"})),
        ("implicit:policy=a/b,reference=null,beta=0.5", ("implicit", IMPLICIT)),
        ("implicit:{policy: a/b, reference: null, beta: 0.5}", ("implicit", IMPLICIT)),
        ("implicit:{beta: [1, 2]}", ("implicit", {"type": "implicit", "beta": [1, 2]})),
        ("implicit:beta=[1, 2],policy=m", ("implicit", {"type": "implicit", "beta": [1, 2], "policy": "m"})),
        ("rm:a={x: [1, 2], y: 3},b=4", ("rm", {"type": "rm", "a": {"x": [1, 2], "y": 3}, "b": 4})),
        ("implicit:policy=file.py:odd", ("implicit", {"type": "implicit", "policy": "file.py:odd"})),
        ("my/rm.py:Mine", ("Mine", {"type": "my/rm.py:Mine"})),
        ("judge:answer_yes=+,answer_no=-", ("judge", {"type": "judge", "answer_yes": "+", "answer_no": "-"})),
        ("judge:answer_no=Verdict: no", ("judge", {"type": "judge", "answer_no": "Verdict: no"})),
        ("rm.py:Mine:model=middle", ("Mine", {"type": "rm.py:Mine", "model": "middle"})),
        ("rm.py:Mine:{model: middle}", ("Mine", {"type": "rm.py:Mine", "model": "middle"})),
    ],
)
def test_specs_on_the_command_line(text: str, expected: tuple[str, dict[str, Any]]) -> None:
    assert parse_spec(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("implicit:policy=[a,b", "not YAML"),
        ("implicit:policy=a: b: c", "not YAML"),
        ("implicit:{policy: [a}", "not YAML"),
        ("implicit:{1: 2}", "is not a mapping of parameters"),
        ("implicit:{policy}x", "not YAML"),
        ("implicit:policy", "'policy' is not key=value"),
        (":policy=a", "expected NAME"),
    ],
)
def test_a_broken_spec_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as error:
        parse_spec(text)
    assert "\n" not in str(error.value) and text in str(error.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"replicas": 0}, r"reward_models\.rm\.replicas: a whole number from 1 on, or auto \(it is 0\)"),
        ({"num_cpus": -1}, r"reward_models\.rm\.num_cpus: .*greater than or equal to 0"),
        ({"num_gpus": "1"}, r"reward_models\.rm\.num_gpus: .*valid number"),
        ({"replicas": True}, r"reward_models\.rm\.replicas: a whole number from 1 on, or auto"),
        ({"replicas": "all"}, r"reward_models\.rm\.replicas: a whole number from 1 on, or auto"),
        ({"type": 3}, r"reward_models\.rm: type: missing"),
        ({"type": "implicitt"}, r"reward_models\.rm: .*did you mean implicit"),
        ({"betaa": 3}, r"reward_models\.rm\.betaa: unknown key; did you mean beta"),
    ],
)
def test_mistakes_of_an_entry_name_their_place(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        build("reward_models", "rm", {**IMPLICIT, **options}, "reward_models.rm", {})


def test_the_class_that_is_checked_is_the_class_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is executed once, by whatever path it is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rm.py").write_text(
        "from pathlib import Path\n"
        "from harness import RewardModel\n"
        "with Path(__file__).with_name('runs').open('a') as runs: runs.write('.')\n"
        "class Mine(RewardModel):\n    def score(self, batch): return []\n"
        "class Other(Mine): pass\n"
    )
    spec = build("reward_models", "mine", {"type": "rm.py:Mine"}, "reward_models.mine", {})
    (tmp_path / "link").symlink_to(tmp_path)
    assert spec.cls is find("reward_models", "rm.py:Mine") is find("reward_models", f"{tmp_path}/link/rm.py:Mine")
    assert issubclass(find("reward_models", "./rm.py:Other"), spec.cls)
    assert (tmp_path / "runs").read_text() == "."


def experiment(**reward_models: Any) -> Experiment:
    generators = {"g": {"type": "transformers", "model": "a/b"}}
    return Experiment.model_validate({"name": "x", "generators": generators, "reward_models": reward_models})


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("../../../evil", "cannot name a folder"),
        ("/etc/evil", "cannot name a folder"),
        (".hidden", "cannot name a folder"),
        ("", "cannot name a folder"),
        ("majority", "already has a meaning"),
        ("oracle", "already has a meaning"),
        ("g", "the name 'g' is taken"),
    ],
)
def test_names_from_a_file_of_responses_stay_in_the_results(tmp_path: Path, name: str, complaint: str) -> None:
    sample = {"text": "1", "step_scores": {name: [0.5], "honest": [0.5]}}
    row = {"problem_id": "p", "problem": "1?", "gold": "1", "samples": [sample]}
    (tmp_path / "r.jsonl").write_text(json.dumps(row) + "\n")
    recorded = {"type": "recorded", "path": str(tmp_path / "r.jsonl")}
    with pytest.raises(UserError, match=rf"reward_models\.rm: .*{complaint}"):
        expand(experiment(rm=recorded))
    # An entry of one's own gives the scores another name.
    assert list(expand(experiment(mine={**recorded, "model": name})).reward_models) == ["mine"]


def test_results_go_to_no_url() -> None:
    with pytest.raises(ValueError, match="not a URL"):
        Experiment.model_validate({"name": "x", "output": "s3://bucket/results"})


def test_names_from_a_sweep_stay_in_the_results() -> None:
    swept = {**IMPLICIT, "policy": ["../evil", "a"]}
    with pytest.raises(UserError, match=r"reward_models\.rm: 'rm-\.\./evil' cannot name a folder"):
        expand(experiment(rm=swept))
    with pytest.raises(UserError, match="'majority' already has a meaning"):
        expand(experiment(), [("majority", IMPLICIT)])
