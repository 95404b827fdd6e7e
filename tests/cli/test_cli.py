"""What a user meets on the command line: help at once, and one line for every mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from places import BONBENCH, ROOT

from harness.cli import main
from harness.cli.exit_codes import ExitCode
from harness.core.errors import UserError

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


def failing(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command, expect exit code 2 and exactly one line on stderr; return the line."""
    assert main([str(argument) for argument in arguments]) == ExitCode.MISTAKE
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
) -> None:
    key = change.partition(":")[0]
    lines = [line for line in EXPERIMENT.format(responses=responses).splitlines() if not line.startswith(f"{key}:")]
    config = write(tmp_path / "e.yaml", "\n".join([*lines, change.replace("RESPONSES", str(responses))]))
    line = failing(capsys, "run", config, "--set", f"output={tmp_path / 'out'}")
    for word in says:
        assert word in line
    assert not (tmp_path / "out").exists(), "nothing is written for an experiment that cannot run"


def test_mistakes_in_files(responses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.yaml: No such file" in failing(capsys, "run", tmp_path / "absent.yaml")
    broken = write(tmp_path / "broken.yaml", "name: x\nsampling: {n: 1\n")
    assert "broken.yaml line 3: not YAML" in failing(capsys, "run", broken)
    config = write(tmp_path / "e.yaml", EXPERIMENT.format(responses=responses))
    lines = responses.read_text().splitlines()
    lines[16] = lines[16][:-3]
    responses.write_text("\n".join(lines))
    line = failing(capsys, "run", config)
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
) -> None:
    config = write(tmp_path / "e.yaml", EXPERIMENT.format(responses=responses))
    assert says in failing(capsys, "run", config, *arguments)


def test_a_model_folder_without_weights(responses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    entry = f"reward_models: {{x: {{type: implicit, policy: {folder}, reference: null}}}}"
    config = write(tmp_path / "e.yaml", EXPERIMENT.format(responses=responses) + entry)
    assert "no config.json" in failing(capsys, "run", config)
    (folder / "config.json").write_text("{}")
    line = failing(capsys, "run", config)
    assert "reward_models.x.policy" in line and "no weights" in line


def test_a_template_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    template = ROOT / "experiments" / "replay.yaml"
    assert "--set responses=FILE" in failing(capsys, "run", template)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from harness.cli import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'torch', 'ray', 'transformers', 'pandas', 'pyarrow', 'sympy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in ("run", "plan", "train", "report", "compare", "export", "grade", "list"):
        assert verb in done.stdout


def test_the_exit_code_is_the_programs() -> None:
    done = subprocess.run([*BONBENCH, "rnu"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "'rnu'" in done.stderr and "'run'" in done.stderr


def test_no_words_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.DONE
    assert "benchmark" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run"], ["CONFIG", "bonbench run --help"]),
        (["run", "e.yaml", "--untli", "grade"], ["--untli", "--until"]),
        (["report", "results", "--column-width", "narrow"], ["--column-width", "number"]),
        (["plan", "e.yaml", "--gpu", "h1000"], ["h1000", "did you mean h100"]),
    ],
)
def test_mistakes_in_a_command_line(arguments: list[str], says: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    line = failing(capsys, *arguments)
    for word in says:
        assert word in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--debug", "run", "absent.yaml"],
        ["run", "absent.yaml", "--debug"],
        ["run", "--debug", "absent.yaml"],
    ],
)
def test_debug_raises_the_error(arguments: list[str]) -> None:
    with pytest.raises(UserError, match="No such file"):
        main(arguments)


def test_debug_holds_for_errors_before_the_verb_runs() -> None:
    with pytest.raises(typer.BadParameter):
        main(["report", "results", "--column-width", "narrow", "--debug"])


def test_a_stopped_run_says_how_to_continue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.experiment.config.load_experiment", stop)
    assert main(["run", "replay"]) == ExitCode.STOPPED == 130
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_one_line(responses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is room again, the same command continues."""
    config, disk = tmp_path / "small.yaml", tmp_path / "disk"
    config.write_text(EXPERIMENT.format(responses=responses))
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", str(disk)], check=True)
    try:
        with pytest.raises(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        command = ["run", str(config), "--local", "--until", "score", "--set", f"output={disk / 'results'}"]
        assert main(command) == ExitCode.FAILED
        error = capsys.readouterr().err
        assert "No space left on device" in error and "run the same command again" in error
        assert "Traceback" not in error
        (disk / "filler").unlink()
        assert main(command) == ExitCode.DONE
    finally:
        subprocess.run(["umount", str(disk)], check=True)
