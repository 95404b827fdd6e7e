"""What a user meets on the command line: help at once, and one line for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from harness import cli

EXPERIMENT = """
name: small
responses: {responses}
evaluation: {{n: [1, 2]}}
"""


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    rows = [
        {
            "problem_id": f"p{i}",
            "problem": f"What is {i} + 1?",
            "gold": str(i + 1),
            "samples": [
                {"text": f"Step 1: \\boxed{{{i + k}}}", "step_scores": {"prm": [0.5 + 0.1 * k]}} for k in range(2)
            ],
        }
        for i in range(20)
    ]
    path = tmp_path / "responses.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def failing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """Run the command, expect exit code 2 and exactly one line on stderr; return the line."""
    monkeypatch.setattr(sys, "argv", ["bonbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("sampling: {temprature: 1}", ["sampling.temprature", "unknown key", "temperature"]),
        ("sampling: {temperature: hot}", ["sampling.temperature", "'hot'"]),
        ("reward_modles: {}", ["reward_modles", "reward_models"]),
        ("evaluation: {n: [1, 3]}", ["evaluation.n", "3", "2 responses"]),
        ("sampling: {n: 5}", ["sampling.n", "5", "2 responses"]),
        ("evaluation: {aggregation: median}", ["evaluation.aggregation", "median"]),
        ("evaluation: {problems: tset}", ["evaluation.problems", "tset", "test"]),
        ("verifier: {type: mathh}", ["verifier", "mathh", "math"]),
        ("verifier: {type: math, timeout: 3}", ["verifier.timeout", "unknown key", "timeout_s"]),
        ("reward_models: {x: {type: recorder}}", ["reward_models.x", "recorder", "recorded"]),
        (
            "reward_models: {x: {type: implicit, policy: recordd, reference: null}}",
            ["reward_models.x.policy", "recordd"],
        ),
        (
            "reward_models: {x: {type: implicit, policy: ./no/such, reference: null}}",
            ["./no/such", "no such model folder"],
        ),
        ("reward_models: {x: {type: nowhere.py:X}}", ["nowhere.py", "no such file"]),
        ("reward_models: {x: {type: implicit, train: {objective: dpo, base: a/b}}}", ["rollouts", "missing"]),
        ("reward_models: {'../x': {type: recorded}}", ["../x", "folder"]),
        ("generators: {g: {type: replay, path: none.jsonl}}", ["generators.g.path", "none.jsonl", "no such file"]),
        ("generators: {g: {type: transformers, model: a/b, replicas: none}}", ["generators.g.replicas", "'none'"]),
        ("problems: {test: {path: x}}", ["problems.test", "dataset", "missing"]),
        ("rollouts: {generator: recorded, nn: 2}", ["rollouts.nn", "unknown key", "did you mean n?"]),
        ("rollouts: {a: {generator: recorded, n: 0}}", ["rollouts.a.n", "0"]),
        (
            "rollouts: {a: {generator: r}, b: {generator: r, prolems: x}}",
            ["rollouts.b.prolems", "did you mean problems?"],
        ),
        ("rollouts: {../a: {generator: r}}", ["../a", "folder"]),
        ("policies: {models: {p: {type: replay, path: none.jsonl}}}", ["policies.models.p.path", "no such file"]),
        ("policies: {n: 3, models: {p: {type: replay, path: RESPONSES}}}", ["policies.n", "3", "2 responses"]),
        ("generators: {g: {type: replay, path: RESPONSES, evaluate: 1}}", ["generators.g.evaluate", "true or false"]),
    ],
)
def test_mistakes_in_an_experiment(
    change: str,
    says: list[str],
    responses: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = change.partition(":")[0]
    lines = [line for line in EXPERIMENT.format(responses=responses).splitlines() if not line.startswith(f"{key}:")]
    config = write(tmp_path / "e.yaml", "\n".join([*lines, change.replace("RESPONSES", str(responses))]))
    line = failing(capsys, monkeypatch, "run", config, "--set", f"output={tmp_path / 'out'}")
    for word in says:
        assert word in line
    assert not (tmp_path / "out").exists(), "nothing is written for an experiment that cannot run"


def test_mistakes_in_files(
    responses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "absent.yaml: No such file" in failing(capsys, monkeypatch, "run", tmp_path / "absent.yaml")
    broken = write(tmp_path / "broken.yaml", "name: x\nsampling: {n: 1\n")
    assert "broken.yaml line 3: not YAML" in failing(capsys, monkeypatch, "run", broken)
    config = write(tmp_path / "e.yaml", EXPERIMENT.format(responses=responses))
    lines = responses.read_text().splitlines()
    lines[16] = lines[16][:-3]
    responses.write_text("\n".join(lines))
    line = failing(capsys, monkeypatch, "run", config)
    assert "responses.jsonl line 17: not JSON" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "seed"], "KEY=VALUE"),
        (["--set", "name.x=1"], "name is a value"),
        (["--until", "scoer"], "score"),
        (["--reward-model", "recorded:path"], "key=value"),
        (["--reward-model", "implict"], "implicit"),
    ],
)
def test_mistakes_in_options(
    arguments: list[str],
    says: str,
    responses: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = write(tmp_path / "e.yaml", EXPERIMENT.format(responses=responses))
    assert says in failing(capsys, monkeypatch, "run", config, *arguments)


def test_a_model_folder_without_weights(
    responses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    entry = f"reward_models: {{x: {{type: implicit, policy: {folder}, reference: null}}}}"
    config = write(tmp_path / "e.yaml", EXPERIMENT.format(responses=responses) + entry)
    assert "no config.json" in failing(capsys, monkeypatch, "run", config)
    (folder / "config.json").write_text("{}")
    line = failing(capsys, monkeypatch, "run", config)
    assert "reward_models.x.policy" in line and "no weights" in line


def test_a_template_says_what_it_needs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    template = ROOT / "experiments" / "replay.yaml"
    assert "--set responses=FILE" in failing(capsys, monkeypatch, "run", template)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['bonbench', '--help']\n"
        "from harness.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'torch', 'ray', 'transformers', 'pandas', 'pyarrow', 'sympy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for verb in ("run", "plan", "train", "report", "compare", "grade", "list"):
        assert verb in done.stdout


def test_list_shows_every_component_with_its_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bonbench", "list"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    for word in ("pocket", "replay", "transformers", "math", "implicit", "recorded", "reference", "timeout_s"):
        assert word in shown
